//! Moondock, a plugin host: a folder of Lua scripts becomes typed GraphQL fields, tables and hooks
//! of a running server.

pub mod cli;
pub mod control;
pub mod data_dir;
pub mod error;
pub mod logging;
pub mod nearest;
pub mod plugin;
pub mod report;
pub mod request;
pub mod server;
pub mod settings;
pub mod value;
