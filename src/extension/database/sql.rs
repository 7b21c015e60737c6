//! Raw SQL: statements that a plugin has written, checked, on its own tables only.

use std::sync::Arc;

use sea_query::Value as Sql;

use super::convert::{self, big_integer};
use super::errors::Doing;
use super::model::{Column, ColumnType, Table, TableSet};
use super::plan::Structural;
use super::query::MAX_ROWS;
use super::raw::{self, Checked, Purpose, RawStatement};
use super::role;
use super::tables::Tables;
use super::upgrade::Migrating;
use crate::store::{Cell, DbError, Dialect, Fence, ResultColumn, Row, Session, Statement};
use crate::value::{MAX_SAFE_INTEGER, Map, Value};

/// The tables that raw SQL may name, and what it is for.
pub enum Scope<'a> {
    /// Those of the version that serves.
    Call(&'a Tables),
    /// Those of the moment, which it may also change.
    Migration(&'a Migrating),
}

/// Runs a statement and gives its rows, by the names of the result's columns.
///
/// # Errors
/// `invalid` for what plugins may not do, for a wrong number of values, and for more than
/// [`MAX_ROWS`] rows; else those of the database.
pub async fn query(
    session: &Session,
    scope: Scope<'_>,
    sql: &str,
    values: &[Value],
) -> Result<Vec<Map>, DbError> {
    let set = scope.set();
    let Some(raw) = checked(session, &scope, &set, sql).await? else { return Ok(Vec::new()) };
    let returns_rows = raw.returns_rows;
    let statement = fenced(session, &scope, &set, raw, values).await?;
    let explain = |error| explained(&set, error);
    if !returns_rows {
        session.execute(statement).await.map_err(explain)?;
        return Ok(Vec::new());
    }
    let most = usize::try_from(MAX_ROWS).unwrap_or(usize::MAX);
    let outcome = session.query(statement.at_most(most)).await.map_err(explain)?;
    let read = |row| read_row(session, &set, &outcome.columns, row);
    outcome.rows.into_iter().map(read).collect()
}

/// Runs a statement and gives the number of rows that it changed.
///
/// # Errors
/// As [`query`].
pub async fn execute(
    session: &Session,
    scope: Scope<'_>,
    sql: &str,
    values: &[Value],
) -> Result<u64, DbError> {
    let set = scope.set();
    let Some(raw) = checked(session, &scope, &set, sql).await? else { return Ok(0) };
    let statement = fenced(session, &scope, &set, raw, values).await?;
    session.execute(statement).await.map_err(|error| explained(&set, error))
}

impl Scope<'_> {
    fn set(&self) -> Arc<TableSet> {
        match self {
            Scope::Call(tables) => Arc::clone(tables.set()),
            Scope::Migration(migrating) => migrating.set(),
        }
    }
}

/// The statement; `None` if it was a change to the tables, which is made.
async fn checked(
    session: &Session,
    scope: &Scope<'_>,
    set: &TableSet,
    sql: &str,
) -> Result<Option<RawStatement>, DbError> {
    let purpose = match scope {
        Scope::Call(_) => Purpose::Call,
        Scope::Migration(_) => Purpose::Migration,
    };
    match (raw::check(session.dialect(), set, sql, purpose)?, scope) {
        (Checked::Statement(statement), _) => Ok(Some(statement)),
        (Checked::Change(change), Scope::Migration(migrating)) => {
            migrating.change(&structural(change)).await?;
            Ok(None)
        }
        (Checked::Change(_), Scope::Call(_)) => {
            Err(DbError::invalid("tables are changed in migrations only"))
        }
    }
}

fn structural(change: raw::Change) -> Structural {
    match change {
        raw::Change::RenameColumn { table, from, to } => {
            Structural::RenameColumn { table, from, to }
        }
        raw::Change::DropColumn { table, column } => Structural::DropColumn { table, column },
        raw::Change::DropTable { table } => Structural::DropTable { table },
        raw::Change::RenameTable { table, to } => Structural::RenameTable { table, to },
    }
}

async fn fenced(
    session: &Session,
    scope: &Scope<'_>,
    set: &TableSet,
    raw: RawStatement,
    values: &[Value],
) -> Result<Statement, DbError> {
    let wanted = raw.pieces.len().saturating_sub(1);
    if wanted != values.len() {
        return Err(DbError::invalid(format!(
            "raw SQL: the statement has {wanted} parameters (?), and {} values are given",
            values.len()
        )));
    }
    let dialect = session.dialect();
    let mut fence = Fence {
        tables: set.tables.iter().map(|table| table.physical.clone()).collect(),
        subqueries: raw.subqueries,
        functions: Some(|name| raw::is_allowed_function(Dialect::Sqlite, name)),
        ..Fence::default()
    };
    if dialect == Dialect::Postgres {
        fence.role = match scope {
            Scope::Call(tables) => tables.role.get(session, set).await?,
            Scope::Migration(_) => role::ensure(session, set).await?,
        };
    }
    let values = values.iter().map(bindable).collect::<Result<_, _>>()?;
    Ok(Statement::fenced(dialect, raw.pieces, values, raw.writes, Arc::new(fence)))
}

fn bindable(value: &Value) -> Result<Sql, DbError> {
    Ok(match value {
        Value::Null => Sql::String(None),
        Value::Bool(b) => Sql::from(*b),
        Value::Int(i) => Sql::from(*i),
        // Lua has one kind of number.
        Value::Float(f) if f.fract() == 0.0 && f.abs() <= MAX_SAFE_INTEGER as f64 => {
            Sql::from(*f as i64)
        }
        Value::Float(f) => Sql::from(*f),
        Value::String(text) if text.contains('\0') => {
            return Err(DbError::invalid("raw SQL: a text has a null byte"));
        }
        Value::String(text) => Sql::from(text.clone()),
        Value::Bytes(bytes) => Sql::from(bytes.clone()),
        Value::List(_) | Value::Map(_) => match serde_json::to_string(value) {
            Ok(json) => Sql::from(json),
            Err(error) => {
                return Err(DbError::invalid(format!("raw SQL: a value is no JSON: {error}")));
            }
        },
    })
}

fn read_row(
    session: &Session,
    set: &TableSet,
    columns: &[ResultColumn],
    row: Row,
) -> Result<Map, DbError> {
    let mut out = Map::with_capacity(row.len());
    for (column, cell) in columns.iter().zip(row) {
        let value = match origin(set, column) {
            // Only SQLite says where a value comes from, and needs it: there a boolean is a number.
            Some((table, declared)) if declared.ty != ColumnType::Secret => {
                convert::from_sql(session.cipher(), &set.plugin_id, &table.name, declared, cell)?
            }
            _ => plain(cell)?,
        };
        if !value.is_null() {
            out.insert(column.name.clone(), value);
        }
    }
    Ok(out)
}

fn origin<'s>(set: &'s TableSet, column: &ResultColumn) -> Option<(&'s Table, &'s Column)> {
    let (table, name) = column.origin.as_ref()?;
    let table = set.tables.iter().find(|t| t.physical == *table)?;
    Some((table, table.columns.iter().find(|c| c.physical == *name)?))
}

fn plain(cell: Cell) -> Result<Value, DbError> {
    Ok(match cell {
        Cell::Null => Value::Null,
        Cell::Bool(b) => Value::Bool(b),
        Cell::Int(i) => big_integer(i),
        Cell::Real(f) => Value::Float(f),
        Cell::Text(text) => Value::String(text),
        Cell::Json(json) => serde_json::from_str(&json)
            .map_err(|error| DbError::invalid(format!("raw SQL: unreadable JSON: {error}")))?,
        Cell::Blob(bytes) => Value::Bytes(bytes),
    })
}

/// An error in the plugin's own terms, where it names one of its tables.
fn explained(set: &TableSet, error: DbError) -> DbError {
    let named = error.table.as_ref().and_then(|p| set.tables.iter().find(|t| t.physical == *p));
    match named {
        Some(table) => set.explain(table, Doing::Writing, error),
        None => DbError { message: format!("raw SQL: {}", error.message), ..error },
    }
}
