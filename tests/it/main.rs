//! Black-box tests against a running host.

mod attacks;
mod shipped;
mod support;
