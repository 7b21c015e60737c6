//! What a plugin may add, one module each.

pub mod database;
