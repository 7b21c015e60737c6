//! What a plugin may add, one folder each.

pub mod database;
pub mod graphql;
