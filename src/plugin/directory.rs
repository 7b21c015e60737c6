//! What is known about every plugin, for those who only look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::failures::Failures;
use super::generation::Generation;
use super::manifest::{Manifest, Permissions};
use crate::error::{Phase, Problem, Result};
use crate::permission::Grant;
use crate::store::Store;
use crate::store::plugins::{self, PluginFilter, PluginRecord, RecordedError};
use crate::value::Value;

/// How a plugin is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Something is being done to it.
    Loading,
    Active,
    Inactive,
    /// The last step of its life failed; it does not serve.
    Error,
}

impl Status {
    /// The name in GraphQL and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Loading => "LOADING",
            Status::Active => "ACTIVE",
            Status::Inactive => "INACTIVE",
            Status::Error => "ERROR",
        }
    }
}

/// The part of a plugin's state that lives in this process.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The generation that serves.
    pub active: Option<Arc<Generation>>,
    /// The manifest that was last read, broken code or not.
    pub manifest: Option<Arc<Manifest>>,
    /// What went wrong last; empty after the next success.
    pub errors: Vec<RecordedError>,
    /// How many generations there have been.
    pub generations: u64,
    /// Whether the manager is busy with it.
    pub busy: bool,
    /// The hash of the snapshot that was last tried, so that an unchanged folder is not tried again.
    pub tried: Option<String>,
}

/// A plugin as administrators see it.
#[derive(Debug, Clone)]
pub struct PluginView {
    pub record: PluginRecord,
    pub status: Status,
    /// What the folder says, which may be about a version that does not serve.
    pub manifest: Option<Arc<Manifest>>,
    /// The version that serves; if none does, the folder's, or else the installed one.
    pub version: Option<String>,
    pub generation: u64,
    pub errors: Vec<RecordedError>,
    /// The configuration that was set, without what is secret. Nothing if no manifest says what is.
    pub config: Option<Value>,
    /// What the operation has to say beyond that it is done.
    pub note: Option<String>,
}

impl PluginView {
    /// What the plugin was granted.
    pub fn granted(&self) -> Permissions {
        granted(&self.record).permissions
    }
}

/// What a record says was granted. A grant that cannot be read grants nothing.
pub fn granted(record: &PluginRecord) -> Grant {
    let permissions = record.granted_permissions.as_ref().and_then(|value| {
        let json = serde_json::to_value(value).ok()?;
        Permissions::parse(&json).ok()
    });
    Grant { permissions: permissions.unwrap_or_default(), monitor: record.monitor }
}

/// What the version that serves and the one that was read last both let be seen.
fn visible_config(record: &PluginRecord, state: &State) -> Option<Value> {
    let serving = state.active.as_ref().map(|generation| generation.shared_manifest());
    let mut manifests = serving.iter().chain(&state.manifest).peekable();
    manifests.peek()?;
    manifests.try_fold(record.config.clone()?, |config, manifest| {
        Some(manifest.config_schema.as_ref()?.visible(&config))
    })
}

/// The states of all plugins by their id. Only the manager writes.
#[derive(Debug)]
pub struct Directory {
    states: RwLock<BTreeMap<String, State>>,
    /// Whether this process runs the plugins, or only looks at what is recorded.
    serving: AtomicBool,
    store: Arc<Store>,
    failures: Arc<Failures>,
}

impl Directory {
    pub fn new(store: Arc<Store>, failures: Arc<Failures>) -> Self {
        Directory { states: RwLock::default(), serving: AtomicBool::new(false), store, failures }
    }

    /// From now on a plugin is active if this process runs it, whatever its record says.
    pub(super) fn serves(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    /// A copy of a plugin's state.
    pub fn state(&self, plugin_id: &str) -> State {
        self.states.read().get(plugin_id).cloned().unwrap_or_default()
    }

    /// Changes a plugin's state.
    pub(super) fn change<T>(&self, plugin_id: &str, change: impl FnOnce(&mut State) -> T) -> T {
        change(self.states.write().entry(plugin_id.to_owned()).or_default())
    }

    /// Forgets a plugin.
    pub(super) fn forget(&self, plugin_id: &str) {
        self.states.write().remove(plugin_id);
    }

    /// Notes what went wrong.
    pub(super) fn failed(&self, plugin_id: &str, problems: &[Problem]) -> Vec<RecordedError> {
        let errors: Vec<_> = problems.iter().map(RecordedError::now).collect();
        self.change(plugin_id, |state| state.errors.clone_from(&errors));
        errors
    }

    /// Joins a record with the plugin's state.
    pub fn view(&self, record: PluginRecord) -> PluginView {
        let state = self.state(&record.plugin_id);
        let mut errors = if state.errors.is_empty() && state.active.is_none() {
            record.last_errors.clone()
        } else {
            state.errors.clone()
        };
        let recorded = !self.serving.load(Ordering::Relaxed) && record.is_activated;
        let step_failed = || errors.iter().any(|error| Phase::parse(&error.phase).is_step());
        let status = match &state.active {
            _ if state.busy => Status::Loading,
            // What failed was a new version; the old one serves as before.
            Some(_) if !step_failed() => Status::Active,
            None if errors.is_empty() && recorded => Status::Active,
            None if errors.is_empty() => Status::Inactive,
            _ => Status::Error,
        };
        // It serves nevertheless.
        errors.extend(self.failures.of(&record.plugin_id));
        let serving = state.active.as_ref().map(|generation| generation.shared_manifest());
        let version = serving.or_else(|| state.manifest.clone());
        PluginView {
            version: version
                .map(|manifest| manifest.version.to_string())
                .or_else(|| record.installed_version.clone()),
            config: visible_config(&record, &state),
            record,
            status,
            manifest: state.manifest,
            generation: state.active.map_or(0, |generation| generation.number),
            errors,
            note: None,
        }
    }

    /// The plugins that fit the filter, by id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self, filter: &PluginFilter) -> Result<Vec<PluginView>> {
        let records = plugins::list(&self.store.session(), filter).await?;
        Ok(records.into_iter().map(|record| self.view(record)).collect())
    }

    /// The plugin with this record id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn by_record_id(&self, id: &str) -> Result<Option<PluginView>> {
        let record = plugins::by_id(&self.store.session(), id).await?;
        Ok(record.map(|record| self.view(record)))
    }

    /// The plugin with this plugin id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn by_plugin_id(&self, plugin_id: &str) -> Result<Option<PluginView>> {
        let record = plugins::by_plugin_id(&self.store.session(), plugin_id).await?;
        Ok(record.map(|record| self.view(record)))
    }
}

/// An error as GraphQL shows it.
pub fn error_value(error: &RecordedError) -> Value {
    let mut map = crate::value::Map::new();
    map.insert("phase".into(), error.phase.clone().into());
    map.insert("message".into(), error.message.clone().into());
    map.insert("file".into(), error.file.clone().into());
    map.insert("line".into(), error.line.map(i64::from).into());
    map.insert("at".into(), error.at.clone().into());
    map.into()
}
