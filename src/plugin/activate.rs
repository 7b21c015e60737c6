//! Activating and deactivating plugins, and letting a new generation take the place of an old one.

use std::sync::Arc;
use std::time::Instant;

use super::configure;
use super::directory::{PluginView, granted};
use super::generation::Generation;
use super::lifecycle::{self, Function, StepTransaction, forbidden, problem_of};
use super::operations::{DRAIN_MARGIN, Operations, Purpose, asked};
use super::steps::Undo;
use super::world::World;
use crate::error::{Phase, Problem, Result};
use crate::store::plugins::{PluginChanges, PluginRecord};

impl Operations {
    pub async fn activate(&self, plugin_id: &str) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        if !record.is_installed {
            return Err(forbidden(format!(
                "Plugin \"{plugin_id}\" is not installed; install it first"
            )));
        }
        if self.directory.state(plugin_id).active.is_some() {
            return self.view(plugin_id).await;
        }
        let busy = self.busy(plugin_id);
        let mut undo = Undo::default();
        match self.activate_steps(&record, &mut undo).await {
            Ok(generation) => {
                self.settled(plugin_id, &generation);
                self.done("activated", "plugin:activated", plugin_id, Some(&generation));
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
        let upgrade = self.bring_up(&generation, record, &current, undo).await?;
        let mut generations = current.generations().to_vec();
        generations.push(Arc::clone(&generation));
        let world = self.build(generations).map_err(lifecycle::problems_of)?;
        let changes = PluginChanges {
            is_activated: Some(true),
            last_errors: Some(Vec::new()),
            ..Default::default()
        };
        self.finish_upgrade(upgrade, record, changes)
            .await
            .map_err(|error| problem_of(Phase::Activate, &error))?;
        self.services.replace_world(Arc::new(world));
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
        let mut grant = granted(record);
        let config = record.config.as_ref();
        let mut generation = self.load(plugin_id, &grant, config, Purpose::Serve).await?;
        let manifest = generation.manifest();
        if self.options.automatic
            && !manifest.permissions.missing_from(&grant.permissions).is_empty()
        {
            let note = manifest.permissions.missing_from(&grant.permissions).join(", ");
            tracing::info!(plugin = %plugin_id, "granted by itself, as this is dev: {note}");
            let details = serde_json::to_value(&manifest.permissions).unwrap_or_default();
            self.services.audit.done("grant", plugin_id, &details);
            let changes = PluginChanges {
                granted_permissions: Some(Some(asked(manifest))),
                ..Default::default()
            };
            self.change_record(record, changes)
                .await
                .map_err(|error| problem_of(Phase::Activate, &error))?;
            grant.permissions = manifest.permissions.clone();
            generation = self.load(plugin_id, &grant, config, Purpose::Serve).await?;
        }
        lifecycle::ungranted(generation.manifest(), &grant)?;
        configure::unfit(&generation, record)?;
        Ok(generation)
    }

    /// `onLoad` and `onActivate` of a generation that is about to join the plugins of `world`. What
    /// it has changed in the database waits in the transaction that this gives.
    pub(super) async fn bring_up(
        &self,
        generation: &Arc<Generation>,
        record: &PluginRecord,
        world: &World,
        undo: &mut Undo<'_>,
    ) -> Result<Option<StepTransaction>, Vec<Problem>> {
        let plugin_id = generation.plugin_id();
        lifecycle::dependencies(generation.manifest(), world)?;
        // Before the transaction, which must not wait for them, and before the plugin's own functions,
        // which may use them.
        self.start_services(generation, None, undo).await?;
        let upgrade = self.begin_upgrade(generation, record).await?;
        lifecycle::call(generation, Function::Load, upgrade.as_ref()).await?;
        let (services, loaded) = (Arc::clone(&self.services), Arc::clone(generation));
        undo.push("onLoad", async move { lifecycle::unload(&services, &loaded).await });
        self.emit("plugin:loaded", plugin_id, Some(generation), None);
        self.emit("plugin:activating", plugin_id, Some(generation), None);
        lifecycle::call(generation, Function::Activate, upgrade.as_ref()).await?;
        let activated = Arc::clone(generation);
        undo.push("onActivate", async move {
            lifecycle::call_and_log(&activated, Function::Deactivate).await;
        });
        Ok(upgrade)
    }

    /// Starts what a generation needs besides itself. `before` is the one that serves until now: what it
    /// needs is there again if this is taken back.
    async fn start_services<'u>(
        &self,
        generation: &Arc<Generation>,
        before: Option<&Arc<Generation>>,
        undo: &mut Undo<'u>,
    ) -> Result<(), Vec<Problem>> {
        let (services, new) = (Arc::clone(&self.services), Arc::clone(generation));
        let old = before.cloned();
        undo.push("services", async move {
            for point in services.points.iter().rev() {
                let Some(old) = &old else {
                    point.stop(&services, new.plugin_id()).await;
                    continue;
                };
                if let Err(error) = point.start(old, Some(&new)).await {
                    let plugin = old.plugin_id();
                    tracing::error!(plugin, "what served before is not there again: {error}");
                }
            }
        });
        for point in self.services.points.iter() {
            point
                .start(generation, before)
                .await
                .map_err(|error| problem_of(Phase::Activate, &error))?;
        }
        Ok(())
    }

    /// Ends what a plugin needed besides itself.
    pub(super) async fn stop_services(&self, plugin_id: &str) {
        for point in self.services.points.iter().rev() {
            point.stop(&self.services, plugin_id).await;
        }
    }

    pub async fn deactivate(&self, plugin_id: &str, force: bool) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        let Some(generation) = self.directory.state(plugin_id).active else {
            if record.is_activated {
                // It was to be active but could not be started.
                self.directory.change(plugin_id, |state| state.errors.clear());
                self.stop_services(plugin_id).await;
                let changes = PluginChanges {
                    is_activated: Some(false),
                    last_errors: Some(Vec::new()),
                    ..Default::default()
                };
                return self.change_record(&record, changes).await;
            }
            return self.view(plugin_id).await;
        };
        let dependents = lifecycle::dependents(plugin_id, &self.services.world.load()).join(", ");
        if !dependents.is_empty() {
            return Err(forbidden(format!("Active plugins depend on it: {dependents}")));
        }
        let busy = self.busy(plugin_id);
        self.emit("plugin:deactivating", plugin_id, Some(&generation), None);
        let mut undo = Undo::default();
        if let Err(problems) = self.deactivate_steps(&record, &generation, force, &mut undo).await {
            undo.run().await;
            return Err(self.fail(plugin_id, "deactivated", problems, false).await);
        }
        self.directory.change(plugin_id, |state| state.errors.clear());
        self.stop_services(plugin_id).await;
        self.done("deactivated", "plugin:deactivated", plugin_id, Some(&generation));
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
        self.withdraw(generation, undo).await?;
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

    /// Takes a generation out of the World and waits for its calls.
    pub(super) async fn withdraw(
        &self,
        generation: &Arc<Generation>,
        undo: &mut Undo<'_>,
    ) -> Result<(), Vec<Problem>> {
        let before = self.services.world.load_full();
        let others =
            before.generations().iter().filter(|g| !Arc::ptr_eq(g, generation)).cloned().collect();
        let world = self.build(others).map_err(lifecycle::problems_of)?;
        self.services.replace_world(Arc::new(world));
        self.directory.change(generation.plugin_id(), |state| state.active = None);
        let (services, directory) = (Arc::clone(&self.services), Arc::clone(&self.directory));
        let serving = Arc::clone(generation);
        undo.push("world", async move {
            services.replace_world(before);
            directory.change(serving.plugin_id(), |state| {
                state.active = Some(Arc::clone(&serving));
            });
        });
        generation.drained(generation.time_limit() + DRAIN_MARGIN).await;
        Ok(())
    }

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
        let start = Instant::now();
        let mut undo = Undo::default();
        match self.replace_steps(&record, &old, &mut undo).await {
            Ok(new) => {
                self.settled(plugin_id, &new);
                let ms = start.elapsed().as_millis();
                tracing::info!(plugin = plugin_id, generation = new.number, ms, "reloaded");
                self.emit("plugin:reloaded", plugin_id, Some(&new), None);
                let services = Arc::clone(&self.services);
                tokio::spawn(async move {
                    old.drained(old.time_limit() + DRAIN_MARGIN).await;
                    lifecycle::unload(&services, &old).await;
                });
                Ok(())
            }
            Err(mut problems) => {
                undo.run().await;
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
        undo: &mut Undo<'_>,
    ) -> Result<Arc<Generation>, Vec<Problem>> {
        let new = self.prepare(record).await?;
        let current = self.services.world.load_full();
        lifecycle::dependencies(new.manifest(), &current)?;
        lifecycle::still_fits(new.manifest(), &current)?;
        self.start_services(&new, Some(old), undo).await?;
        let upgrade = self.begin_upgrade(&new, record).await?;
        lifecycle::call(&new, Function::Load, upgrade.as_ref()).await?;
        let (services, loaded) = (Arc::clone(&self.services), Arc::clone(&new));
        undo.push("onLoad", async move { lifecycle::unload(&services, &loaded).await });
        self.emit("plugin:loaded", new.plugin_id(), Some(&new), None);
        let next = current
            .generations()
            .iter()
            .map(|g| if Arc::ptr_eq(g, old) { Arc::clone(&new) } else { Arc::clone(g) })
            .collect();
        let world = self.build(next).map_err(lifecycle::problems_of)?;
        if upgrade.is_some() {
            self.finish_upgrade(upgrade, record, PluginChanges::default())
                .await
                .map_err(|error| problem_of(Phase::Activate, &error))?;
        }
        self.services.replace_world(Arc::new(world));
        self.directory.change(new.plugin_id(), |state| state.active = Some(Arc::clone(&new)));
        Ok(new)
    }
}
