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

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

pub use outbox::{MAX_ATTEMPTS, MAX_PAYLOAD_BYTES, addressed, payload_json};

use crate::services::Services;
use crate::store::deliveries::{self, NewDelivery};
use crate::store::{DbError, Session};
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
    writing: OnceLock<mpsc::UnboundedSender<Write>>,
    wake: Notify,
}

#[derive(Debug)]
enum Write {
    Deliveries(Vec<NewDelivery>),
    /// Says when everything before it is written.
    Mark(oneshot::Sender<()>),
}

impl Default for EventBus {
    fn default() -> Self {
        EventBus {
            subscribers: broadcast::channel(SUBSCRIBER_BACKLOG).0,
            services: OnceLock::new(),
            writing: OnceLock::new(),
            wake: Notify::new(),
        }
    }
}

impl EventBus {
    /// Tells the bus where the hooks and the database are. Before that, only embedders hear of events.
    pub fn connect(&self, services: &Arc<Services>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        // A second call would name the same services.
        if self.services.set(Arc::downgrade(services)).is_ok() && self.writing.set(sender).is_ok() {
            tokio::spawn(write_in_order(Arc::downgrade(services), receiver));
        }
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
            Ok(deliveries) => {
                if let Some(writing) = self.writing.get() {
                    // The writer ends with the services, and then nobody listens any more.
                    let _ = writing.send(Write::Deliveries(deliveries));
                }
            }
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
        let Some(writing) = self.writing.get() else { return };
        let (mark, reached) = oneshot::channel();
        if writing.send(Write::Mark(mark)).is_ok()
            && tokio::time::timeout(patience, reached).await.is_err()
        {
            tracing::warn!("gave up on writing the deliveries of events");
        }
    }
}

async fn write_in_order(services: Weak<Services>, mut queue: mpsc::UnboundedReceiver<Write>) {
    while let Some(first) = queue.recv().await {
        let Some(services) = services.upgrade() else { return };
        let (mut batch, mut marks) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(write) = next {
            match write {
                Write::Deliveries(more) => batch.extend(more),
                Write::Mark(mark) => marks.push(mark),
            }
            next = queue.try_recv().ok();
        }
        if let Err(error) = deliveries::insert(&services.store.session(), batch).await {
            tracing::error!("deliveries of the host's events are lost: {error}");
        }
        for mark in marks {
            // Whoever waited may have lost patience.
            let _ = mark.send(());
        }
        services.events.wake();
    }
}
