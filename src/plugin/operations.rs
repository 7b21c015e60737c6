//! The operations on plugins. Each is all or nothing: a failing step undoes those before it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::configure;
use super::directory::{Directory, PluginView, granted};
use super::generation::Generation;
use super::lifecycle::{self, Function, StepTransaction, event, failed, forbidden, problem_of};
use super::loader;
use super::manager::ManagerOptions;
use super::manifest::{Manifest, Permissions, is_plugin_id};
use super::source::Source;
use super::steps::Undo;
use super::world::World;
use crate::error::{Error, Phase, Problem, Result, code};
use crate::extension::Conflict;
use crate::report::Reporter;
use crate::services::Services;
use crate::store::plugins::{self, PluginChanges, PluginRecord, RecordedError};
use crate::value::Value;

/// How much longer than a call's own time limit a generation is waited for to finish its calls.
const DRAIN_MARGIN: Duration = Duration::from_millis(500);

/// Carries out the manager's operations.
pub struct Operations {
    pub(super) services: Arc<Services>,
    pub(super) options: ManagerOptions,
    pub(super) directory: Arc<Directory>,
}

/// Keeps a plugin marked as busy.
struct Busy<'a>(&'a Directory, String);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.change(&self.1, |state| state.busy = false);
    }
}

impl Operations {
    pub fn new(
        services: Arc<Services>,
        options: ManagerOptions,
        directory: Arc<Directory>,
    ) -> Self {
        Operations { services, options, directory }
    }

    // --- records -------------------------------------------------------------------------------

    pub async fn create(&self, plugin_id: &str) -> Result<PluginView> {
        require_id(plugin_id)?;
        let session = self.services.store.session();
        if plugins::by_plugin_id(&session, plugin_id).await?.is_some() {
            return Err(forbidden("A plugin with this id already exists"));
        }
        let record = plugins::insert(&session, plugin_id).await?;
        self.read_manifest(plugin_id).await;
        Ok(self.directory.view(record))
    }

    pub async fn rename(&self, plugin_id: &str, new_id: &str) -> Result<PluginView> {
        require_id(new_id)?;
        let record = self.record(plugin_id).await?;
        if record.is_installed {
            return Err(forbidden("The id of an installed plugin cannot be changed"));
        }
        let session = self.services.store.session();
        if plugin_id != new_id && plugins::by_plugin_id(&session, new_id).await?.is_some() {
            return Err(forbidden("A plugin with this id already exists"));
        }
        let changes = PluginChanges { plugin_id: Some(new_id.into()), ..Default::default() };
        let view = self.change_record(&record, changes).await?;
        self.directory.forget(plugin_id);
        self.read_manifest(new_id).await;
        Ok(self.directory.view(view.record))
    }

    pub async fn set_backup(&self, plugin_id: &str, backup: bool) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        self.change_record(&record, PluginChanges { backup: Some(backup), ..Default::default() })
            .await
    }

    pub async fn grant(
        &self,
        plugin_id: &str,
        permissions: serde_json::Value,
    ) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        Permissions::parse(&permissions).map_err(|problems| {
            let text = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ");
            Error::invalid_argument(&["input", "permissions"], text)
        })?;
        let granting = |permissions: Option<Value>| PluginChanges {
            granted_permissions: Some(permissions),
            ..Default::default()
        };
        let view = self.change_record(&record, granting(Some(Value::from(&permissions)))).await?;
        let Some(active) = self.directory.state(plugin_id).active else { return Ok(view) };
        let missing = active.manifest().permissions.missing_from(&view.granted());
        // What it may do is fixed when a generation is made.
        let replaced = if missing.is_empty() {
            self.replace(plugin_id).await
        } else {
            let missing = missing.join(", ");
            Err(forbidden(format!("The active plugin needs {missing}; deactivate it first")))
        };
        if let Err(error) = replaced {
            self.change_record(&record, granting(record.granted_permissions.clone())).await?;
            return Err(error);
        }
        self.view(plugin_id).await
    }

    // --- install -------------------------------------------------------------------------------

    pub async fn install(&self, plugin_id: &str, grant: bool) -> Result<PluginView> {
        require_id(plugin_id)?;
        let session = self.services.store.session();
        let existing = plugins::by_plugin_id(&session, plugin_id).await?;
        if existing.as_ref().is_some_and(|record| record.is_installed) {
            return Err(forbidden("Plugin is already installed"));
        }
        if existing.is_none() && !self.folder(plugin_id).is_dir() {
            let folder = self.folder(plugin_id);
            let message = format!("Plugin not found: there is no folder {}", folder.display());
            return Err(forbidden(message));
        }
        let _busy = self.busy(plugin_id);
        self.emit("plugin:installing", plugin_id, None, None);
        let config = existing.and_then(|record| record.config);
        let grant = grant || self.options.automatic;
        match self.install_steps(plugin_id, grant, config.as_ref()).await {
            Ok((generation, events)) => {
                self.settled(plugin_id, &generation);
                for held in events {
                    self.services.events.emit(held);
                }
                self.emit("plugin:installed", plugin_id, Some(&generation), None);
            }
            Err(problems) => return Err(self.fail(plugin_id, "installed", problems, true).await),
        }
        drop(_busy);
        self.view(plugin_id).await
    }

    async fn install_steps(
        &self,
        plugin_id: &str,
        grant: bool,
        config: Option<&Value>,
    ) -> Result<(Arc<Generation>, Vec<crate::events::Event>), Vec<Problem>> {
        let install = |error: Error| problem_of(Phase::Install, &error);
        let database = |error: crate::store::DbError| install(error.into());
        let generation = self.load(plugin_id, &Permissions::default(), config).await?;
        let manifest = generation.manifest();
        let store = &self.services.store;
        let transaction = StepTransaction::new(store.begin().await.map_err(database)?);
        let session = transaction.session();
        // From here on, whatever fails drops the transaction, which takes everything back; so does
        // the death of the process.
        let record = match plugins::by_plugin_id(session, plugin_id).await.map_err(database)? {
            Some(record) => record,
            None => plugins::insert(session, plugin_id).await.map_err(database)?,
        };
        for point in self.services.points.iter() {
            point.install(&generation, session).await.map_err(install)?;
        }
        lifecycle::call(&generation, Function::Install, Some(&transaction)).await?;
        let mut changes = PluginChanges {
            is_installed: Some(true),
            installed_version: Some(Some(manifest.version.to_string())),
            last_errors: Some(Vec::new()),
            ..Default::default()
        };
        if grant {
            changes.granted_permissions = Some(Some(asked(manifest)));
        }
        plugins::update(session, &record.id, changes).await.map_err(database)?;
        let events = transaction.commit().await.map_err(install)?;
        Ok((generation, events))
    }

    // --- activate ------------------------------------------------------------------------------

    pub async fn activate(&self, plugin_id: &str) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        if !record.is_installed {
            return Err(forbidden("Plugin is not installed; install it first"));
        }
        if self.directory.state(plugin_id).active.is_some() {
            return self.view(plugin_id).await;
        }
        let busy = self.busy(plugin_id);
        let mut undo = Undo::default();
        match self.activate_steps(&record, &mut undo).await {
            Ok(generation) => {
                self.settled(plugin_id, &generation);
                self.emit("plugin:activated", plugin_id, Some(&generation), None);
            }
            Err(problems) => {
                undo.run().await;
                return Err(self.fail(plugin_id, "activated", problems, true).await);
            }
        }
        drop(busy);
        self.view(plugin_id).await
    }

    async fn activate_steps(
        &self,
        record: &PluginRecord,
        undo: &mut Undo<'_>,
    ) -> Result<Arc<Generation>, Vec<Problem>> {
        let plugin_id = &record.plugin_id;
        let generation = self.prepare(record).await?;
        let current = self.services.world.load_full();
        self.bring_up(&generation, &current, undo).await?;
        let mut generations = current.generations().to_vec();
        generations.push(Arc::clone(&generation));
        let world = self.build(generations).map_err(lifecycle::problems_of)?;
        let changes = PluginChanges {
            is_activated: Some(true),
            last_errors: Some(Vec::new()),
            ..Default::default()
        };
        self.change_record(record, changes)
            .await
            .map_err(|error| problem_of(Phase::Activate, &error))?;
        self.services.world.store(Arc::new(world));
        self.directory.change(plugin_id, |state| state.active = Some(Arc::clone(&generation)));
        Ok(generation)
    }

    /// Loads a generation and checks that it may serve.
    pub(super) async fn prepare(
        &self,
        record: &PluginRecord,
    ) -> Result<Arc<Generation>, Vec<Problem>> {
        let plugin_id = &record.plugin_id;
        self.emit("plugin:loading", plugin_id, None, None);
        let mut permissions = granted(record);
        let config = record.config.as_ref();
        let mut generation = self.load(plugin_id, &permissions, config).await?;
        let manifest = generation.manifest();
        if self.options.automatic && !manifest.permissions.missing_from(&permissions).is_empty() {
            let note = manifest.permissions.missing_from(&permissions).join(", ");
            tracing::info!(plugin = %plugin_id, "granted by itself, as this is dev: {note}");
            let changes = PluginChanges {
                granted_permissions: Some(Some(asked(manifest))),
                ..Default::default()
            };
            self.change_record(record, changes)
                .await
                .map_err(|error| problem_of(Phase::Activate, &error))?;
            permissions = manifest.permissions.clone();
            generation = self.load(plugin_id, &permissions, config).await?;
        }
        lifecycle::ungranted(generation.manifest(), &permissions)?;
        configure::unfit(&generation)?;
        self.upgrade(&generation).await?;
        Ok(generation)
    }

    /// Makes what this version needs beyond the installed one.
    async fn upgrade(&self, generation: &Arc<Generation>) -> Result<(), Vec<Problem>> {
        let activate = |error: Error| problem_of(Phase::Activate, &error);
        let begun = self.services.store.begin().await.map_err(|error| activate(error.into()))?;
        for point in self.services.points.iter() {
            point.upgrade(generation, begun.session()).await.map_err(activate)?;
        }
        begun.commit().await.map_err(|error| activate(error.into()))
    }

    /// `onLoad` and `onActivate` of a generation that is about to join the plugins of `world`.
    pub(super) async fn bring_up(
        &self,
        generation: &Arc<Generation>,
        world: &World,
        undo: &mut Undo<'_>,
    ) -> Result<(), Vec<Problem>> {
        let plugin_id = generation.plugin_id();
        lifecycle::dependencies(generation.manifest(), world)?;
        lifecycle::call(generation, Function::Load, None).await?;
        let (services, loaded) = (Arc::clone(&self.services), Arc::clone(generation));
        undo.push("onLoad", async move { lifecycle::unload(&services, &loaded).await });
        self.emit("plugin:loaded", plugin_id, Some(generation), None);
        self.emit("plugin:activating", plugin_id, Some(generation), None);
        lifecycle::call(generation, Function::Activate, None).await?;
        let activated = Arc::clone(generation);
        undo.push("onActivate", async move {
            lifecycle::call_and_log(&activated, Function::Deactivate).await;
        });
        Ok(())
    }

    // --- deactivate ----------------------------------------------------------------------------

    pub async fn deactivate(&self, plugin_id: &str, force: bool) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        let Some(generation) = self.directory.state(plugin_id).active else {
            if record.is_activated {
                // It was to be active but could not be started.
                self.directory.change(plugin_id, |state| state.errors.clear());
                let changes = PluginChanges {
                    is_activated: Some(false),
                    last_errors: Some(Vec::new()),
                    ..Default::default()
                };
                return self.change_record(&record, changes).await;
            }
            return self.view(plugin_id).await;
        };
        let others = self.services.world.load();
        let dependents = lifecycle::dependents(plugin_id, &others);
        if !dependents.is_empty() {
            let message = format!("Active plugins depend on it: {}", dependents.join(", "));
            return Err(forbidden(message));
        }
        let busy = self.busy(plugin_id);
        self.emit("plugin:deactivating", plugin_id, Some(&generation), None);
        let mut undo = Undo::default();
        if let Err(problems) = self.deactivate_steps(&record, &generation, force, &mut undo).await {
            undo.run().await;
            return Err(self.fail(plugin_id, "deactivated", problems, false).await);
        }
        self.directory.change(plugin_id, |state| state.errors.clear());
        self.emit("plugin:deactivated", plugin_id, Some(&generation), None);
        lifecycle::unload(&self.services, &generation).await;
        drop(busy);
        self.view(plugin_id).await
    }

    async fn deactivate_steps(
        &self,
        record: &PluginRecord,
        generation: &Arc<Generation>,
        force: bool,
        undo: &mut Undo<'_>,
    ) -> Result<(), Vec<Problem>> {
        let before = self.services.world.load_full();
        let others =
            before.generations().iter().filter(|g| !Arc::ptr_eq(g, generation)).cloned().collect();
        let world = self.build(others).map_err(lifecycle::problems_of)?;
        self.services.world.store(Arc::new(world));
        self.directory.change(generation.plugin_id(), |state| state.active = None);
        let (services, directory) = (Arc::clone(&self.services), Arc::clone(&self.directory));
        let serving = Arc::clone(generation);
        undo.push("world", async move {
            services.world.store(before);
            directory.change(serving.plugin_id(), |state| {
                state.active = Some(Arc::clone(&serving));
            });
        });
        generation.drained(generation.time_limit() + DRAIN_MARGIN).await;
        match lifecycle::call(generation, Function::Deactivate, None).await {
            Err(problems) if !force => return Err(problems),
            Err(problems) => self.log(generation.plugin_id(), &problems),
            Ok(()) => {}
        }
        let changes = PluginChanges {
            is_activated: Some(false),
            last_errors: Some(Vec::new()),
            ..Default::default()
        };
        self.change_record(record, changes)
            .await
            .map_err(|error| problem_of(Phase::Deactivate, &error))?;
        Ok(())
    }

    // --- uninstall -----------------------------------------------------------------------------

    pub async fn uninstall(&self, plugin_id: &str, force: bool) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        if !record.is_installed {
            return Err(forbidden("Plugin is not installed"));
        }
        let was_active = record.is_activated;
        if was_active {
            self.deactivate(plugin_id, force).await?;
        }
        let busy = self.busy(plugin_id);
        self.emit("plugin:uninstalling", plugin_id, None, None);
        let steps = self.uninstall_steps(&record, force).await;
        drop(busy);
        match steps {
            Ok(events) => {
                self.directory.change(plugin_id, |state| state.errors.clear());
                for held in events {
                    self.services.events.emit(held);
                }
                self.emit("plugin:uninstalled", plugin_id, None, None);
                self.view(plugin_id).await
            }
            Err(problems) => {
                if was_active && let Err(error) = self.activate(plugin_id).await {
                    tracing::error!(plugin = plugin_id, "not active again: {error}");
                }
                Err(self.fail(plugin_id, "uninstalled", problems, false).await)
            }
        }
    }

    async fn uninstall_steps(
        &self,
        record: &PluginRecord,
        force: bool,
    ) -> Result<Vec<crate::events::Event>, Vec<Problem>> {
        let plugin_id = &record.plugin_id;
        let uninstall = |error: Error| problem_of(Phase::Uninstall, &error);
        let database = |error: crate::store::DbError| uninstall(error.into());
        let session = self.services.store.begin().await.map_err(database)?;
        let transaction = StepTransaction::new(session);
        match self.load(plugin_id, &granted(record), record.config.as_ref()).await {
            Ok(generation) => {
                let called =
                    lifecycle::call(&generation, Function::Uninstall, Some(&transaction)).await;
                match called {
                    Err(problems) if !force => return Err(problems),
                    Err(problems) => self.log(plugin_id, &problems),
                    Ok(()) => {}
                }
            }
            // A plugin whose folder is broken or gone must still be possible to remove.
            Err(problems) => {
                self.log(plugin_id, &problems);
                tracing::warn!(plugin = %plugin_id, "uninstalled without onUninstall");
            }
        }
        for point in self.services.points.iter().rev() {
            point.uninstall(plugin_id, transaction.session()).await.map_err(uninstall)?;
        }
        let changes = PluginChanges {
            is_installed: Some(false),
            is_activated: Some(false),
            installed_version: Some(None),
            granted_permissions: Some(None),
            last_errors: Some(Vec::new()),
            ..Default::default()
        };
        plugins::update(transaction.session(), &record.id, changes).await.map_err(database)?;
        transaction.commit().await.map_err(uninstall)
    }

    pub async fn delete(&self, plugin_id: &str) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        if record.is_installed {
            self.uninstall(plugin_id, false).await?;
        }
        let view = self.view(plugin_id).await?;
        let (folder, plugins_dir) = (self.folder(plugin_id), self.options.plugins_dir.clone());
        let removed = tokio::task::spawn_blocking(move || remove_folder(&folder, &plugins_dir));
        let removed = removed.await.map_err(|error| Error::unexpected(error.to_string()))?;
        removed.map_err(|error| {
            forbidden(format!("The folder of plugin \"{plugin_id}\" cannot be removed: {error}"))
        })?;
        plugins::delete(&self.services.store.session(), &record.id).await?;
        self.directory.forget(plugin_id);
        Ok(view)
    }

    // --- reload --------------------------------------------------------------------------------

    pub async fn reload(&self, plugin_id: &str) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        if !record.is_activated {
            return Err(forbidden("Plugin is not active"));
        }
        self.replace(plugin_id).await?;
        self.view(plugin_id).await
    }

    /// Lets a new generation of a plugin that is to be active take the place of the old one.
    pub(super) async fn replace(&self, plugin_id: &str) -> Result<()> {
        let record = self.record(plugin_id).await?;
        let Some(old) = self.directory.state(plugin_id).active else {
            return self.activate(plugin_id).await.map(drop);
        };
        match self.replace_steps(&record, &old).await {
            Ok(new) => {
                self.settled(plugin_id, &new);
                self.emit("plugin:reloaded", plugin_id, Some(&new), None);
                let services = Arc::clone(&self.services);
                tokio::spawn(async move {
                    old.drained(old.time_limit() + DRAIN_MARGIN).await;
                    lifecycle::unload(&services, &old).await;
                });
                Ok(())
            }
            Err(mut problems) => {
                // No step of the plugin's life has failed: the version that is active stays so.
                for problem in &mut problems {
                    problem.phase =
                        if problem.phase.is_step() { Phase::Load } else { problem.phase };
                }
                Err(self.fail(plugin_id, "reloaded", problems, false).await)
            }
        }
    }

    async fn replace_steps(
        &self,
        record: &PluginRecord,
        old: &Arc<Generation>,
    ) -> Result<Arc<Generation>, Vec<Problem>> {
        let new = self.prepare(record).await?;
        let current = self.services.world.load_full();
        lifecycle::dependencies(new.manifest(), &current)?;
        lifecycle::still_fits(new.manifest(), &current)?;
        lifecycle::call(&new, Function::Load, None).await?;
        self.emit("plugin:loaded", new.plugin_id(), Some(&new), None);
        let next = current
            .generations()
            .iter()
            .map(|g| if Arc::ptr_eq(g, old) { Arc::clone(&new) } else { Arc::clone(g) })
            .collect();
        let world = match self.build(next) {
            Ok(world) => world,
            Err(conflicts) => {
                lifecycle::unload(&self.services, &new).await;
                return Err(lifecycle::problems_of(conflicts));
            }
        };
        self.services.world.store(Arc::new(world));
        self.directory.change(new.plugin_id(), |state| state.active = Some(Arc::clone(&new)));
        Ok(new)
    }

    // --- common --------------------------------------------------------------------------------

    pub(super) fn build(&self, generations: Vec<Arc<Generation>>) -> Result<World, Vec<Conflict>> {
        World::build(&self.services.points, generations)
    }

    /// The folder of a plugin. The id is a name, never a path.
    pub(super) fn folder(&self, plugin_id: &str) -> PathBuf {
        self.options.plugins_dir.join(plugin_id)
    }

    /// Reads and loads a plugin's folder.
    pub(super) async fn load(
        &self,
        plugin_id: &str,
        granted: &Permissions,
        config: Option<&Value>,
    ) -> Result<Arc<Generation>, Vec<Problem>> {
        let source = self.read(plugin_id).await?;
        let number = self.directory.change(plugin_id, |state| {
            state.generations += 1;
            state.tried = Some(source.hash().to_owned());
            state.generations
        });
        let loaded =
            loader::load(plugin_id, source, number, granted, config, &self.services).await?;
        for warning in &loaded.warnings {
            tracing::warn!(plugin = plugin_id, "{warning}");
        }
        let manifest = loaded.shared_manifest();
        self.directory.change(plugin_id, |state| state.manifest = Some(manifest));
        Ok(loaded)
    }

    /// Reads a plugin's folder.
    pub(super) async fn read(&self, plugin_id: &str) -> Result<Arc<Source>, Vec<Problem>> {
        let folder = self.folder(plugin_id);
        let read = tokio::task::spawn_blocking(move || Source::read(&folder)).await;
        let source = read.map_err(|e| vec![Problem::new(Phase::Source, e.to_string())])??;
        Ok(Arc::new(source))
    }

    /// Notes the manifest of a plugin that is not loaded, if it has a valid one.
    pub(super) async fn read_manifest(&self, plugin_id: &str) {
        let Ok(source) = self.read(plugin_id).await else { return };
        let parsed = source.manifest().map(|text| Manifest::parse(text, Some(plugin_id)));
        if let Some(Ok((manifest, _))) = parsed {
            let manifest = Some(Arc::new(manifest));
            self.directory.change(plugin_id, |state| state.manifest = manifest);
        }
    }

    pub(super) async fn record(&self, plugin_id: &str) -> Result<PluginRecord> {
        let found = plugins::by_plugin_id(&self.services.store.session(), plugin_id).await?;
        found.ok_or_else(|| {
            Error::new(code::NOT_FOUND, format!("There is no plugin \"{plugin_id}\""))
        })
    }

    pub(super) async fn view(&self, plugin_id: &str) -> Result<PluginView> {
        Ok(self.directory.view(self.record(plugin_id).await?))
    }

    pub(super) async fn change_record(
        &self,
        record: &PluginRecord,
        changes: PluginChanges,
    ) -> Result<PluginView> {
        let session = self.services.store.session();
        let changed = plugins::update(&session, &record.id, changes).await?;
        let changed = changed.ok_or_else(|| Error::unexpected("the record is gone"))?;
        Ok(self.directory.view(changed))
    }

    fn busy(&self, plugin_id: &str) -> Busy<'_> {
        self.directory.change(plugin_id, |state| state.busy = true);
        Busy(&self.directory, plugin_id.to_owned())
    }

    pub(super) fn emit(
        &self,
        name: &str,
        plugin_id: &str,
        generation: Option<&Arc<Generation>>,
        message: Option<&str>,
    ) {
        let version = generation.map(|g| g.manifest().version.to_string());
        self.services.events.emit(event(name, plugin_id, version, message));
    }

    /// After a success: nothing is wrong any more.
    pub(super) fn settled(&self, plugin_id: &str, generation: &Arc<Generation>) {
        self.directory.change(plugin_id, |state| {
            state.errors.clear();
            state.manifest = Some(generation.shared_manifest());
        });
        let number = generation.number;
        tracing::debug!(plugin = plugin_id, number, "generation");
    }

    /// After a failure: says so everywhere and gives the error. With `record`, it is still known
    /// after a restart.
    pub(super) async fn fail(
        &self,
        plugin_id: &str,
        step: &str,
        problems: Vec<Problem>,
        record: bool,
    ) -> Error {
        let errors = self.directory.failed(plugin_id, &problems);
        self.log(plugin_id, &problems);
        if record {
            self.remember(plugin_id, errors).await;
        }
        let error = failed(plugin_id, step, problems);
        self.emit("plugin:error", plugin_id, None, Some(&error.message));
        error
    }

    /// Shows errors again that a later success has cleared.
    pub(super) async fn note(&self, plugin_id: &str, errors: Vec<RecordedError>) {
        self.directory.change(plugin_id, |state| state.errors.clone_from(&errors));
        self.remember(plugin_id, errors).await;
    }

    async fn remember(&self, plugin_id: &str, errors: Vec<RecordedError>) {
        // Without a record there is nothing to remember it in.
        let Ok(record) = self.record(plugin_id).await else { return };
        let changes = PluginChanges { last_errors: Some(errors), ..Default::default() };
        if let Err(error) = self.change_record(&record, changes).await {
            tracing::warn!(plugin = plugin_id, "cannot record the failure: {error}");
        }
    }

    pub(super) fn log(&self, plugin_id: &str, problems: &[Problem]) {
        for problem in problems {
            let phase = problem.phase.as_str();
            tracing::error!(plugin = plugin_id, phase, "{problem}");
        }
        if self.options.automatic {
            // For an author at a terminal: with the source line.
            eprint!("{}", Reporter::stderr().problems(problems));
        }
    }
}

fn require_id(plugin_id: &str) -> Result<()> {
    if is_plugin_id(plugin_id) {
        return Ok(());
    }
    Err(Error::invalid_argument(
        &["input", "pluginId"],
        "A plugin id starts with a letter and has only letters, digits and underscores, 100 at most",
    ))
}

/// What a manifest asks for, as a record keeps it.
fn asked(manifest: &Manifest) -> Value {
    // A struct of lists and flags has no value that JSON lacks.
    Value::from(&serde_json::to_value(&manifest.permissions).unwrap_or_default())
}

/// Removes a plugin's folder; a link is removed, not what it leads to.
fn remove_folder(folder: &std::path::Path, plugins_dir: &std::path::Path) -> std::io::Result<()> {
    let meta = match std::fs::symlink_metadata(folder) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !meta.is_dir() {
        return std::fs::remove_file(folder);
    }
    // Out of sight in one step, so that nobody sees half a plugin.
    let aside = plugins_dir.join(format!(".removed-{}", uuid::Uuid::new_v4()));
    std::fs::rename(folder, &aside)?;
    std::fs::remove_dir_all(aside)
}
