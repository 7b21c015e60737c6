//! Black-box tests against a running host.

mod admin;
mod admin_client;
mod sdl;
mod shipped;
mod support;
