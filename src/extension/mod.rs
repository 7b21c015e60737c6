//! What a plugin may add to the host: one folder for each extension point.

pub mod graphql;
