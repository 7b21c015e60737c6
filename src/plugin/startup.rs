//! Start, stop, and changes in the plugins folder.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;

use super::generation::Generation;
use super::late::Waiting;
use super::lifecycle::{self, Function};
use super::manifest::{Manifest, is_plugin_id};
use super::operations::Operations;
use super::source;
use super::steps::Undo;
use super::world::World;
use crate::containers::Known;
use crate::error::{Error, Phase, Problem, Result};
use crate::events::Event;
use crate::extension::Conflict;
use crate::store::plugins::{self, PluginChanges, PluginFilter, PluginRecord};
use crate::value::Map;

/// How many plugins are read and compiled at a time when the host starts.
const PARALLEL_LOADS: usize = 4;

impl Operations {
    /// Makes what the database says is active active again, but for those that take long. Says whether
    /// there are any.
    pub async fn start(&self) -> Result<bool> {
        self.directory.serves();
        self.raise("plugins:initializing");
        self.tidy().await;
        for candidate in self.scan().await {
            if let Some(problem) = candidate.problem {
                self.log(&candidate.name, std::slice::from_ref(&problem));
                self.directory.failed(&candidate.name, &[problem]);
            }
        }
        let session = self.services.store.session();
        let records = plugins::list(&session, &PluginFilter::default()).await?;
        let (active, inactive): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| record.is_activated);
        self.tidy_services(active.iter().chain(&inactive)).await;
        for record in &inactive {
            self.read_manifest(&record.plugin_id).await;
            if self.options.automatic && !self.has_failed(record) {
                let plugin = &record.plugin_id;
                tracing::info!(%plugin, "known but not active; moondock plugin activate {plugin}");
            }
        }
        let loading = stream::iter(active).map(|record| async move {
            let prepared = self.prepare(&record).await;
            (record, prepared)
        });
        let mut waiting = Vec::new();
        let mut loaded = std::pin::pin!(loading.buffered(PARALLEL_LOADS));
        while let Some((record, prepared)) = loaded.next().await {
            match prepared {
                Ok(generation) => waiting.push((record, generation)),
                Err(problems) => self.not_started(&record, problems).await,
            }
        }
        let late = self.those_to_wait_for(&mut waiting);
        self.start_in_order(waiting).await;
        let active = self.services.world.load().generations().len();
        tracing::info!(active, "plugins are up");
        if !late.is_empty() {
            tracing::info!(count = late.len(), "plugins with services are started next");
        }
        self.raise("plugins:initialized");
        if self.options.automatic {
            self.take_in_new_folders().await;
        }
        if late.is_empty() {
            self.raise("plugins:ready");
        }
        let are_late = !late.is_empty();
        *self.late.lock() = late;
        Ok(are_late)
    }

    /// Reads the manifests of all plugins without running anything.
    pub async fn know(&self) -> Result<()> {
        let session = self.services.store.session();
        for record in plugins::list(&session, &PluginFilter::default()).await? {
            self.read_manifest(&record.plugin_id).await;
        }
        Ok(())
    }

    /// The names of the folders that may be plugins.
    pub async fn folders(&self) -> Vec<String> {
        self.scan().await.into_iter().map(|candidate| candidate.name).collect()
    }

    /// Brings up what is loaded, plugins after those that they depend on, and puts them all into
    /// one new World, beside those that are in it already.
    pub(super) async fn start_in_order(&self, mut waiting: Vec<Waiting>) {
        let before: Vec<Arc<Generation>> = self.services.world.load().generations().to_vec();
        let mut up = before.clone();
        while !waiting.is_empty() {
            let known: HashSet<&str> = up.iter().map(|g| g.plugin_id()).collect();
            let ready = |(_, g): &Waiting| {
                g.manifest().dependencies.keys().all(|id| known.contains(id.as_str()))
            };
            // Of those that wait for each other, or for what is not there, any one fails the check.
            let next = waiting.iter().position(ready).unwrap_or(0);
            let (record, generation) = waiting.remove(next);
            let sofar = World::of(up.clone());
            let mut undo = Undo::default();
            match self.start_one(&generation, &record, &sofar, &mut undo).await {
                Ok(()) => up.push(generation),
                Err(problems) => {
                    undo.run().await;
                    self.not_started(&record, problems).await;
                }
            }
        }
        let world = self.fitting_world(&mut up).await;
        up.retain(|generation| !before.iter().any(|other| Arc::ptr_eq(other, generation)));
        for generation in &up {
            let active = Some(Arc::clone(generation));
            self.directory.change(generation.plugin_id(), |state| state.active = active);
            self.settled(generation.plugin_id(), generation);
        }
        self.services.replace_world(Arc::new(world));
        for generation in &up {
            self.emit("plugin:activated", generation.plugin_id(), Some(generation), None);
        }
    }

    async fn start_one(
        &self,
        generation: &Arc<Generation>,
        record: &PluginRecord,
        sofar: &World,
        undo: &mut Undo<'_>,
    ) -> Result<(), Vec<Problem>> {
        let upgrade = self.bring_up(generation, record, sofar, undo).await?;
        if upgrade.is_none() {
            return Ok(());
        }
        self.finish_upgrade(upgrade, record, PluginChanges::default())
            .await
            .map_err(|error| lifecycle::problem_of(Phase::Activate, &error))
    }

    /// The World of as many generations as fit together.
    async fn fitting_world(&self, up: &mut Vec<Arc<Generation>>) -> World {
        loop {
            let conflicts = match self.build(up.clone()) {
                Ok(world) => return world,
                Err(conflicts) => conflicts,
            };
            let at_fault: HashSet<String> =
                conflicts.iter().map(|conflict| conflict.plugin_id.clone()).collect();
            let before = up.len();
            let (out, rest): (Vec<_>, Vec<_>) =
                up.drain(..).partition(|g| at_fault.contains(g.plugin_id()));
            *up = rest;
            for generation in out {
                let plugin_id = generation.plugin_id();
                let own = |conflict: &&Conflict| conflict.plugin_id == plugin_id;
                let problems = conflicts.iter().filter(own).map(|c| c.problem.clone()).collect();
                lifecycle::call_and_log(&generation, Function::Deactivate).await;
                self.stop_services(plugin_id).await;
                lifecycle::unload(&self.services, &generation).await;
                self.fail(plugin_id, "activated", problems, false).await;
            }
            if up.len() == before {
                // Nobody to blame: the host's own declarations, which its tests hold together.
                tracing::error!("no World can be built: {conflicts:?}");
                return World::default();
            }
        }
    }

    pub(super) async fn not_started(&self, record: &PluginRecord, problems: Vec<Problem>) {
        // The record stays active: it is tried again at the next start, and when its files change.
        self.fail(&record.plugin_id, "activated", problems, false).await;
    }

    /// Takes down the containers of plugins that are not to have any.
    async fn tidy_services(&self, records: impl Iterator<Item = &PluginRecord>) {
        let known: Vec<Known> = records
            .map(|record| Known {
                plugin_id: record.plugin_id.clone(),
                is_active: record.is_activated,
                is_installed: record.is_installed,
            })
            .collect();
        if let Err(error) = self.services.containers.tidy(&known).await {
            tracing::warn!("it is not known whether containers are left over: {error}");
        }
    }

    /// After the container engine was gone: what is left over goes, and what active plugins need is
    /// there again.
    pub async fn put_services_in_order(&self) -> Result<()> {
        let session = self.services.store.session();
        let records = plugins::list(&session, &PluginFilter::default()).await?;
        self.tidy_services(records.iter()).await;
        for generation in self.services.world.load_full().generations() {
            for point in self.services.points.iter() {
                if let Err(error) = point.start(generation, None).await {
                    let plugin = generation.plugin_id();
                    let problems = lifecycle::problem_of(Phase::Call, &error);
                    tracing::error!(plugin, "{error}");
                    for problem in problems {
                        self.services.failures.note(plugin, &problem);
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends all generations. Records stay as they are.
    pub async fn stop(&self) -> Result<()> {
        let world = self.services.world.load_full();
        for generation in world.generations().iter().rev() {
            let plugin_id = generation.plugin_id();
            lifecycle::unload(&self.services, generation).await;
            self.directory.change(plugin_id, |state| state.active = None);
        }
        Ok(())
    }

    /// Looks at a folder in which something has changed.
    pub async fn folder_changed(&self, plugin_id: &str) {
        if let Err(error) = self.look_at(plugin_id).await {
            // What is wrong with the plugin was shown where it was found.
            tracing::debug!(plugin = plugin_id, "{error}");
        }
    }

    async fn look_at(&self, plugin_id: &str) -> Result<()> {
        let session = self.services.store.session();
        let record = plugins::by_plugin_id(&session, plugin_id).await?;
        let exists = self.folder(plugin_id).is_dir();
        let Some(record) = record else {
            return if exists && self.options.automatic {
                self.take_in(plugin_id).await
            } else {
                Ok(())
            };
        };
        let state = self.directory.state(plugin_id);
        if !exists {
            return if record.is_activated { self.folder_gone(plugin_id).await } else { Ok(()) };
        }
        match self.read(plugin_id).await {
            // Saved without a change, or seen twice.
            Ok(source) if state.tried.as_deref() == Some(source.hash()) => return Ok(()),
            Ok(_) => {}
            Err(problems) if record.is_activated => {
                // The files of the version that serves are news once they can be read again.
                self.directory.change(plugin_id, |state| state.tried = None);
                return Err(self.fail(plugin_id, "reloaded", problems, false).await);
            }
            Err(_) => return Ok(()),
        }
        if record.is_activated {
            self.replace(plugin_id).await
        } else if self.options.automatic && self.has_failed(&record) {
            // It would be active but for the errors that this change may have mended.
            self.take_in(plugin_id).await
        } else {
            self.read_manifest(plugin_id).await;
            Ok(())
        }
    }

    /// A plugin without its files cannot be what its author sees: it stops serving, and serves again
    /// when the folder is back. Its record says as before that it is to be active.
    async fn folder_gone(&self, plugin_id: &str) -> Result<()> {
        let gone = |more: &str| {
            vec![Problem::new(Phase::Source, format!("the plugin's folder is gone{more}"))]
        };
        self.directory.change(plugin_id, |state| state.tried = None);
        let Some(generation) = self.directory.state(plugin_id).active else {
            return Err(self.fail(plugin_id, "found", gone(""), false).await);
        };
        let dependents = lifecycle::dependents(plugin_id, &self.services.world.load()).join(", ");
        if !dependents.is_empty() {
            let more = format!("; it serves on, because active plugins depend on it: {dependents}");
            return Err(self.fail(plugin_id, "found", gone(&more), false).await);
        }
        let mut undo = Undo::default();
        match self.withdraw(&generation, &mut undo).await {
            Ok(()) => {
                lifecycle::call_and_log(&generation, Function::Deactivate).await;
                self.stop_services(plugin_id).await;
                lifecycle::unload(&self.services, &generation).await;
                Err(self.fail(plugin_id, "found", gone(""), false).await)
            }
            Err(problems) => Err(self.fail(plugin_id, "found", problems, false).await),
        }
    }

    /// Installs, if need be, and activates.
    async fn take_in(&self, plugin_id: &str) -> Result<()> {
        if !is_plugin_id(plugin_id) {
            let id = self.read(plugin_id).await.ok().and_then(|source| {
                let (manifest, _) = Manifest::parse(source.manifest()?, None).ok()?;
                Some(manifest.plugin_id)
            });
            let hint = id.map(|id| format!("; rename it to \"{id}\"")).unwrap_or_default();
            let message = format!("the folder's name \"{plugin_id}\" is no plugin id{hint}");
            self.log(plugin_id, &[Problem::new(Phase::Source, message)]);
            return Ok(());
        }
        let session = self.services.store.session();
        let record = match plugins::by_plugin_id(&session, plugin_id).await? {
            Some(record) => record,
            // First of all a record, so that there is something to show errors on.
            None => self.create(plugin_id).await?.record,
        };
        if !record.is_installed {
            self.install(plugin_id, true).await?;
        }
        self.activate(plugin_id).await.map(drop)
    }

    /// Whether something went wrong with a plugin last, before the host started or since.
    fn has_failed(&self, record: &PluginRecord) -> bool {
        let state = self.directory.state(&record.plugin_id);
        !(state.errors.is_empty() && record.last_errors.is_empty())
    }

    /// For authors: takes in every folder that has no record yet, and those that would be active but
    /// for errors that may have been mended since.
    async fn take_in_new_folders(&self) {
        for candidate in self.scan().await {
            if candidate.problem.is_none() {
                let session = self.services.store.session();
                let record = plugins::by_plugin_id(&session, &candidate.name).await;
                let wanted = match record {
                    Ok(None) => true,
                    Ok(Some(record)) => !record.is_activated && self.has_failed(&record),
                    Err(_) => false,
                };
                if wanted {
                    self.report(&candidate.name, self.take_in(&candidate.name).await);
                }
            }
        }
    }

    fn report(&self, plugin_id: &str, result: Result<(), Error>) {
        if let Err(error) = result {
            tracing::debug!(plugin = plugin_id, "not taken in: {error}");
        }
    }

    /// The folders that may be plugins.
    async fn scan(&self) -> Vec<source::Candidate> {
        let dir = self.options.plugins_dir.clone();
        match tokio::task::spawn_blocking(move || source::scan(&dir)).await {
            Ok(Ok(candidates)) => candidates,
            Ok(Err(problem)) => {
                tracing::error!("{problem}");
                Vec::new()
            }
            Err(error) => {
                tracing::error!("the plugins folder cannot be read: {error}");
                Vec::new()
            }
        }
    }

    pub(super) fn raise(&self, name: &str) {
        self.services.events.emit(Event::new(name, Map::new()));
    }
}
