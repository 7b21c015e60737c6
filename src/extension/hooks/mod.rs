//! Hooks: functions that plugins have called when something happens.
//!
//! Post hooks hear of events after the fact. For now they are called in this process, without
//! retries.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Conflict, ExtensionPoint, Loading};
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::HookKind;

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
}

/// A hook of an active plugin.
#[derive(Debug, Clone)]
pub struct Hook {
    pub generation: Arc<Generation>,
    pub handler: Arc<str>,
    /// The plugin's own if `None`.
    pub time_limit: Option<Duration>,
    pattern: String,
    order: i64,
}

/// The post hooks of all active plugins, by `order`, then by activation.
#[derive(Debug, Default)]
pub struct HookTable {
    post: Vec<Hook>,
}

impl HookTable {
    /// The post hooks that hear `event`, in the order in which they are called.
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
            table.post.extend(declared.0.iter().filter(|d| d.kind == HookKind::Post).map(|d| {
                Hook {
                    generation: Arc::clone(generation),
                    handler: Arc::clone(&d.handler),
                    time_limit: d.time_limit,
                    pattern: d.pattern.clone(),
                    order: d.order,
                }
            }));
        }
        // Stable: hooks of one order stay in the order of activation.
        table.post.sort_by_key(|hook| hook.order);
        world.insert(Arc::new(table));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        assert!(matches("user:create", "user:create"));
        assert!(matches("user:*", "user:create"));
        assert!(matches("*", "user:create"));
        assert!(!matches("user:*", "users:create"));
        assert!(!matches("user:create", "user:created"));
    }
}
