//! The audit log: who has changed what about plugins, and what plugins were denied.

pub mod admin;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::services::Services;
use crate::store::audit_log::{self, Entry};
use crate::store::plugins::now;

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
    writing: OnceLock<mpsc::UnboundedSender<Write>>,
    /// When a plugin was denied something last.
    denials: Mutex<HashMap<(String, String), Instant>>,
}

#[derive(Debug)]
enum Write {
    Entry(Entry),
    /// Says when everything before it is written.
    Mark(oneshot::Sender<()>),
}

impl AuditLog {
    /// Tells the log where the database is. What comes before that is not kept.
    pub fn connect(&self, services: &Arc<Services>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        // A second call would name the same services.
        if self.writing.set(sender).is_ok() {
            tokio::spawn(write(Arc::downgrade(services), receiver));
        }
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
        let Some(writing) = self.writing.get() else { return };
        let entry = Entry {
            at: now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            plugin_id: plugin_id.to_owned(),
            details: details.to_string(),
        };
        // The writer ends with the services, after everything that could be noted.
        let _ = writing.send(Write::Entry(entry));
    }

    /// Waits until everything noted so far is written, or until the patience is over.
    pub async fn written(&self, patience: Duration) {
        let Some(writing) = self.writing.get() else { return };
        let (mark, reached) = oneshot::channel();
        if writing.send(Write::Mark(mark)).is_ok()
            && tokio::time::timeout(patience, reached).await.is_err()
        {
            tracing::warn!("gave up on writing the audit log");
        }
    }
}

async fn write(services: Weak<Services>, mut queue: mpsc::UnboundedReceiver<Write>) {
    while let Some(first) = queue.recv().await {
        let Some(services) = services.upgrade() else { return };
        let (mut entries, mut marks) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(write) = next {
            match write {
                Write::Entry(entry) => entries.push(entry),
                Write::Mark(mark) => marks.push(mark),
            }
            next = queue.try_recv().ok();
        }
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
        for mark in marks {
            // Whoever waited may have lost patience.
            let _ = mark.send(());
        }
    }
}
