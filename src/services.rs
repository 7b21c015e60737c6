//! What every part of a running host shares.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::events::EventBus;
use crate::extension::ExtensionPoint;
use crate::plugin::world::World;
use crate::store::Store;

/// The bounds that the host sets for all plugins.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most memory a plugin's VM may have, in MiB.
    pub max_memory_mb: u64,
    /// The longest a call may take, in milliseconds.
    pub max_timeout_ms: u64,
}

/// Shared by the manager, by every generation and by the server.
pub struct Services {
    pub store: Arc<Store>,
    pub limits: Limits,
    pub points: Arc<[Arc<dyn ExtensionPoint>]>,
    /// The World that new requests live in.
    pub world: ArcSwap<World>,
    pub events: EventBus,
}
