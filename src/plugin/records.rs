//! Operations on the records of plugins.

use super::directory::PluginView;
use super::directory::granted;
use super::lifecycle::failed;
use super::lifecycle::forbidden;
use super::manifest::{Permissions, is_plugin_id};
use super::operations::Operations;
use crate::error::{Error, Problem, Result};
use crate::store::plugins::{self, PluginChanges};
use crate::value::Value;

impl Operations {
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

    /// Lets what the plugin is not granted be noted only, or be denied. What a generation may do is fixed
    /// when it is made, so an active plugin gets a new one.
    pub async fn set_monitor(&self, plugin_id: &str, monitor: bool) -> Result<PluginView> {
        let record = self.record(plugin_id).await?;
        let setting = |monitor| PluginChanges { monitor: Some(monitor), ..Default::default() };
        let view = self.change_record(&record, setting(monitor)).await?;
        if record.monitor == monitor {
            return Ok(view);
        }
        if self.directory.state(plugin_id).active.is_some()
            && let Err(error) = self.replace(plugin_id).await
        {
            self.change_record(&record, setting(record.monitor)).await?;
            return Err(error);
        }
        self.services.audit.done("monitor", plugin_id, &serde_json::json!({ "on": monitor }));
        self.view(plugin_id).await
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
        let before = self.directory.state(plugin_id);
        let Some(active) = before.active else {
            self.services.audit.done("grant", plugin_id, &permissions);
            return self.try_again(&record, &before.errors, view).await;
        };
        let missing = active.manifest().permissions.missing_from(&view.granted());
        // What it may do is fixed when a generation is made.
        let replaced = if missing.is_empty() || record.monitor {
            self.replace(plugin_id).await
        } else {
            let missing = missing.join(", ");
            Err(forbidden(format!("The active plugin needs {missing}; deactivate it first")))
        };
        if let Err(error) = replaced {
            self.change_record(&record, granting(record.granted_permissions.clone())).await?;
            return Err(error);
        }
        self.services.audit.done("grant", plugin_id, &permissions);
        self.view(plugin_id).await
    }

    /// Adds to what is granted; see [`Manager::grant_more`](super::manager::Manager::grant_more).
    pub async fn grant_more(
        &self,
        plugin_id: &str,
        permissions: Option<Permissions>,
    ) -> Result<PluginView> {
        let record = self.record(plugin_id).await.map_err(|error| error.about("pluginId"))?;
        let more = match permissions {
            Some(permissions) => permissions,
            None => {
                let manifest = self.manifest_in_folder(plugin_id).await;
                manifest.map_err(|problems| failed(plugin_id, "granted", problems))?.permissions
            }
        };
        let all = granted(&record).permissions.and(more);
        let all =
            serde_json::to_value(&all).map_err(|error| Error::unexpected(error.to_string()))?;
        self.grant(plugin_id, all).await
    }
}

pub(super) fn require_id(plugin_id: &str) -> Result<()> {
    if is_plugin_id(plugin_id) {
        return Ok(());
    }
    Err(Error::invalid_argument(
        &["input", "pluginId"],
        "A plugin id starts with a letter and has only letters, digits and underscores, 100 at most",
    ))
}
