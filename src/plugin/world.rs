//! The World: everything the active plugins add, as one immutable value.

/// All active generations together. A request takes one at its start and lives in it to its end.
#[derive(Debug, Default)]
pub struct World {}
