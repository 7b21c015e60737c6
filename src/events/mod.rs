//! Events, from whoever raises them to whoever listens.
//!
//! Embedders hear of an event in this process and at once. Post hooks hear of it through the outbox: a
//! delivery for each hook is written in the transaction in which the event was raised, and made by the
//! [`dispatcher`] after the commit, again and again until it succeeds.

pub mod admin;
pub mod dispatcher;
pub mod operation;
mod outbox;
pub mod pubsub;
pub mod scheduler;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};

pub use outbox::{MAX_ATTEMPTS, MAX_PAYLOAD_BYTES, addressed, payload_json};

use crate::services::Services;
use crate::store::deliveries::{self, NewDelivery};
use crate::store::{DbError, Session};
use crate::value::Value;
use crate::writer::Writer;

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
    /// A hook hears of events with the same key one after another, in the order in which they were
    /// raised.
    pub key: Option<String>,
}

impl Event {
    /// An event that no hook has caused.
    pub fn new(name: impl Into<Arc<str>>, payload: impl Into<Value>) -> Self {
        Event { name: name.into(), payload: payload.into(), depth: 0, key: None }
    }
}

/// What a call has done that is nobody's business before its transaction commits.
#[derive(Debug, Clone)]
pub enum Held {
    /// It has raised an event, whose deliveries are written.
    Raised(Event),
    /// It has written other deliveries.
    Enqueued,
}

/// What a call holds back.
pub type HeldBack = Arc<Mutex<Vec<Held>>>;

/// Where events are raised.
#[derive(Debug)]
pub struct EventBus {
    subscribers: broadcast::Sender<Event>,
    services: OnceLock<Weak<Services>>,
    /// What is to be written for the host's own events, in the order in which they were raised.
    writer: Writer<Vec<NewDelivery>>,
    wake: Notify,
}

impl Default for EventBus {
    fn default() -> Self {
        EventBus {
            subscribers: broadcast::channel(SUBSCRIBER_BACKLOG).0,
            services: OnceLock::new(),
            writer: Writer::default(),
            wake: Notify::new(),
        }
    }
}

impl EventBus {
    /// Tells the bus where the hooks and the database are. Before that, only embedders hear of events.
    pub fn connect(&self, services: &Arc<Services>) {
        // A second call would name the same services.
        let _ = self.services.set(Arc::downgrade(services));
        self.writer.start(services, |services, batch| write(services, batch).boxed());
    }

    /// All events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.subscribers.subscribe()
    }

    /// Whether an embedder hears events.
    pub fn has_subscribers(&self) -> bool {
        self.subscribers.receiver_count() > 0
    }

    /// Raises an event of the host's own, without waiting for anything. Its deliveries are written
    /// soon, in the order of such events.
    pub fn emit(&self, event: Event) {
        let deliveries = match self.services.get().and_then(Weak::upgrade) {
            Some(services) => addressed(&services.world.load(), &event),
            None => Ok(Vec::new()),
        };
        match deliveries {
            Ok(deliveries) if deliveries.is_empty() => {}
            Ok(deliveries) => self.writer.send(deliveries),
            Err(error) => {
                tracing::error!(event = %event.name, "the event is not delivered: {error}")
            }
        }
        self.announce(event);
    }

    /// Raises an event in the transaction of `session`, if it is in one. Whoever commits it calls
    /// [`EventBus::committed`]; without a transaction it is committed when this returns.
    ///
    /// # Errors
    /// Those of the database; then nothing was raised.
    pub async fn raise(
        &self,
        services: &Services,
        session: &Session,
        event: &Event,
    ) -> Result<(), DbError> {
        let deliveries = addressed(&services.world.load(), event)?;
        deliveries::insert(session, deliveries).await
    }

    /// Goes on with what was held back until now.
    pub fn committed(&self, held: Vec<Held>) {
        for one in held {
            match one {
                Held::Raised(event) => self.announce(event),
                Held::Enqueued => {}
            }
        }
        self.wake.notify_one();
    }

    /// Completes when there may be deliveries to make.
    async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Lets the dispatcher look for deliveries.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    fn announce(&self, event: Event) {
        tracing::debug!(event = %event.name, "event");
        // Without subscribers there is nobody to miss it.
        let _ = self.subscribers.send(event);
    }

    /// Waits until the deliveries of everything emitted so far are written, or until the patience is
    /// over.
    pub async fn written(&self, patience: Duration) {
        if !self.writer.written(patience).await {
            tracing::warn!("gave up on writing the deliveries of events");
        }
    }
}

async fn write(services: Arc<Services>, batch: Vec<Vec<NewDelivery>>) {
    let deliveries = batch.into_iter().flatten().collect();
    if let Err(error) = deliveries::insert(&services.store.session(), deliveries).await {
        tracing::error!("deliveries of the host's events are lost: {error}");
    }
    services.events.wake();
}
