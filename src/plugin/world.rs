//! The World: everything the active plugins add, as one immutable value.

use std::sync::Arc;

use super::generation::Generation;
use crate::extension::{Conflict, ExtensionPoint};
use crate::parts::Parts;

/// All active generations together. A request takes one at its start and lives in it to its end,
/// so it never sees half a reload.
#[derive(Debug, Default)]
pub struct World {
    /// In the order of activation.
    generations: Vec<Arc<Generation>>,
    parts: Parts,
}

impl World {
    /// Builds the World of these generations, in the order of their activation.
    ///
    /// # Errors
    /// When they do not fit together.
    pub fn build(
        points: &[Arc<dyn ExtensionPoint>],
        generations: Vec<Arc<Generation>>,
    ) -> Result<World, Vec<Conflict>> {
        let mut parts = Parts::default();
        let mut conflicts = Vec::new();
        for point in points {
            if let Err(found) = point.assemble(&generations, &mut parts) {
                conflicts.extend(found);
            }
        }
        if conflicts.is_empty() { Ok(World { generations, parts }) } else { Err(conflicts) }
    }

    /// Generations that nothing was put together of yet.
    pub(super) fn of(generations: Vec<Arc<Generation>>) -> World {
        World { generations, parts: Parts::default() }
    }

    /// The active generations in the order of their activation.
    pub fn generations(&self) -> &[Arc<Generation>] {
        &self.generations
    }

    /// What an extension point has put together.
    pub fn part<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.parts.get()
    }
}
