//! What every part of a running host shares.

use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::audit::AuditLog;
use crate::containers::Containers;
use crate::ctx::cache::Caches;
use crate::error::{Error, Result};
use crate::events::EventBus;
use crate::events::pubsub::Pubsub;
use crate::extension::ExtensionPoint;
use crate::http::outbound::Outbound;
use crate::plugin::failures::Failures;
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
    /// The World that new requests live in. [`Services::replace_world`] sets it.
    pub world: ArcSwap<World>,
    /// Told whenever it is another.
    pub worlds: watch::Sender<()>,
    pub events: EventBus,
    pub pubsub: Pubsub,
    /// What plugins remember in memory.
    pub caches: Caches,
    /// Who has done what.
    pub audit: AuditLog,
    /// What sends the requests of plugins.
    pub outbound: Outbound,
    /// The containers of plugins.
    pub containers: Arc<Containers>,
    /// What went wrong last in calls of plugins.
    pub failures: Arc<Failures>,
}

impl Services {
    /// Lets new requests live in another World, and tells those who live longer than a request.
    pub fn replace_world(&self, world: Arc<World>) {
        self.world.store(world);
        self.worlds.send_replace(());
    }
}

/// Where resolvers of the host's own fields find the services, which are made after the fields.
#[derive(Clone, Default)]
pub struct ServicesCell(Arc<OnceLock<Weak<Services>>>);

impl ServicesCell {
    /// Sets the services, once.
    pub fn set(&self, services: &Arc<Services>) {
        // A second one would mean two hosts with one set of declarations, which nobody makes.
        let _ = self.0.set(Arc::downgrade(services));
    }

    /// The services.
    ///
    /// # Errors
    /// When the host has not started yet, or has ended.
    pub fn get(&self) -> Result<Arc<Services>> {
        let services = self.0.get().and_then(Weak::upgrade);
        services.ok_or_else(|| Error::unexpected("the host is not running"))
    }
}
