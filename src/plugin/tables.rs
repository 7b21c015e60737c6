//! What administrators do about a plugin's tables: looking at what an upgrade would change, and
//! bringing rows back from a backup.

use std::path::PathBuf;

use super::directory::{PluginView, granted};
use super::lifecycle::{failed, forbidden, problem_of};
use super::operations::{Operations, Purpose};
use crate::error::{Error, Phase, Result};
use crate::extension::database;
use crate::value::Value;

impl Operations {
    /// What the version in the plugin's folder would change in the database, as
    /// [`Plan::to_value`](database::plan::Plan::to_value) writes it. Nothing is changed.
    pub async fn table_plan(&self, plugin_id: &str) -> Result<Value> {
        let record = self.record(plugin_id).await?;
        let granted = granted(&record);
        let loaded = self.load(plugin_id, &granted, record.config.as_ref(), Purpose::Look).await;
        let generation = loaded.map_err(|problems| failed(plugin_id, "read", problems))?;
        database::table_plan(&generation, &record, self.services.store.dialect())
    }

    /// Puts the rows of a backup into the plugin's tables, installing the plugin if need be. Without
    /// a file it is the plugin's newest backup. With `replace`, rows that are there are deleted.
    pub async fn restore(
        &self,
        plugin_id: &str,
        file: Option<PathBuf>,
        replace: bool,
    ) -> Result<PluginView> {
        let file = match file {
            Some(file) => file,
            None => self.newest_backup(plugin_id)?,
        };
        // Before anything is installed for it.
        database::backup::Reader::open(&file)?;
        let known = self.record(plugin_id).await.ok();
        let install = !known.is_some_and(|record| record.is_installed);
        if install {
            self.install(plugin_id, false).await?;
        }
        // What installing has put into the tables gives way to the backup.
        match self.restore_rows(plugin_id, &file, replace || install).await {
            Ok(rows) => {
                let note = format!("{rows} rows from {}", file.display());
                tracing::info!(plugin = plugin_id, "restored {note}");
                Ok(PluginView { note: Some(note), ..self.view(plugin_id).await? })
            }
            Err(error) => {
                if install && let Err(error) = self.uninstall(plugin_id, true).await {
                    tracing::error!(plugin = plugin_id, "still installed: {error}");
                }
                Err(forbidden(format!(
                    "Plugin \"{plugin_id}\" could not be restored: {}",
                    error.message
                )))
            }
        }
    }

    async fn restore_rows(
        &self,
        plugin_id: &str,
        file: &std::path::Path,
        replace: bool,
    ) -> Result<u64> {
        let record = self.record(plugin_id).await?;
        let transaction = self.services.store.begin().await?;
        let mut rows = 0;
        for point in self.services.points.iter() {
            rows += point.restore(&record, transaction.session(), file, replace).await?;
        }
        transaction.commit().await?;
        Ok(rows)
    }

    fn newest_backup(&self, plugin_id: &str) -> Result<PathBuf> {
        let folder = &self.options.backups;
        let found = database::backup::newest(folder, plugin_id).map_err(|error| {
            Error::unexpected(format!("cannot read {}: {error}", folder.display()))
        })?;
        found.ok_or_else(|| {
            forbidden(format!(
                "There is no backup of plugin \"{plugin_id}\" in {}",
                folder.display()
            ))
        })
    }

    /// Writes what the plugin has to a new file, in the transaction that will drop it.
    pub(super) async fn back_up(
        &self,
        record: &crate::store::plugins::PluginRecord,
        session: &crate::store::Session,
    ) -> Result<Vec<PathBuf>, Vec<crate::error::Problem>> {
        let mut files = Vec::new();
        for point in self.services.points.iter() {
            let file = point.backup(record, session, &self.options.backups).await;
            files.extend(file.map_err(|error| problem_of(Phase::Uninstall, &error))?);
        }
        Ok(files)
    }
}
