//! Black-box tests against a running host.

mod shipped;
mod support;
