//! Events, from whoever raises them to whoever listens.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::ctx::CallContext;
use crate::extension::hooks::HookTable;
use crate::plugin::generation::Arg;
use crate::services::Services;
use crate::value::Value;

/// An event that hooks have raised may raise events in turn, this many times over.
pub const MAX_DEPTH: u32 = 16;

/// How many events an embedder may fall behind before it misses some.
const SUBSCRIBER_BACKLOG: usize = 1_024;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    pub name: Arc<str>,
    pub payload: Value,
    /// How many hooks led to it.
    pub depth: u32,
}

impl Event {
    /// An event that no hook has caused.
    pub fn new(name: impl Into<Arc<str>>, payload: impl Into<Value>) -> Self {
        Event { name: name.into(), payload: payload.into(), depth: 0 }
    }
}

/// Delivers events in this process: to embedders, and to the post hooks of active plugins.
#[derive(Debug)]
pub struct EventBus {
    subscribers: broadcast::Sender<Event>,
    deliveries: TaskTracker,
    services: OnceLock<Weak<Services>>,
}

impl Default for EventBus {
    fn default() -> Self {
        EventBus {
            subscribers: broadcast::channel(SUBSCRIBER_BACKLOG).0,
            deliveries: TaskTracker::new(),
            services: OnceLock::new(),
        }
    }
}

impl EventBus {
    /// Tells the bus where the hooks are. Before that, only embedders hear of events.
    pub fn connect(&self, services: &Arc<Services>) {
        // A second call would name the same services.
        let _ = self.services.set(Arc::downgrade(services));
    }

    /// All events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.subscribers.subscribe()
    }

    /// Delivers an event, without waiting for those who hear it.
    pub fn emit(&self, event: Event) {
        tracing::debug!(event = %event.name, "event");
        // Without subscribers there is nobody to miss it.
        let _ = self.subscribers.send(event.clone());
        let Some(services) = self.services.get().and_then(Weak::upgrade) else { return };
        let world = services.world.load_full();
        let Some(hooks) = world.part::<HookTable>() else { return };
        if hooks.post(&event.name).next().is_none() {
            return;
        }
        let span = tracing::Span::current();
        self.deliveries.spawn(async move { deliver(&hooks, event).await }.instrument(span));
    }

    /// Waits until everything emitted so far was delivered, or until the patience is over.
    pub async fn drained(&self, patience: Duration) {
        self.deliveries.close();
        if tokio::time::timeout(patience, self.deliveries.wait()).await.is_err() {
            tracing::warn!(left = self.deliveries.len(), "gave up on event deliveries");
        }
        self.deliveries.reopen();
    }
}

async fn deliver(hooks: &HookTable, event: Event) {
    for hook in hooks.post(&event.name) {
        let generation = &hook.generation;
        let deadline = Instant::now() + hook.time_limit.unwrap_or(generation.time_limit());
        let mut context = CallContext::of(generation, deadline);
        context.depth = event.depth + 1;
        let result = generation.call(&hook.handler, &[Arg::Value(&event.payload)], context).await;
        if let Err(error) = result {
            tracing::error!(
                plugin = generation.plugin_id(), handler = %hook.handler, event = %event.name,
                traceback = error.traceback.as_deref(), "a post hook failed: {error}"
            );
        }
    }
}
