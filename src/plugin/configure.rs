//! Setting a plugin's configuration.

use super::directory::PluginView;
use super::generation::Generation;
use super::lifecycle::failed;
use super::manifest::{ConfigIssue, Manifest};
use super::operations::Operations;
use crate::error::{Error, Phase, Problem, Result, code};
use crate::store::plugins::{PluginChanges, PluginRecord, RecordedError};
use crate::value::{Map, Value};

impl Operations {
    /// Replaces the configuration. An active plugin gets a new generation with it; if that does not
    /// load, the old configuration stays.
    pub async fn configure(&self, plugin_id: &str, config: Value) -> Result<PluginView> {
        let record = self.record(plugin_id).await.map_err(|error| error.about("pluginId"))?;
        let manifest = self
            .manifest_in_folder(plugin_id)
            .await
            .map_err(|problems| failed(plugin_id, "configured", problems).about("pluginId"))?;
        let Some(schema) = &manifest.config_schema else {
            let message = "The plugin has no configuration: its manifest has no configSchema";
            return Err(Error::invalid_argument(&["input", "config"], message));
        };
        let issues = schema.issues(&config);
        if !issues.is_empty() {
            return Err(refused(&issues));
        }
        // What is in them may be secret, which keys there are is not.
        let keys = |config: Option<&Value>| match config {
            Some(Value::Map(map)) => map.keys().cloned().collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        let changed = serde_json::json!({
            "keys": keys(Some(&config)),
            "before": keys(record.config.as_ref()),
        });
        let setting =
            |config: Option<Value>| PluginChanges { config: Some(config), ..Default::default() };
        let view = self.change_record(&record, setting(Some(config))).await?;
        let before = self.directory.state(plugin_id);
        if before.active.is_some() {
            // What a plugin sees as its configuration is fixed when a generation is made.
            if let Err(error) = self.replace(plugin_id).await {
                self.change_record(&record, setting(record.config.clone())).await?;
                // Nothing is wrong with the plugin as it is again.
                self.directory.change(plugin_id, |state| state.errors = before.errors);
                return Err(error.about("config"));
            }
            self.services.audit.done("configure", plugin_id, &changed);
        } else {
            self.services.audit.done("configure", plugin_id, &changed);
            return self.try_again(&record, &before.errors, view).await;
        }
        self.view(plugin_id).await
    }

    /// Activates a plugin that would be active but for an error, which may have been the lack of what was
    /// given to it now. If it was not, the error is shown on the plugin, and what was given stays.
    pub(super) async fn try_again(
        &self,
        record: &PluginRecord,
        errors: &[RecordedError],
        view: PluginView,
    ) -> Result<PluginView> {
        let is_wanted = record.is_activated
            || (self.options.automatic && record.is_installed && !errors.is_empty());
        if !is_wanted {
            return Ok(view);
        }
        let plugin_id = &record.plugin_id;
        if let Err(error) = self.activate(plugin_id).await {
            tracing::debug!(plugin = %plugin_id, "still not active: {error}");
        }
        self.view(plugin_id).await
    }

    /// The manifest that the next generation will have.
    pub(super) async fn manifest_in_folder(
        &self,
        plugin_id: &str,
    ) -> Result<Manifest, Vec<Problem>> {
        let source = self.read(plugin_id).await?;
        let text = source.manifest().ok_or_else(|| {
            vec![Problem::new(Phase::Manifest, "the folder has no manifest.json")]
        })?;
        Ok(Manifest::parse(text, Some(plugin_id))?.0)
    }
}

/// Whether a generation's configuration is what its manifest wants.
///
/// # Errors
/// A problem for everything that is wrong with it.
pub(super) fn unfit(generation: &Generation, record: &PluginRecord) -> Result<(), Vec<Problem>> {
    if record.is_config_locked {
        let message = "the plugin's configuration was encrypted with another key; start with that one \
                       as previous-secret-key, or set the configuration again with the mutation \
                       setPluginConfig";
        return Err(vec![Problem::new(Phase::Activate, message)]);
    }
    let Some(schema) = &generation.manifest().config_schema else { return Ok(()) };
    let issues = schema.issues(generation.config());
    if issues.is_empty() {
        return Ok(());
    }
    let problem = |issue: ConfigIssue| {
        let message = format!("{issue}; set the configuration with the mutation setPluginConfig");
        Problem::new(Phase::Activate, message)
    };
    Err(issues.into_iter().map(problem).collect())
}

fn refused(issues: &[ConfigIssue]) -> Error {
    let message = issues.iter().map(ConfigIssue::to_string).collect::<Vec<_>>().join("; ");
    let issues = issues.iter().map(|issue| {
        let mut path = vec![Value::from("input"), Value::from("config")];
        path.extend(issue.path.iter().cloned());
        let mut map = Map::new();
        map.insert("argumentPath".to_owned(), path.into());
        map.insert("message".to_owned(), issue.message.as_str().into());
        Value::Map(map)
    });
    Error::new(code::INVALID_ARGUMENTS, message).with("issues", issues.collect::<Vec<_>>())
}
