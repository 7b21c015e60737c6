//! Moondock, a plugin host: a folder of Lua scripts becomes typed GraphQL fields, tables and hooks
//! of a running server.

pub mod error;
pub mod extension;
pub mod plugin;
pub mod request;
pub mod value;
