//! Plugins that attack: the clock, the memory, their neighbors, the sandbox, the value bridge.

mod corpus;
mod data;
mod escape;
mod neighbors;
mod source;
mod tables;
mod time;
mod values;
