//! A map from a type to one value of that type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What the extension points have made of one generation, or of a World: each keeps its own type
/// of data here, and nobody else needs to know of it.
#[derive(Clone, Default)]
pub struct Parts(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Parts {
    /// Adds a part, or replaces the one of the same type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, part: Arc<T>) {
        self.0.insert(TypeId::of::<T>(), part);
    }

    /// The part of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.get(&TypeId::of::<T>())?.clone().downcast().ok()
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parts({})", self.0.len())
    }
}
