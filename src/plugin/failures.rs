//! What went wrong last while a plugin was serving: for administrators, who cannot read every log.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::error::Problem;
use crate::store::plugins::RecordedError;

/// The last failure of each plugin's calls, in this process.
#[derive(Debug, Default)]
pub struct Failures(Mutex<BTreeMap<String, RecordedError>>);

impl Failures {
    /// Notes a failure in place of the one before.
    pub fn note(&self, plugin_id: &str, problem: &Problem) {
        self.0.lock().insert(plugin_id.to_owned(), RecordedError::now(problem));
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
