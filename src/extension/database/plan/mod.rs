//! What leads from the tables of one version of a plugin to those of another.
//!
//! Without a migration only what is *additive* is done: it leaves every row as it is. With one, the
//! tables are [`expanded`] by what is new, the migrations move the rows, and then the tables become
//! what the new version declares. [`statements`] is how either step is done.

mod change;
mod conversion;
mod diff;
mod expand;
mod pairs;
mod postgres;
mod sqlite;
mod structural;

pub use change::{Action, Change};
pub use diff::diff;
pub use expand::expanded;
pub(super) use sqlite::temporary;
pub use structural::{Evolving, Structural};

use super::installed::Installed;
use super::migrations::{FOLDER, next_number};
use super::model::TableSet;
use crate::store::{DbError, Dialect, Statement};
use crate::value::{Map, Value};

/// What an upgrade does to a plugin's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// The names of the migrations that run.
    pub migrations: Vec<String>,
    /// Why the upgrade cannot be done, and what to do; empty if it can.
    pub refused: Vec<String>,
    from: TableSet,
    to: TableSet,
}

impl Plan {
    /// The way from what is installed to `to`, with the migrations that have not run yet.
    pub fn new(from: &Installed, to: &TableSet, pending: &[String]) -> Plan {
        let changes = diff(&from.set, to);
        let number = next_number(from.migrations.iter().map(String::as_str));
        let refusal = |change: &Change| {
            let what = &change.description;
            if !change.possible {
                return Some(format!(
                    "{what}, which cannot be done with the values that are there: declare a new \
                     column and fill it in a migration"
                ));
            }
            (pending.is_empty() && !change.additive).then(|| {
                format!(
                    "{what}, which needs a migration: add {FOLDER}/{number}_name.lua with up(db)"
                )
            })
        };
        let mut refused: Vec<String> = changes.iter().filter_map(refusal).collect();
        refused.extend(clashes(&from.set, to, !pending.is_empty()));
        Plan {
            changes,
            migrations: pending.to_vec(),
            refused,
            from: from.set.clone(),
            to: to.clone(),
        }
    }

    /// Whether there is nothing to do in the database.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.migrations.is_empty()
    }

    /// Whether values are gone afterwards.
    pub fn loses_data(&self) -> bool {
        self.changes.iter().any(|change| change.loses_data)
    }

    /// The SQL text of the steps, with a comment where a migration runs; nothing if the plan is
    /// refused. What migrations do to tables themselves is not known before.
    pub fn sql(&self, dialect: Dialect) -> Result<Vec<String>, DbError> {
        let text = |statements: Vec<Statement>| statements.into_iter().map(|s| s.sql().to_owned());
        if !self.refused.is_empty() {
            return Ok(Vec::new());
        }
        if self.migrations.is_empty() {
            return Ok(text(statements(dialect, &self.from, &self.to)?).collect());
        }
        let expanded = expanded(&self.from, &self.to);
        let mut sql: Vec<String> = text(statements(dialect, &self.from, &expanded)?).collect();
        sql.extend(self.migrations.iter().map(|name| format!("-- {FOLDER}/{name}")));
        sql.extend(text(statements(dialect, &expanded, &self.to)?));
        Ok(sql)
    }

    /// As a value: `changes`, `migrations`, `refused` and `sql`.
    pub fn to_value(&self, dialect: Dialect) -> Result<Value, DbError> {
        let texts = |list: &[String]| Value::List(list.iter().map(|t| t.as_str().into()).collect());
        let changes = self.changes.iter().map(Change::to_value).collect();
        let mut map = Map::new();
        map.insert("changes".to_owned(), Value::List(changes));
        map.insert("migrations".to_owned(), texts(&self.migrations));
        map.insert("refused".to_owned(), texts(&self.refused));
        map.insert("sql".to_owned(), texts(&self.sql(dialect)?));
        Ok(map.into())
    }
}

/// What has to be there together for a while, but would have one name.
fn clashes(from: &TableSet, to: &TableSet, with_migrations: bool) -> Vec<String> {
    let mut found = Vec::new();
    for table in pairs::tables(from, to).new {
        let what = format!("table {}", table.name);
        if let Some(old) = from.physical_enum(&table.physical) {
            found.push((what, format!("enum {}", old.name), &table.physical));
            continue;
        }
        let has_index = |old: &&super::Table| {
            with_migrations && old.indexes.iter().any(|i| i.physical == table.physical)
        };
        if let Some(old) = from.tables.iter().find(has_index) {
            let old = format!("an index of table {}", old.name);
            found.push((what, old, &table.physical));
        }
    }
    for one in pairs::enums(from, to).new {
        if let Some(old) = from.physical(&one.physical) {
            let old = format!("table {}", old.name);
            found.push((format!("enum {}", one.name), old, &one.physical));
        }
    }
    let message = |(new, old, physical): (String, String, &String)| {
        format!(
            "{new} is {physical} in the database, as {old} of the installed version is: rename it, \
             or go over a version without either"
        )
    };
    found.into_iter().map(message).collect()
}

/// The statements that bring the database from one set to the other, in one transaction. They are to
/// run in this order; on SQLite [`foreign_key_check`](super::upgrade::foreign_key_check) has to
/// follow.
///
/// # Errors
/// `invalid` when a column would get a type to which its values cannot be converted.
pub fn statements(
    dialect: Dialect,
    from: &TableSet,
    to: &TableSet,
) -> Result<Vec<Statement>, DbError> {
    let impossible = diff(from, to).into_iter().find(|change| !change.possible);
    if let Some(change) = impossible {
        return Err(DbError::invalid(format!(
            "{}, which cannot be done with the values that are there",
            change.description
        )));
    }
    match dialect {
        Dialect::Sqlite => sqlite::statements(from, to),
        Dialect::Postgres => postgres::statements(from, to),
    }
}
