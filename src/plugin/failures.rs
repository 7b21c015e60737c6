//! What went wrong last while a plugin was serving: for administrators, who cannot read every log.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::generation::Generation;
use super::logs::{self, Level, Line};
use crate::error::{Phase, Problem};
use crate::lua::ScriptError;
use crate::store::plugins::RecordedError;

/// The last failure of each plugin's calls, in this process.
#[derive(Debug, Default)]
pub struct Failures(Mutex<BTreeMap<String, RecordedError>>);

impl Failures {
    /// Notes a failure in place of the one before.
    pub fn note(&self, plugin_id: &str, problem: &Problem) {
        self.0.lock().insert(plugin_id.to_owned(), RecordedError::now(problem));
    }

    /// Notes that a call has failed, also in the log. `what` says what was called.
    pub fn record(&self, generation: &Generation, what: &str, error: &ScriptError) {
        let plugin = generation.plugin_id();
        tracing::error!(plugin, traceback = error.traceback.as_deref(), "{what} failed: {error}");
        let message = format!("{what} failed: {error}");
        let line = Line { level: Level::Error, message: &message, fields: None, request_id: None };
        logs::tell(&generation.services, plugin, line);
        let mut problem = Problem::new(Phase::Call, format!("{what}: {}", error.message()));
        problem.file.clone_from(&error.file);
        problem.line = error.line;
        self.note(plugin, &problem);
    }

    /// The last failure of a plugin.
    pub fn of(&self, plugin_id: &str) -> Option<RecordedError> {
        self.0.lock().get(plugin_id).cloned()
    }

    /// Forgets a plugin's failure: another version of it serves.
    pub fn clear(&self, plugin_id: &str) {
        self.0.lock().remove(plugin_id);
    }
}
