//! The HTTP server.

pub mod auth;
pub mod graphiql;
pub mod reply;
pub mod request_id;
