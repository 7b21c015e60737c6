//! Makes the deliveries that are owed to plugins.
//!
//! Any number of hosts may share a PostgreSQL database: each leases what it makes, and takes over what
//! others have leased and not renewed.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::backoff;
use crate::ctx::{CallContext, DeliveryInfo};
use crate::error::{Phase, Problem};
use crate::extension::hooks::{Hook, HookTable};
use crate::plugin::generation::{Arg, Generation};
use crate::services::Services;
use crate::store::DbError;
use crate::store::deliveries::{self, Delivery, Kind};
use crate::value::Value;

/// How many deliveries are made at a time.
const SLOTS: usize = 32;
/// How long a lease is valid.
const LEASE: Duration = Duration::from_secs(10);
/// How often leases are renewed.
const RENEWAL: Duration = Duration::from_secs(3);
/// How often the database is looked at for what other hosts have written. With [`LEASE`] it bounds how
/// long the work of a host that is gone lies still.
const LOOK: Duration = Duration::from_secs(1);
/// The delay after the first attempt, which doubles after each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay between attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);

/// The dispatcher of a host.
pub struct Dispatcher {
    services: Weak<Services>,
    /// Whose leases they are.
    owner: String,
    slots: Arc<Semaphore>,
    calls: TaskTracker,
    stop: CancellationToken,
}

impl Dispatcher {
    /// Begins to make deliveries. With `alone`, no other host uses the database, and what an earlier
    /// one has left in the middle is made anew at once.
    pub fn start(services: &Arc<Services>, alone: bool) -> Arc<Dispatcher> {
        let dispatcher = Arc::new(Dispatcher {
            services: Arc::downgrade(services),
            owner: Uuid::now_v7().to_string(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            calls: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        tokio::spawn(Arc::clone(&dispatcher).run(alone));
        tokio::spawn(Arc::clone(&dispatcher).keep_leases());
        dispatcher
    }

    /// Takes no further deliveries and waits for those that are being made, or until the patience is
    /// over.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.calls.close();
        if tokio::time::timeout(patience, self.calls.wait()).await.is_err() {
            let left = self.calls.len();
            tracing::warn!(left, "gave up on deliveries; they are made again after the next start");
        }
    }

    async fn run(self: Arc<Self>, alone: bool) {
        if alone && let Some(services) = self.services.upgrade() {
            log(deliveries::release_all(&services.store.session()).await.map(drop));
        }
        let mut pause = Duration::ZERO;
        loop {
            let Some(services) = self.services.upgrade() else { return };
            let _ = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                woken = tokio::time::timeout(pause, services.events.woken()) => woken,
            };
            pause = match self.look(&services).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!("cannot look for deliveries: {error}");
                    LOOK
                }
            };
        }
    }

    /// Begins what is due, and says when to look again.
    async fn look(self: &Arc<Self>, services: &Arc<Services>) -> Result<Duration, DbError> {
        let session = services.store.session();
        loop {
            let free = self.slots.available_permits();
            let plugins = active(services);
            // A call that ends, and a plugin that comes up, wake us.
            if free == 0 || plugins.is_empty() {
                return Ok(LOOK);
            }
            match deliveries::next_due(&session, &plugins).await? {
                Some(0) => {}
                Some(ms) => return Ok(LOOK.min(Duration::from_millis(ms.unsigned_abs()))),
                None => return Ok(LOOK),
            }
            let claimed =
                deliveries::claim(&session, &self.owner, &plugins, free as u64, LEASE).await?;
            if claimed.is_empty() {
                // What is due waits for its turn, or another host was faster.
                return Ok(LOOK);
            }
            for delivery in claimed {
                // There are enough: nobody else takes them.
                let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { continue };
                let (dispatcher, services) = (Arc::clone(self), Arc::clone(services));
                let span = tracing::info_span!("delivery", id = delivery.id);
                let making = async move {
                    dispatcher.make(&services, delivery).await;
                    drop(slot);
                    services.events.wake();
                };
                self.calls.spawn(making.instrument(span));
            }
        }
    }

    /// Makes a delivery, and notes how it ended.
    async fn make(&self, services: &Arc<Services>, delivery: Delivery) {
        let session = services.store.session();
        let world = services.world.load_full();
        let generation = world.generations().iter().find(|g| g.plugin_id() == delivery.plugin_id);
        let Some(generation) = generation else {
            // It was deactivated a moment ago.
            let (owner, id) = (&self.owner, &delivery.id);
            log(deliveries::wait_again(&session, owner, id, LOOK, None, true).await);
            return;
        };
        let limit = time_limit(generation, world.part::<HookTable>().as_deref(), &delivery);
        match call(generation, &delivery, limit).await {
            Ok(()) => log(deliveries::finish(&session, &self.owner, &delivery.id).await),
            Err(message) => self.failed(services, &delivery, &message).await,
        }
    }

    async fn failed(&self, services: &Arc<Services>, delivery: &Delivery, message: &str) {
        let session = services.store.session();
        let Delivery { id, attempt, max_attempts, .. } = delivery;
        let (plugin, name, handler) = (&delivery.plugin_id, &delivery.name, &delivery.handler);
        let kind = delivery.kind.as_str();
        let noted = if attempt < max_attempts {
            let delay = backoff::after(*attempt, FIRST_DELAY, LONGEST_DELAY);
            tracing::warn!(
                %plugin, kind, %name, %handler, attempt, in_ms = delay.as_millis() as u64,
                "a delivery failed and is tried again: {message}"
            );
            deliveries::wait_again(&session, &self.owner, id, delay, Some(message), false).await
        } else {
            tracing::error!(
                %plugin, kind, %name, %handler, attempt, "a delivery failed for good: {message}"
            );
            let problem = Problem::new(Phase::Call, format!("{kind} \"{name}\": {message}"));
            services.failures.note(plugin, &problem);
            match delivery.kind {
                // The next time comes by itself.
                Kind::Schedule => deliveries::finish(&session, &self.owner, id).await,
                Kind::Event | Kind::Job => {
                    deliveries::bury(&session, &self.owner, id, message).await
                }
            }
        };
        log(noted);
    }

    /// Renews the leases of what is being made.
    async fn keep_leases(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if self.stop.is_cancelled() && self.calls.is_empty() {
                return;
            }
            let Some(services) = self.services.upgrade() else { return };
            let session = services.store.session();
            if !self.calls.is_empty() {
                log(deliveries::renew(&session, &self.owner, LEASE).await);
            }
            match deliveries::bury_abandoned(&session).await {
                Ok(0) => {}
                Ok(count) => tracing::error!(count, "deliveries failed for good with their hosts"),
                Err(error) => log(Err(error)),
            }
        }
    }
}

/// The ids of the plugins that can be called.
fn active(services: &Services) -> Vec<String> {
    let world = services.world.load();
    let ids: BTreeSet<&str> = world.generations().iter().map(|g| g.plugin_id()).collect();
    ids.into_iter().map(str::to_owned).collect()
}

fn time_limit(generation: &Generation, hooks: Option<&HookTable>, delivery: &Delivery) -> Duration {
    let of_hook = hooks.and_then(|hooks| {
        let mut heard = hooks.post(&delivery.name);
        let own = |hook: &&Hook| {
            *hook.handler == *delivery.handler && hook.generation.plugin_id() == delivery.plugin_id
        };
        heard.find(own).map(Hook::time_limit)
    });
    let of_hook = of_hook.filter(|_| delivery.kind == Kind::Event);
    of_hook.unwrap_or(generation.time_limit())
}

async fn call(
    generation: &Arc<Generation>,
    delivery: &Delivery,
    limit: Duration,
) -> Result<(), String> {
    if !generation.has_handler(&delivery.handler) {
        let version = &generation.manifest().version;
        return Err(format!("version {version} of the plugin has no {}", delivery.handler));
    }
    let payload: Value = serde_json::from_str(&delivery.payload)
        .map_err(|error| format!("the payload cannot be read: {error}"))?;
    let mut context = CallContext::of(generation, Instant::now() + limit);
    context.depth = delivery.depth + 1;
    context.delivery = Some(Arc::new(DeliveryInfo::of(delivery)));
    let payload = Arg::Value(&payload);
    let args = if delivery.kind == Kind::Schedule { &[][..] } else { &[payload][..] };
    match generation.call(&delivery.handler, args, context).await {
        Ok(_) => Ok(()),
        Err(error) => {
            if let Some(traceback) = &error.traceback {
                tracing::debug!(plugin = generation.plugin_id(), traceback);
            }
            Err(error.to_string())
        }
    }
}

/// A failure that changes nothing but that a delivery is made once more.
fn log(result: Result<(), DbError>) {
    if let Err(error) = result {
        tracing::warn!("cannot note how a delivery ended; it is made again: {error}");
    }
}
