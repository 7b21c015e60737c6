//! Installing, uninstalling and deleting plugins.

use std::path::PathBuf;
use std::sync::Arc;

use super::directory::{PluginView, granted};
use super::generation::Generation;
use super::lifecycle::{self, Function, StepTransaction, forbidden, problem_of};
use super::operations::{Operations, Purpose, asked};
use super::records::require_id;
use super::steps::Undo;
use crate::error::{Error, Phase, Problem, Result};
use crate::events::Held;
use crate::store::kv;
use crate::store::plugins::{self, PluginChanges, PluginRecord};

impl Operations {
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
        let busy = self.busy(plugin_id);
        self.emit("plugin:installing", plugin_id, None, None);
        let grant = grant || self.options.automatic;
        let mut undo = Undo::default();
        match self.install_steps(plugin_id, grant, existing.as_ref(), &mut undo).await {
            Ok((generation, held)) => {
                self.settled(plugin_id, &generation);
                self.services.events.committed(held);
                self.done("installed", "plugin:installed", plugin_id, Some(&generation));
            }
            Err(problems) => {
                undo.run().await;
                return Err(self.fail(plugin_id, "installed", problems, true).await);
            }
        }
        drop(busy);
        self.view(plugin_id).await
    }

    async fn install_steps(
        &self,
        plugin_id: &str,
        grant: bool,
        existing: Option<&PluginRecord>,
        undo: &mut Undo<'_>,
    ) -> Result<(Arc<Generation>, Vec<Held>), Vec<Problem>> {
        let install = |error: Error| problem_of(Phase::Install, &error);
        let database = |error: crate::store::DbError| install(error.into());
        let config = existing.and_then(|record| record.config.as_ref());
        let mut granted = existing.map(granted).unwrap_or_default();
        if grant && let Ok(manifest) = self.manifest_in_folder(plugin_id).await {
            granted.permissions = manifest.permissions;
        }
        let generation = self.load(plugin_id, &granted, config, Purpose::Step).await?;
        let manifest = generation.manifest();
        // Before the transaction, which must not wait for what takes minutes.
        let (services, id) = (Arc::clone(&self.services), plugin_id.to_owned());
        undo.push("prepare", async move {
            for point in services.points.iter().rev() {
                point.remove(&services, &id).await;
            }
        });
        for point in self.services.points.iter() {
            point.prepare(&generation).await.map_err(install)?;
        }
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
            let permissions = asked(manifest);
            let details = serde_json::to_value(&permissions).unwrap_or_default();
            self.services.audit.done("grant", plugin_id, &details);
            changes.granted_permissions = Some(Some(permissions));
        }
        plugins::update(session, &record.id, changes).await.map_err(database)?;
        let events = transaction.commit().await.map_err(install)?;
        Ok((generation, events))
    }

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
        match steps {
            Ok((held, files)) => {
                self.directory.change(plugin_id, |state| state.errors.clear());
                self.services.events.committed(held);
                for point in self.services.points.iter().rev() {
                    point.remove(&self.services, plugin_id).await;
                }
                self.done("uninstalled", "plugin:uninstalled", plugin_id, None);
                let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
                drop(busy);
                let note = (!files.is_empty()).then(|| format!("backup in {}", files.join(", ")));
                if let Some(note) = &note {
                    tracing::info!(plugin = plugin_id, "{note}");
                }
                Ok(PluginView { note, ..self.view(plugin_id).await? })
            }
            Err(problems) => {
                drop(busy);
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
    ) -> Result<(Vec<Held>, Vec<PathBuf>), Vec<Problem>> {
        let plugin_id = &record.plugin_id;
        let uninstall = |error: Error| problem_of(Phase::Uninstall, &error);
        let database = |error: crate::store::DbError| uninstall(error.into());
        let session = self.services.store.begin().await.map_err(database)?;
        let transaction = StepTransaction::new(session);
        match self.load(plugin_id, &granted(record), record.config.as_ref(), Purpose::Step).await {
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
        let files = match record.backup {
            true => self.back_up(record, transaction.session()).await?,
            false => Vec::new(),
        };
        for point in self.services.points.iter().rev() {
            point.uninstall(plugin_id, transaction.session()).await.map_err(uninstall)?;
        }
        kv::forget(transaction.session(), plugin_id).await.map_err(database)?;
        self.services.caches.forget(plugin_id);
        let changes = PluginChanges {
            is_installed: Some(false),
            is_activated: Some(false),
            installed_version: Some(None),
            granted_permissions: Some(None),
            last_errors: Some(Vec::new()),
            ..Default::default()
        };
        plugins::update(transaction.session(), &record.id, changes).await.map_err(database)?;
        Ok((transaction.commit().await.map_err(uninstall)?, files))
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
