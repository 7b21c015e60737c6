//! The life of a plugin.

mod activate;
pub mod admin;
mod configure;
pub mod directory;
pub mod failures;
pub mod generation;
mod install;
mod later;
pub mod lifecycle;
pub mod loader;
pub mod logs;
pub mod manager;
pub mod manifest;
mod operations;
pub mod package;
mod records;
mod services;
pub mod source;
mod startup;
mod steps;
mod tables;
pub mod update;
mod upgrade;
mod upload;
pub mod watcher;
pub mod watching;
pub mod world;
