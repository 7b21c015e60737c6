//! Statements: SQL text with its values, written for one of the databases.

use std::sync::Arc;

use sea_query::{
    PostgresQueryBuilder, QueryStatementWriter, SchemaStatementBuilder, SqliteQueryBuilder,
};

use super::Dialect;

/// A statement with its values, and whether it may change anything.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(super) sql: Arc<str>,
    pub(super) values: Vec<sea_query::Value>,
    pub(super) writes: bool,
    /// Whether the connection keeps the prepared statement for the next time.
    pub(super) kept: bool,
    /// Whether SQLite looks away from foreign keys while it runs.
    pub(super) without_foreign_keys: bool,
}

impl Statement {
    /// A statement that only reads; outside a transaction any reader may run it.
    pub fn read(dialect: Dialect, query: &impl QueryStatementWriter) -> Self {
        let (sql, values) = match dialect {
            Dialect::Sqlite => query.build(SqliteQueryBuilder),
            Dialect::Postgres => query.build(PostgresQueryBuilder),
        };
        Statement { values: values.0, ..Statement::of(sql) }
    }

    /// A statement that changes rows.
    pub fn write(dialect: Dialect, query: &impl QueryStatementWriter) -> Self {
        Statement { writes: true, ..Statement::read(dialect, query) }
    }

    /// A statement that changes tables.
    pub fn schema(dialect: Dialect, statement: &impl SchemaStatementBuilder) -> Self {
        Statement::schema_text(match dialect {
            Dialect::Sqlite => statement.build(SqliteQueryBuilder),
            Dialect::Postgres => statement.build(PostgresQueryBuilder),
        })
    }

    /// A statement that changes tables, for what sea-query cannot say. Every name in `sql` must be
    /// one that [`names`](crate::extension::database) has checked: there are no values to bind.
    pub fn schema_text(sql: impl Into<String>) -> Self {
        Statement { writes: true, kept: false, ..Statement::of(sql.into()) }
    }

    /// A statement that was written elsewhere and checked. It is not kept by the connection.
    pub fn checked(sql: String, values: Vec<sea_query::Value>, writes: bool) -> Self {
        Statement { values, writes, kept: false, ..Statement::of(sql) }
    }

    /// Lets SQLite look away from foreign keys while it runs, so that a table that others refer to
    /// can be replaced. PostgreSQL never does.
    pub fn without_foreign_keys(mut self) -> Self {
        self.without_foreign_keys = true;
        self
    }

    /// The SQL text, with a placeholder for every value.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    fn of(sql: String) -> Self {
        Statement {
            sql: sql.into(),
            values: Vec::new(),
            writes: false,
            kept: true,
            without_foreign_keys: false,
        }
    }
}
