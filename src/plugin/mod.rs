//! The life of a plugin.

pub mod manifest;
pub mod source;
pub mod world;
