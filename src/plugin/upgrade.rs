//! What a newer version changes in the database: all of it in one transaction with the steps that
//! bring the version up, so that a version that does not serve leaves nothing behind.

use std::sync::Arc;

use super::generation::Generation;
use super::lifecycle::{StepTransaction, problem_of};
use super::operations::Operations;
use crate::error::{Error, Phase, Problem, Result};
use crate::store::plugins::{self, PluginChanges, PluginRecord};

impl Operations {
    /// Makes what this version needs beyond the installed one, if it needs anything. Nothing of it
    /// is done before [`Operations::finish_upgrade`].
    pub(super) async fn begin_upgrade(
        &self,
        generation: &Arc<Generation>,
        record: &PluginRecord,
    ) -> Result<Option<StepTransaction>, Vec<Problem>> {
        let failed = |error: Error| problem_of(Phase::Activate, &error);
        let mut needed = false;
        for point in self.services.points.iter() {
            needed |= point.needs_upgrade(generation, record).map_err(failed)?;
        }
        if !needed {
            return Ok(None);
        }
        let begun = self.services.store.begin().await.map_err(|error| failed(error.into()))?;
        let transaction = StepTransaction::new(begun);
        for point in self.services.points.iter() {
            point.upgrade(generation, record, &transaction).await.map_err(failed)?;
        }
        let version = generation.manifest().version.to_string();
        let changes =
            PluginChanges { installed_version: Some(Some(version)), ..Default::default() };
        plugins::update(transaction.session(), &record.id, changes)
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(Some(transaction))
    }

    /// Changes the record, and with it commits what the version has changed in the database.
    pub(super) async fn finish_upgrade(
        &self,
        upgrade: Option<StepTransaction>,
        record: &PluginRecord,
        changes: PluginChanges,
    ) -> Result<()> {
        let Some(transaction) = upgrade else {
            return self.change_record(record, changes).await.map(drop);
        };
        plugins::update(transaction.session(), &record.id, changes).await?;
        self.services.events.committed(transaction.commit().await?);
        Ok(())
    }
}
