//! The tables of one plugin: the only way to its rows, and no way to any other.

use std::sync::Arc;

use super::errors::Doing;
use super::insert::{self, Conflict};
use super::model::{Table, TableSet};
use super::names::{hint, quoted};
use super::query::{Query, column_of, matching};
use super::role::KnownRole;
use super::rows::{read_row, required, stored};
use crate::store::{DbError, DbErrorKind, Row, Session, Statement};
use crate::value::Map;

/// Reads and writes the rows of a plugin's own tables. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Tables {
    set: Arc<TableSet>,
    /// The role that raw SQL runs as on PostgreSQL.
    pub(super) role: Arc<KnownRole>,
}

impl Tables {
    pub fn new(set: Arc<TableSet>) -> Self {
        Tables { set, role: Arc::default() }
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
        let statement =
            insert::statement(session, &self.set, table, std::slice::from_ref(row), None)?;
        let mut rows = self.written(session, table, statement).await?;
        insert::count_on(session, &self.set, table, std::slice::from_ref(row)).await?;
        rows.pop().ok_or_else(|| nothing_given(table, "insert"))
    }

    /// Inserts rows, all or none, and gives them with their defaults, in the same order. They go in
    /// one statement, or in as few as the number of values allows.
    pub async fn insert_many(
        &self,
        session: &Session,
        table: &str,
        rows: &[Map],
    ) -> Result<Vec<Map>, DbError> {
        let table = &self.set.tables[self.table(table)?];
        let parts = insert::parts(table, rows)?;
        let mut statements = Vec::with_capacity(parts.len());
        for part in &parts {
            statements.push(insert::statement(session, &self.set, table, part, None)?);
        }
        let written = if statements.len() == 1 || session.is_transaction() {
            self.all_written(session, table, statements).await?
        } else {
            let transaction = session.begin().await?;
            let written = self.all_written(transaction.session(), table, statements).await?;
            transaction.commit().await?;
            written
        };
        insert::count_on(session, &self.set, table, rows).await?;
        Ok(written)
    }

    /// Inserts a row, or changes the one that has the same values in `conflict` columns, which must
    /// be a primary key or unique. Only what `row` has is changed; defaults are for a new row.
    pub async fn upsert(
        &self,
        session: &Session,
        table: &str,
        row: &Map,
        conflict: &[String],
    ) -> Result<Map, DbError> {
        let table = &self.set.tables[self.table(table)?];
        let conflict = Conflict::new(table, row, conflict)?;
        let rows = std::slice::from_ref(row);
        let statement = insert::statement(session, &self.set, table, rows, Some(&conflict))?;
        let mut written = self.written(session, table, statement).await?;
        insert::count_on(session, &self.set, table, rows).await?;
        written.pop().ok_or_else(|| nothing_given(table, "upsert"))
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
        match self.updating(session, table, changes, &query, false)? {
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
        match self.updating(session, table, changes, &query, true)? {
            Some(statement) => self.written(session, table, statement).await,
            None => query.all(session).await,
        }
    }

    /// Deletes the rows that match `filter` (all, if it is empty) and gives their number; rows that
    /// go with them by a relation are not counted.
    pub async fn delete(
        &self,
        session: &Session,
        table: &str,
        filter: &Map,
    ) -> Result<u64, DbError> {
        let (table, statement) = self.deleting(session, table, filter, false)?;
        session.execute(statement).await.map_err(|e| self.set.explain(table, Doing::Deleting, e))
    }

    /// As [`Tables::delete`], but gives the deleted rows.
    pub async fn delete_returning(
        &self,
        session: &Session,
        table: &str,
        filter: &Map,
    ) -> Result<Vec<Map>, DbError> {
        let (table, statement) = self.deleting(session, table, filter, true)?;
        let rows = session.fetch(statement).await;
        let rows = rows.map_err(|e| self.set.explain(table, Doing::Deleting, e))?;
        self.read(session, table, rows)
    }

    fn deleting(
        &self,
        session: &Session,
        table: &str,
        filter: &Map,
        returning: bool,
    ) -> Result<(&Table, Statement), DbError> {
        let query = self.from(table)?.where_eq(filter)?;
        let table = &self.set.tables[self.table(table)?];
        let dialect = session.dialect();
        let mut delete = sea_query::Query::delete();
        delete.from_table(table.physical.clone()).cond_where(matching(dialect, table, &query));
        if returning {
            delete.returning(every_column(table));
        }
        Ok((table, Statement::write(dialect, &delete)))
    }

    /// `None` if there is nothing to change.
    fn updating(
        &self,
        session: &Session,
        table: &Table,
        changes: &Map,
        query: &Query,
        returning: bool,
    ) -> Result<Option<Statement>, DbError> {
        if changes.is_empty() {
            return Ok(None);
        }
        let dialect = session.dialect();
        let mut update = sea_query::Query::update();
        update.table(table.physical.clone()).cond_where(matching(dialect, table, query));
        for (name, value) in changes {
            let column = &table.columns[column_of(table, name)?];
            if value.is_null() && column.not_null {
                return Err(required(table, vec![column.name.clone()]));
            }
            update
                .value(column.physical.clone(), stored(session, &self.set, table, column, value)?);
        }
        if returning {
            update.returning(every_column(table));
        }
        Ok(Some(Statement::write(dialect, &update)))
    }

    async fn all_written(
        &self,
        session: &Session,
        table: &Table,
        statements: Vec<Statement>,
    ) -> Result<Vec<Map>, DbError> {
        // Inside of a transaction the rows are all or none too.
        let savepoint = match statements.len() {
            0 | 1 => None,
            _ => Some(session.savepoint().await?),
        };
        let mut rows = Vec::new();
        for statement in statements {
            match (self.written(session, table, statement).await, savepoint) {
                (Ok(written), _) => rows.extend(written),
                (Err(error), Some(savepoint)) if !error.ends_transaction => {
                    session.roll_back_to(savepoint).await?;
                    return Err(error);
                }
                (Err(error), _) => return Err(error),
            }
        }
        if let Some(savepoint) = savepoint {
            session.release(savepoint).await?;
        }
        Ok(rows)
    }

    async fn written(
        &self,
        session: &Session,
        table: &Table,
        statement: Statement,
    ) -> Result<Vec<Map>, DbError> {
        let rows = session.fetch(statement).await;
        let rows = rows.map_err(|e| self.set.explain(table, Doing::Writing, e))?;
        self.read(session, table, rows)
    }

    fn read(&self, session: &Session, table: &Table, rows: Vec<Row>) -> Result<Vec<Map>, DbError> {
        let columns: Vec<usize> = (0..table.columns.len()).collect();
        let read = |cells| read_row(session.cipher(), &self.set, table, &columns, cells);
        rows.into_iter().map(read).collect()
    }

    fn table(&self, name: &str) -> Result<usize, DbError> {
        self.set.tables.iter().position(|t| t.name == name).ok_or_else(|| {
            let hint = hint(name, self.set.tables.iter().map(|t| t.name.as_str()));
            let plugin = &self.set.plugin_id;
            DbError::invalid(format!("plugin {plugin} has no table {}{hint}", quoted(name)))
        })
    }
}

pub(super) fn every_column(table: &Table) -> sea_query::ReturningClause {
    sea_query::Query::returning().columns(table.columns.iter().map(|c| c.physical.clone()))
}

fn nothing_given(table: &Table, what: &str) -> DbError {
    DbError::new(DbErrorKind::Internal, format!("{}: {what} gave no row", table.name))
}
