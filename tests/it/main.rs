//! Black-box tests against a running host.

// Helpers of tests are tests too, which clippy cannot tell.
#![allow(clippy::unwrap_used)]

mod admin;
mod admin_client;
mod lifecycle;
mod reload;
mod sdl;
mod shipped;
mod support;
