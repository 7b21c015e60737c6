//! Plugins that take long to start, such as those with container services: when the host starts they come after
//! the others, which need not wait for them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::generation::Generation;
use super::operations::Operations;
use crate::error::Result;
use crate::store::plugins::{self, PluginRecord};

/// A plugin that is loaded and not started yet.
pub(super) type Waiting = (PluginRecord, Arc<Generation>);

impl Operations {
    /// Takes out those that take long to start, and what depends on them.
    pub(super) fn those_to_wait_for(&self, waiting: &mut Vec<Waiting>) -> VecDeque<Waiting> {
        let is_slow = |generation: &Generation| {
            self.services.points.iter().any(|point| point.is_slow(generation))
        };
        let (mut late, mut rest): (VecDeque<_>, Vec<_>) = (VecDeque::new(), Vec::new());
        // Until nothing more is found that depends on what is late.
        let mut ids: HashSet<String> = HashSet::new();
        loop {
            let before = ids.len();
            for (_, generation) in waiting.iter() {
                let needs = generation.manifest().dependencies.keys().any(|id| ids.contains(id));
                if needs || is_slow(generation) {
                    ids.insert(generation.plugin_id().to_owned());
                }
            }
            if ids.len() == before {
                break;
            }
        }
        for (record, generation) in waiting.drain(..) {
            if ids.contains(generation.plugin_id()) {
                self.directory.change(generation.plugin_id(), |state| state.busy = true);
                late.push_back((record, generation));
            } else {
                rest.push((record, generation));
            }
        }
        *waiting = rest;
        late
    }

    /// Starts the next of the plugins that take long to start. `false` if there is none.
    pub async fn start_late(&self) -> Result<bool> {
        let next = {
            let mut late = self.late.lock();
            let ids: HashSet<String> = late.iter().map(|(_, g)| g.plugin_id().to_owned()).collect();
            let is_free =
                |(_, g): &Waiting| g.manifest().dependencies.keys().all(|id| !ids.contains(id));
            let at = late.iter().position(is_free).unwrap_or(0);
            late.remove(at)
        };
        let Some((before, generation)) = next else { return Ok(false) };
        let plugin_id = generation.plugin_id();
        self.directory.change(plugin_id, |state| state.busy = false);
        let record = plugins::by_plugin_id(&self.services.store.session(), plugin_id).await?;
        let is_active = self.directory.state(plugin_id).active.is_some();
        // Meanwhile somebody may have switched it off, or on.
        if let Some(record) = record.filter(|record| record.is_activated && !is_active) {
            let busy = self.busy(plugin_id);
            // Or granted it less, or configured it.
            let is_as_before = record.updated_at == before.updated_at;
            let prepared = match is_as_before {
                true => Ok(Arc::clone(&generation)),
                false => self.prepare(&record).await,
            };
            match prepared {
                Ok(generation) => self.start_in_order(vec![(record, generation)]).await,
                Err(problems) => self.not_started(&record, problems).await,
            }
            drop(busy);
        }
        if self.late.lock().is_empty() {
            self.raise("plugins:ready");
        }
        Ok(true)
    }
}
