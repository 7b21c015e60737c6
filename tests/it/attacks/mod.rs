//! Plugins that attack: the clock, the memory, their neighbors, the sandbox, the value bridge.

mod corpus;
mod time;
