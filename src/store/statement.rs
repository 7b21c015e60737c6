//! Statements: SQL text with its values, written for one of the databases.

use std::sync::Arc;

use sea_query::{
    PostgresQueryBuilder, QueryStatementWriter, SchemaStatementBuilder, SqliteQueryBuilder,
};

use super::Dialect;
use super::cell::Want;

/// A statement with its values, and whether it may change anything.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(super) sql: Arc<str>,
    pub(super) values: Vec<sea_query::Value>,
    pub(super) writes: bool,
    pub(super) changes_tables: bool,
    /// Whether the connection keeps the prepared statement for the next time.
    pub(super) kept: bool,
    /// Whether SQLite looks away from foreign keys while it runs.
    pub(super) without_foreign_keys: bool,
    /// The most rows that it may give; more are an error.
    pub(super) max_rows: Option<usize>,
    /// Whether it gives no more than one row, which is then never too much.
    pub(super) gives_one_row: bool,
    /// What the database itself lets it reach.
    pub(super) fence: Option<Arc<Fence>>,
    /// The text between the values, where the database is to say what types they have.
    pub(super) pieces: Option<Arc<[String]>>,
}

/// What a plugin's own SQL may reach, enforced by the database: on SQLite by the authorizer of the
/// connection, on PostgreSQL by the rights of a role.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    /// The role that PostgreSQL runs it as.
    pub role: String,
    /// The names in the database of the tables that SQLite lets it read and write.
    pub tables: Vec<String>,
    /// Names that a statement gives to its own subqueries.
    pub subqueries: Vec<String>,
    /// Whether SQLite lets it call a function.
    pub functions: Option<fn(&str) -> bool>,
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

    /// A statement that only reads, of which the text is there already: the SQL of another one, with
    /// values of the same types at the same places.
    pub fn again(sql: Arc<str>, values: Vec<sea_query::Value>) -> Self {
        Statement { values, ..Statement::of(sql) }
    }

    /// The SQL text, to be used again.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.sql)
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
    /// one that `extension::database` has checked: there are no values to bind.
    pub fn schema_text(sql: impl Into<String>) -> Self {
        Statement { writes: true, changes_tables: true, kept: false, ..Statement::of(sql.into()) }
    }

    /// A command of the host's own that is about neither rows nor tables, such as a grant.
    pub fn command(sql: impl Into<String>) -> Self {
        Statement { changes_tables: false, ..Statement::schema_text(sql) }
    }

    /// A statement that a plugin has written, checked and taken apart at its values, behind a fence.
    pub fn fenced(
        dialect: Dialect,
        pieces: Vec<String>,
        values: Vec<sea_query::Value>,
        writes: bool,
        fence: Arc<Fence>,
    ) -> Self {
        let sql = joined(&pieces, |number| match dialect {
            Dialect::Sqlite => format!("?{number}"),
            Dialect::Postgres => format!("${number}"),
        });
        // SQLite looks at the fence when it prepares a statement, so one that is kept would have none.
        // PostgreSQL looks at the role's rights each time, and its driver has to keep a statement
        // whose result has types that it does not know yet.
        let kept = dialect == Dialect::Postgres;
        let pieces = kept.then(|| pieces.into());
        let fence = Some(fence);
        Statement { values, writes, kept, fence, pieces, ..Statement::of(sql) }
    }

    /// Refuses to give more than this number of rows.
    pub fn at_most(mut self, rows: usize) -> Self {
        self.max_rows = Some(rows);
        self
    }

    /// Says that it gives no more than one row. Of a statement that writes this spares the database the
    /// means to take it back because of the size of what it gives.
    pub fn of_one_row(mut self) -> Self {
        self.gives_one_row = true;
        self
    }

    /// Lets SQLite look away from foreign keys while it runs, so that a table that others refer to
    /// can be replaced. PostgreSQL never does.
    pub fn without_foreign_keys(mut self) -> Self {
        self.without_foreign_keys = true;
        self
    }

    /// Takes a statement that reads for one that writes: it locks the rows that it gives.
    pub fn locking(mut self) -> Self {
        self.writes = true;
        self
    }

    /// The SQL text, with a placeholder for every value.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Whether it may turn out, after it has written, that it gives too much.
    pub(super) fn may_give_too_much(&self, want: Want) -> bool {
        self.writes && want == Want::Rows && !self.gives_one_row
    }

    fn of(sql: impl Into<Arc<str>>) -> Self {
        Statement {
            sql: sql.into(),
            values: Vec::new(),
            writes: false,
            changes_tables: false,
            kept: true,
            without_foreign_keys: false,
            max_rows: None,
            gives_one_row: false,
            fence: None,
            pieces: None,
        }
    }
}

/// The pieces with a placeholder between them; `placeholder` gets its number, from 1.
pub(super) fn joined(pieces: &[String], placeholder: impl Fn(usize) -> String) -> String {
    let mut sql = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            sql.push_str(&placeholder(i));
        }
        sql.push_str(piece);
    }
    sql
}
