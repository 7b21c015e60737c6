//! The tables of one plugin: the only way to its rows, and no way to any other.

use std::sync::Arc;

use sea_query::{Expr, Value as Sql};
use uuid::Uuid;

use super::convert;
use super::errors::Doing;
use super::model::{Default, Table, TableSet};
use super::names::{hint, quoted};
use super::query::{Query, column_of, read_row};
use crate::store::{DbError, DbErrorKind, Dialect, Session, Statement};
use crate::value::{Map, Value};

/// Reads and writes the rows of a plugin's own tables. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Tables {
    set: Arc<TableSet>,
}

impl Tables {
    pub fn new(set: Arc<TableSet>) -> Self {
        Tables { set }
    }

    /// The tables that can be named.
    pub fn set(&self) -> &Arc<TableSet> {
        &self.set
    }

    /// A query over all rows of `table`.
    pub fn from(&self, table: &str) -> Result<Query, DbError> {
        Ok(Query::new(self.set.clone(), self.table(table)?))
    }

    /// Inserts a row and gives it with its defaults. An absent key means the default, null means
    /// NULL.
    pub async fn insert(&self, session: &Session, table: &str, row: &Map) -> Result<Map, DbError> {
        let table = &self.set.tables[self.table(table)?];
        let statement = insert(table, row)?;
        let columns: Vec<usize> = (0..table.columns.len()).collect();
        let rows = session
            .fetch(statement)
            .await
            .map_err(|e| self.set.explain(table, Doing::Writing, e))?;
        let cells = rows.into_iter().next().ok_or_else(|| {
            DbError::new(DbErrorKind::Internal, format!("{}: insert gave no row", table.name))
        })?;
        read_row(table, &columns, cells)
    }

    /// Changes the rows that match `filter` (all, if it is empty) and gives their number. An absent
    /// key leaves a column alone, null makes it NULL.
    pub async fn update(
        &self,
        session: &Session,
        table: &str,
        changes: &Map,
        filter: &Map,
    ) -> Result<u64, DbError> {
        let query = self.from(table)?.where_eq(filter)?;
        let table = &self.set.tables[self.table(table)?];
        match update(table, changes, &query, false)? {
            Some(statement) => session
                .execute(statement)
                .await
                .map_err(|e| self.set.explain(table, Doing::Writing, e)),
            None => Ok(query.count(session).await?.unsigned_abs()),
        }
    }

    /// As [`Tables::update`], but gives the changed rows.
    pub async fn update_returning(
        &self,
        session: &Session,
        table: &str,
        changes: &Map,
        filter: &Map,
    ) -> Result<Vec<Map>, DbError> {
        let query = self.from(table)?.where_eq(filter)?;
        let table = &self.set.tables[self.table(table)?];
        let Some(statement) = update(table, changes, &query, true)? else {
            return query.all(session).await;
        };
        let columns: Vec<usize> = (0..table.columns.len()).collect();
        let rows = session
            .fetch(statement)
            .await
            .map_err(|e| self.set.explain(table, Doing::Writing, e))?;
        rows.into_iter().map(|cells| read_row(table, &columns, cells)).collect()
    }

    /// Deletes the rows that match `filter` (all, if it is empty) and gives their number; rows that
    /// go with them by a relation are not counted.
    pub async fn delete(
        &self,
        session: &Session,
        table: &str,
        filter: &Map,
    ) -> Result<u64, DbError> {
        let query = self.from(table)?.where_eq(filter)?;
        let table = &self.set.tables[self.table(table)?];
        let statement = {
            let mut delete = sea_query::Query::delete();
            delete.from_table(table.physical.clone());
            for condition in query.conditions() {
                delete.and_where(condition.clone());
            }
            Statement::write(Dialect::Sqlite, &delete)
        };
        session.execute(statement).await.map_err(|e| self.set.explain(table, Doing::Deleting, e))
    }

    fn table(&self, name: &str) -> Result<usize, DbError> {
        self.set.tables.iter().position(|t| t.name == name).ok_or_else(|| {
            let hint = hint(name, self.set.tables.iter().map(|t| t.name.as_str()));
            let plugin = &self.set.plugin_id;
            DbError::invalid(format!("plugin {plugin} has no table {}{hint}", quoted(name)))
        })
    }
}

fn insert(table: &Table, row: &Map) -> Result<Statement, DbError> {
    for name in row.keys() {
        column_of(table, name)?;
    }
    let mut columns = Vec::with_capacity(table.columns.len());
    let mut values: Vec<Expr> = Vec::with_capacity(table.columns.len());
    let mut missing = Vec::new();
    for column in &table.columns {
        let value = match (row.get(&column.name), &column.default) {
            (Some(Value::Null), _) if column.not_null => {
                missing.push(column.name.clone());
                continue;
            }
            (Some(value), _) => convert::to_sql(&table.name, column, value)?,
            (None, Some(Default::Now)) => convert::now(&column.ty),
            (None, Some(Default::Random)) => Sql::from(Uuid::new_v4().to_string()),
            // The database has the default.
            (None, Some(Default::Value(_))) => continue,
            (None, None) if column.not_null && !column.ty.is_serial() => {
                missing.push(column.name.clone());
                continue;
            }
            (None, None) => continue,
        };
        columns.push(column.physical.clone());
        values.push(value.into());
    }
    if !missing.is_empty() {
        return Err(required(table, missing));
    }
    let mut insert = sea_query::Query::insert();
    insert.into_table(table.physical.clone());
    if columns.is_empty() {
        insert.or_default_values();
    } else {
        insert
            .columns(columns)
            .values(values)
            .map_err(|e| DbError::new(DbErrorKind::Internal, e.to_string()))?;
    }
    insert.returning(every_column(table));
    Ok(Statement::write(Dialect::Sqlite, &insert))
}

/// `None` if there is nothing to change.
fn update(
    table: &Table,
    changes: &Map,
    query: &Query,
    returning: bool,
) -> Result<Option<Statement>, DbError> {
    if changes.is_empty() {
        return Ok(None);
    }
    let mut update = sea_query::Query::update();
    update.table(table.physical.clone());
    for (name, value) in changes {
        let column = &table.columns[column_of(table, name)?];
        if value.is_null() && column.not_null {
            return Err(required(table, vec![column.name.clone()]));
        }
        update.value(column.physical.clone(), convert::to_sql(&table.name, column, value)?);
    }
    for condition in query.conditions() {
        update.and_where(condition.clone());
    }
    if returning {
        update.returning(every_column(table));
    }
    Ok(Some(Statement::write(Dialect::Sqlite, &update)))
}

fn every_column(table: &Table) -> sea_query::ReturningClause {
    sea_query::Query::returning().columns(table.columns.iter().map(|c| c.physical.clone()))
}

fn required(table: &Table, columns: Vec<String>) -> DbError {
    let message = match columns.as_slice() {
        [one] => format!("{}.{one}: a value is required", table.name),
        many => format!("{} ({}): values are required", table.name, many.join(", ")),
    };
    DbError::new(DbErrorKind::NotNullViolation, message).at(&table.name, columns)
}
