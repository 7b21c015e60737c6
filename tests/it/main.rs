//! Black-box tests against a running host.

mod admin;
mod admin_client;
mod config;
mod constraints;
mod lifecycle;
mod reload;
mod sdl;
mod shipped;
mod support;
