//! The life of a plugin.

pub mod directory;
pub mod generation;
pub mod loader;
pub mod manifest;
pub mod source;
pub mod world;
