//! What a plugin has in the database, as its record keeps it.

use serde::{Deserialize, Serialize};

use super::model::TableSet;
use crate::store::plugins::{self, PluginChanges, PluginRecord};
use crate::store::{DbError, DbErrorKind, Session};
use crate::value::Value;

/// The tables that a plugin has in the database, and the migrations that have led to them. Changing
/// and dropping them works from this alone, even if the folder is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Installed {
    pub set: TableSet,
    /// The names of the migrations that need not run any more, without their endings.
    pub migrations: Vec<String>,
}

impl Installed {
    /// A plugin that has nothing in the database.
    pub fn nothing(plugin_id: &str) -> Self {
        Installed { set: TableSet::empty(plugin_id), migrations: Vec::new() }
    }

    /// What the record says; `None` if the plugin is not installed.
    ///
    /// # Errors
    /// `internal` when something else than this host wrote the record.
    pub fn of(record: &PluginRecord) -> Result<Option<Self>, DbError> {
        let Some(value) = &record.table_set else { return Ok(None) };
        let unreadable = |reason: String| {
            let message = format!("the record of plugin {}: table_set: {reason}", record.plugin_id);
            DbError::new(DbErrorKind::Internal, message)
        };
        let json = serde_json::to_value(value).map_err(|e| unreadable(e.to_string()))?;
        let installed: Installed =
            serde_json::from_value(json).map_err(|e| unreadable(e.to_string()))?;
        if is_whole(&installed.set) {
            Ok(Some(installed))
        } else {
            Err(unreadable("it refers to tables or columns that it does not have".to_owned()))
        }
    }

    /// Keeps it in the record of the plugin; `None` when nothing is in the database any more.
    ///
    /// # Errors
    /// `invalid` when the plugin has no record.
    pub async fn remember(
        session: &Session,
        plugin_id: &str,
        installed: Option<&Installed>,
    ) -> Result<(), DbError> {
        let record = plugins::by_plugin_id(session, plugin_id).await?.ok_or_else(|| {
            DbError::invalid(format!("plugin {plugin_id} has no record to keep its tables in"))
        })?;
        let value = match installed {
            Some(installed) => Some(installed.to_value()?),
            None => None,
        };
        let changes = PluginChanges { table_set: Some(value), ..PluginChanges::default() };
        plugins::update(session, &record.id, changes).await?;
        Ok(())
    }

    fn to_value(&self) -> Result<Value, DbError> {
        match serde_json::to_value(self) {
            Ok(json) => Ok(Value::from(&json)),
            Err(e) => Err(DbError::invalid(format!("cannot keep the tables as JSON: {e}"))),
        }
    }
}

/// Whether all places in the set that are numbered exist.
fn is_whole(set: &TableSet) -> bool {
    let is_column = |table: usize, column: usize| {
        set.tables.get(table).is_some_and(|t| column < t.columns.len())
    };
    let mut order = set.creation_order.clone();
    order.sort_unstable();
    order.iter().copied().eq(0..set.tables.len())
        && set.tables.iter().enumerate().all(|(t, table)| {
            let of_indexes = table.indexes.iter().flat_map(|i| &i.columns);
            of_indexes.chain(&table.key).all(|c| is_column(t, *c))
                && table
                    .columns
                    .iter()
                    .filter_map(|c| c.foreign_key)
                    .all(|key| is_column(key.table, key.column))
        })
}
