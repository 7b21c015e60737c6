//! Moondock, a plugin host: a folder of Lua scripts becomes typed GraphQL fields, tables and hooks
//! of a running server.

pub mod accounts;
pub mod audit;
pub mod backend;
pub mod backoff;
pub mod cli;
mod containers;
pub mod control;
pub mod ctx;
pub mod data_dir;
pub mod error;
pub mod events;
pub mod extension;
pub mod host;
pub mod http;
pub mod logging;
pub mod lua;
pub mod nearest;
pub mod parts;
pub mod permission;
pub mod plugin;
pub mod report;
pub mod request;
pub mod server;
pub mod services;
pub mod settings;
pub mod store;
pub mod value;
pub mod writer;
