//! Several changes to one plugin as one operation.

use super::directory::PluginView;
use super::operations::Operations;
use crate::error::{Error, Result};

/// What to change; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Another plugin id, for a record that is not installed.
    pub plugin_id: Option<String>,
    pub backup: Option<bool>,
    /// Whether what is not granted is noted only.
    pub monitor: Option<bool>,
    pub is_installed: Option<bool>,
    pub is_activated: Option<bool>,
}

impl Operations {
    /// Carries out an update. When a part of it fails, those before it are taken back.
    pub async fn update(&self, plugin_id: &str, update: Update) -> Result<PluginView> {
        if update.is_activated == Some(true) && update.is_installed == Some(false) {
            let message = "A plugin that is not installed cannot be active";
            return Err(Error::invalid_argument(&["input", "isActivated"], message));
        }
        let before = self.record(plugin_id).await?;
        let new_id = update.plugin_id.as_deref().filter(|new| *new != plugin_id);
        if let Some(new_id) = new_id {
            self.rename(plugin_id, new_id).await.map_err(|e| e.about("pluginId"))?;
        }
        let id = new_id.unwrap_or(plugin_id);
        let Err(error) = self.update_record(id, &update).await else { return self.view(id).await };
        // Taking back counts as a success of its own, so what went wrong is noted again after it.
        let errors = self.directory.state(id).errors;
        let was_installed = before.is_installed;
        if !was_installed && self.record(id).await?.is_installed {
            self.take_back(id, self.uninstall(id, true).await);
        }
        if update.backup.is_some() {
            self.take_back(id, self.set_backup(id, before.backup).await);
        }
        if update.monitor.is_some() {
            self.take_back(id, self.set_monitor(id, before.monitor).await);
        }
        if new_id.is_some() {
            self.take_back(id, self.rename(id, plugin_id).await);
        }
        if !errors.is_empty() {
            self.note(plugin_id, errors).await;
        }
        Err(error)
    }

    async fn update_record(&self, id: &str, update: &Update) -> Result<()> {
        if let Some(backup) = update.backup {
            self.set_backup(id, backup).await.map_err(|e| e.about("backup"))?;
        }
        if let Some(monitor) = update.monitor {
            self.set_monitor(id, monitor).await.map_err(|e| e.about("monitor"))?;
        }
        let is_installed = self.record(id).await?.is_installed;
        match (update.is_installed, update.is_activated) {
            (Some(true), _) if !is_installed => {
                self.install(id, false).await.map_err(|e| e.about("isInstalled"))?;
            }
            // Uninstalling deactivates, and activates again if it fails.
            (Some(false), _) if is_installed => {
                self.uninstall(id, false).await.map_err(|e| e.about("isInstalled"))?;
                return Ok(());
            }
            _ => {}
        }
        let changed = match update.is_activated {
            Some(true) => self.activate(id).await,
            Some(false) => self.deactivate(id, false).await,
            None => return Ok(()),
        };
        changed.map(drop).map_err(|e| e.about("isActivated"))
    }

    fn take_back(&self, plugin_id: &str, result: Result<PluginView>) {
        if let Err(error) = result {
            tracing::error!(plugin = plugin_id, "a failed update is not taken back: {error}");
        }
    }
}
