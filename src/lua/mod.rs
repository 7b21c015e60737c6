//! The sandboxed Luau runtime: it runs other people's code with a memory cap, a deadline and
//! preemption. It knows neither plugins nor databases.

pub mod bridge;
pub mod error;
pub mod gate;
pub mod modules;
pub mod natives;
mod pull;
pub mod push;
pub mod require;
pub mod sandbox;
pub mod vm;
pub mod waiting;
pub mod watchdog;

pub use error::{Failure, ScriptError, ScriptErrorKind};
pub use modules::Modules;
pub use vm::{Vm, VmOptions};
