//! Jobs: functions that work off what the plugin itself puts off with `ctx.jobs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Conflict, ExtensionPoint, Loading};
use crate::parts::Parts;
use crate::plugin::generation::Generation;

/// The extension point.
#[derive(Debug)]
pub struct JobPoint;

/// The jobs of one generation, by name.
#[derive(Debug, Default)]
pub struct Jobs(BTreeMap<String, Job>);

/// How jobs of one name are done.
#[derive(Debug)]
pub struct Job {
    /// The key of the plugin's function.
    pub handler: Arc<str>,
    /// How often a job is tried.
    pub max_attempts: u32,
}

impl Jobs {
    /// The job of this name.
    pub fn get(&self, name: &str) -> Option<&Job> {
        self.0.get(name)
    }

    /// The names of all jobs.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

#[async_trait]
impl ExtensionPoint for JobPoint {
    async fn declare(&self, loading: &mut Loading<'_>) {
        let mut jobs = Jobs::default();
        for (i, entry) in loading.manifest.extension_points.jobs.iter().enumerate() {
            let wanted_by = format!("extensionPoints.jobs[{i}].handler");
            let Some(function) = loading.function(&entry.file, &entry.handler, &wanted_by).await
            else {
                continue;
            };
            let handler: Arc<str> = format!("job:{}:{}", entry.file, entry.handler).into();
            loading.handler(Arc::clone(&handler), function);
            jobs.0.insert(entry.name.clone(), Job { handler, max_attempts: entry.max_attempts });
        }
        loading.parts.insert(Arc::new(jobs));
    }

    fn assemble(&self, _: &[Arc<Generation>], _: &mut Parts) -> Result<(), Vec<Conflict>> {
        // A plugin's jobs are its own business.
        Ok(())
    }
}
