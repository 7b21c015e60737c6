//! The life of a plugin.

pub mod world;
