//! The audit log: who has changed what about plugins, and what plugins were denied.

pub mod admin;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::services::Services;
use crate::store::audit_log::{self, Entry};
use crate::store::plugins::now;
use crate::writer::Writer;

/// A plugin that is denied the same again is noted once in this time.
const DENIALS: Duration = Duration::from_secs(60);
/// The most different denials that are remembered.
const MAX_DENIALS: usize = 10_000;

tokio::task_local! {
    static ACTOR: Arc<str>;
}

/// Who is behind what happens now.
pub fn actor() -> Arc<str> {
    ACTOR.try_with(Arc::clone).unwrap_or_else(|_| "host".into())
}

/// Lets `actor` be behind what `future` does.
pub async fn acting<F: Future>(actor: Arc<str>, future: F) -> F::Output {
    ACTOR.scope(actor, future).await
}

/// Where entries are handed in.
#[derive(Debug, Default)]
pub struct AuditLog {
    writer: Writer<Entry>,
    /// When a plugin was denied something last.
    denials: Mutex<HashMap<(String, String), Instant>>,
}

impl AuditLog {
    /// Tells the log where the database is. What comes before that is not kept.
    pub fn connect(&self, services: &Arc<Services>) {
        self.writer.start(services, |services, entries| write(services, entries).boxed());
    }

    /// Notes that the present actor has done something.
    pub fn done(&self, action: &str, plugin_id: &str, details: &Value) {
        self.note(&actor(), action, plugin_id, details);
    }

    /// Notes that a plugin was denied something, such as `http` and an origin; or, if it is only monitored,
    /// that it would have been.
    pub fn denied(&self, plugin_id: &str, kind: &str, entry: &str, monitored: bool) {
        let action = if monitored { "wouldDeny" } else { "denied" };
        {
            let mut denials = self.denials.lock();
            let now = Instant::now();
            if denials.len() >= MAX_DENIALS {
                denials.retain(|_, at| now.duration_since(*at) < DENIALS);
            }
            let key = (plugin_id.to_owned(), format!("{action} {kind} {entry}"));
            let is_new = |at: &Instant| now.duration_since(*at) >= DENIALS;
            if denials.len() >= MAX_DENIALS || !denials.get(&key).is_none_or(is_new) {
                return;
            }
            denials.insert(key, now);
        }
        tracing::warn!(plugin = plugin_id, "{action}: {kind} {entry}");
        let actor = format!("plugin {plugin_id}");
        self.note(&actor, action, plugin_id, &json!({ "permission": kind, "entry": entry }));
    }

    fn note(&self, actor: &str, action: &str, plugin_id: &str, details: &Value) {
        self.writer.send(Entry {
            at: now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            plugin_id: plugin_id.to_owned(),
            details: details.to_string(),
        });
    }

    /// Waits until everything noted so far is written, or until the patience is over.
    pub async fn written(&self, patience: Duration) {
        if !self.writer.written(patience).await {
            tracing::warn!("gave up on writing the audit log");
        }
    }
}

async fn write(services: Arc<Services>, entries: Vec<Entry>) {
    let lost = entries.clone();
    if let Err(error) = audit_log::insert(&services.store.session(), entries).await {
        for entry in lost {
            tracing::error!(
                actor = entry.actor,
                action = entry.action,
                plugin = entry.plugin_id,
                details = entry.details,
                "an entry of the audit log is only here: {error}"
            );
        }
    }
}
