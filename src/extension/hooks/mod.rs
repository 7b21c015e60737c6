//! Hooks: functions that plugins have called when something happens.
//!
//! Pre hooks run before it, in order, and may change what it is about or veto it. Post hooks hear of it
//! after the commit, through the outbox of [`crate::events`].

mod pre;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use pre::{Cause, Refused, run_pre};

use super::{Conflict, ExtensionPoint, Loading};
use crate::error::Result;
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::{HookKind, OnError};
use crate::store::{Session, deliveries};

/// The extension point.
#[derive(Debug)]
pub struct Hooks;

/// The hooks of one generation.
#[derive(Debug, Default)]
struct Declared(Vec<Declaration>);

#[derive(Debug, Clone)]
struct Declaration {
    kind: HookKind,
    /// An event name, or the beginning of one and `*`.
    pattern: String,
    handler: Arc<str>,
    order: i64,
    time_limit: Option<Duration>,
    on_error: OnError,
}

/// A hook of an active plugin.
#[derive(Debug, Clone)]
pub struct Hook {
    pub generation: Arc<Generation>,
    pub handler: Arc<str>,
    /// The plugin's own if `None`.
    time_limit: Option<Duration>,
    /// What a failure of a pre hook means.
    pub on_error: OnError,
    pattern: String,
    order: i64,
}

/// The hooks of all active plugins, by `order`, then by activation.
#[derive(Debug, Default)]
pub struct HookTable {
    pre: Vec<Hook>,
    post: Vec<Hook>,
}

impl Hook {
    /// How long a call may take: what the manifest says, within the server's settings.
    pub fn time_limit(&self) -> Duration {
        let most = Duration::from_millis(self.generation.services.limits.max_timeout_ms);
        self.time_limit.unwrap_or(self.generation.time_limit()).min(most)
    }
}

impl HookTable {
    /// The pre hooks of `event`, in the order in which they are called.
    pub fn pre<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Hook> {
        self.pre.iter().filter(move |hook| matches(&hook.pattern, event))
    }

    /// The post hooks that hear `event`.
    pub fn post<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Hook> {
        self.post.iter().filter(move |hook| matches(&hook.pattern, event))
    }
}

/// Whether an event name fits a pattern. A `*` at the end stands for any rest.
pub fn matches(pattern: &str, event: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => event.starts_with(start),
        None => pattern == event,
    }
}

#[async_trait]
impl ExtensionPoint for Hooks {
    async fn declare(&self, loading: &mut Loading<'_>) {
        let mut declared = Declared::default();
        for (i, entry) in loading.manifest.extension_points.hooks.iter().enumerate() {
            let wanted_by = format!("extensionPoints.hooks[{i}].handler");
            let Some(function) = loading.function(&entry.file, &entry.handler, &wanted_by).await
            else {
                continue;
            };
            let key: Arc<str> = format!("hook:{}:{}", entry.file, entry.handler).into();
            loading.handler(Arc::clone(&key), function);
            declared.0.push(Declaration {
                kind: entry.kind,
                pattern: entry.event.clone(),
                handler: key,
                order: entry.order,
                time_limit: entry.timeout_ms.map(Duration::from_millis),
                on_error: entry.on_error,
            });
        }
        loading.parts.insert(Arc::new(declared));
    }

    fn assemble(
        &self,
        generations: &[Arc<Generation>],
        world: &mut Parts,
    ) -> Result<(), Vec<Conflict>> {
        let mut table = HookTable::default();
        for generation in generations {
            let Some(declared) = generation.parts.get::<Declared>() else { continue };
            for declaration in &declared.0 {
                let hook = Hook {
                    generation: Arc::clone(generation),
                    handler: Arc::clone(&declaration.handler),
                    time_limit: declaration.time_limit,
                    on_error: declaration.on_error,
                    pattern: declaration.pattern.clone(),
                    order: declaration.order,
                };
                match declaration.kind {
                    HookKind::Pre => table.pre.push(hook),
                    HookKind::Post => table.post.push(hook),
                }
            }
        }
        // Stable: hooks of one order stay in the order of activation.
        table.pre.sort_by_key(|hook| hook.order);
        table.post.sort_by_key(|hook| hook.order);
        world.insert(Arc::new(table));
        Ok(())
    }

    /// What is owed to a plugin goes with it, its jobs too.
    async fn uninstall(&self, plugin_id: &str, session: &Session) -> Result<()> {
        let count = deliveries::drop_all(session, plugin_id).await?;
        if count > 0 {
            tracing::warn!(plugin = plugin_id, count, "dropped deliveries that were owed to it");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        assert!(matches("user:*", "user:create"));
        assert!(matches("user:create", "user:create"));
        assert!(matches("*", "user:create"));
        assert!(!matches("user:*", "users:create"));
        assert!(!matches("user:create", "user:created"));
    }
}
