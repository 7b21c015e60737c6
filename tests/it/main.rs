//! Black-box tests against a running host.

// What tests share is test code too, which clippy cannot tell.
#![allow(clippy::unwrap_used)]

mod admin;
mod admin_client;
mod lifecycle;
mod reload;
mod sdl;
mod shipped;
mod support;
