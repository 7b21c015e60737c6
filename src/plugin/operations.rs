//! The operations on plugins: what they share. Each is all or nothing: a failing step undoes those
//! before it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::directory::{Directory, PluginView};
use super::generation::Generation;
use super::late::Waiting;
use super::lifecycle::{event, failed};
use super::loader;
use super::manager::{ManagerOptions, Report};
use super::manifest::Manifest;
use super::source::Source;
use super::world::World;
use crate::error::{Error, Phase, Problem, Result, code};
use crate::extension::Conflict;
use crate::permission::Grant;
use crate::report::Reporter;
use crate::services::Services;
use crate::store::plugins::{self, PluginChanges, PluginRecord, RecordedError};
use crate::value::Value;

/// How much longer than a call's own time limit a generation is waited for to finish its calls.
pub(super) const DRAIN_MARGIN: Duration = Duration::from_millis(500);

/// Carries out the manager's operations.
pub struct Operations {
    pub(super) services: Arc<Services>,
    pub(super) options: ManagerOptions,
    pub(super) directory: Arc<Directory>,
    /// Those that are started after the others, since they take long.
    pub(super) late: Mutex<VecDeque<Waiting>>,
}

/// Keeps a plugin marked as busy.
pub(super) struct Busy<'a>(&'a Directory, String);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.change(&self.1, |state| state.busy = false);
    }
}

/// What a generation is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// One step of the plugin's life.
    Step,
    /// Serving; such generations are counted.
    Serve,
    /// Only a look at what is in the folder.
    Look,
}

impl Operations {
    pub fn new(
        services: Arc<Services>,
        options: ManagerOptions,
        directory: Arc<Directory>,
    ) -> Self {
        Operations { services, options, directory, late: Mutex::default() }
    }

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
        granted: &Grant,
        config: Option<&Value>,
        purpose: Purpose,
    ) -> Result<Arc<Generation>, Vec<Problem>> {
        let source = self.read(plugin_id).await?;
        if purpose == Purpose::Look {
            return loader::load(plugin_id, source, 0, granted, config, &self.services).await;
        }
        let number = self.directory.change(plugin_id, |state| {
            state.tried = Some(source.hash().to_owned());
            match purpose {
                Purpose::Step | Purpose::Look => 0,
                Purpose::Serve => {
                    state.generations += 1;
                    state.generations
                }
            }
        });
        let loaded =
            loader::load(plugin_id, source, number, granted, config, &self.services).await?;
        let manifest = loaded.shared_manifest();
        let before =
            self.directory.change(plugin_id, |state| state.manifest.replace(Arc::clone(&manifest)));
        // The warnings are about the manifest, and said once for each version of it.
        if before.is_none_or(|before| before.json != manifest.json) {
            for warning in &loaded.warnings {
                tracing::warn!(plugin = plugin_id, "{warning}");
            }
        }
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
            let message = if self.folder(plugin_id).is_dir() {
                format!("Plugin \"{plugin_id}\" is not installed; install it first")
            } else {
                format!("There is no plugin \"{plugin_id}\"")
            };
            Error::new(code::NOT_FOUND, message)
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

    pub(super) fn busy(&self, plugin_id: &str) -> Busy<'_> {
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

    /// Says that a step of the plugin's life is done.
    pub(super) fn done(
        &self,
        step: &str,
        event: &str,
        plugin_id: &str,
        generation: Option<&Arc<Generation>>,
    ) {
        let version = generation.map(|g| g.manifest().version.to_string());
        tracing::info!(plugin = plugin_id, version, "{step}");
        self.services.audit.done(step, plugin_id, &serde_json::json!({ "version": version }));
        self.emit(event, plugin_id, generation, None);
    }

    /// After a success: nothing is wrong any more.
    pub(super) fn settled(&self, plugin_id: &str, generation: &Arc<Generation>) {
        self.services.failures.clear(plugin_id);
        self.directory.change(plugin_id, |state| {
            state.errors.clear();
            state.manifest = Some(generation.shared_manifest());
        });
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
        match self.options.report {
            Report::Log => {
                for problem in problems {
                    let phase = problem.phase.as_str();
                    tracing::error!(plugin = plugin_id, phase, "{problem}");
                }
            }
            Report::Terminal => {
                let in_folder = |problem: &Problem| {
                    let file = problem.file.as_ref().map(|file| format!("{plugin_id}/{file}"));
                    Problem { file: file.or(Some(plugin_id.to_owned())), ..problem.clone() }
                };
                let problems: Vec<Problem> = problems.iter().map(in_folder).collect();
                eprint!("{}", Reporter::stderr().problems(&problems));
            }
            Report::Caller => {}
        }
    }
}

/// What a manifest asks for, as a record keeps it.
pub(super) fn asked(manifest: &Manifest) -> Value {
    // A struct of lists and flags has no value that JSON lacks.
    Value::from(&serde_json::to_value(&manifest.permissions).unwrap_or_default())
}
