//! What plugins keep under keys of their own.

use std::time::Duration;

use sea_query::{
    CaseStatement, Cond, Expr, ExprTrait as _, Func, OnConflict, Order, Query, SimpleExpr,
};

use super::deliveries::{milliseconds, now};
use super::{Cell, DbError, DbErrorKind, Dialect, Session, Statement};

const TABLE: &str = "kv";

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Can be counted up.
    Number(i64),
    Json(String),
}

impl Kept {
    fn read(value: Cell, number: Cell) -> Option<Self> {
        match (value, number) {
            (_, Cell::Int(number)) => Some(Kept::Number(number)),
            (Cell::Text(json), _) => Some(Kept::Json(json)),
            _ => None,
        }
    }
}

/// Whether an entry is still there.
fn is_there(dialect: Dialect) -> Cond {
    let expires = || Expr::col((TABLE, "expires_at"));
    Cond::any().add(expires().is_null()).add(expires().gt(now(dialect)))
}

/// What is kept under a key.
pub async fn get(session: &Session, plugin_id: &str, key: &str) -> Result<Option<Kept>, DbError> {
    let dialect = session.dialect();
    let query = Query::select()
        .columns(["value", "number"])
        .from(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .and_where(Expr::col("key").eq(key))
        .cond_where(is_there(dialect))
        .to_owned();
    let rows = session.fetch(Statement::read(dialect, &query)).await?;
    let mut cells = rows.into_iter().flatten();
    Ok(match (cells.next(), cells.next()) {
        (Some(value), Some(number)) => Kept::read(value, number),
        _ => None,
    })
}

/// Keeps something under a key, in place of what was there.
pub async fn set(
    session: &Session,
    plugin_id: &str,
    key: &str,
    kept: Kept,
    lifetime: Option<Duration>,
) -> Result<(), DbError> {
    let dialect = session.dialect();
    let (value, number) = match kept {
        Kept::Number(number) => (None, Some(number)),
        Kept::Json(json) => (Some(json), None),
    };
    let query = Query::insert()
        .into_table(TABLE)
        .columns(["plugin_id", "key", "value", "number", "expires_at"])
        .values([
            plugin_id.into(),
            key.into(),
            value.into(),
            number.into(),
            expiry(dialect, lifetime),
        ])
        .map_err(internal)?
        .on_conflict(
            OnConflict::columns(["plugin_id", "key"])
                .update_columns(["value", "number", "expires_at"])
                .to_owned(),
        )
        .to_owned();
    session.execute(Statement::write(dialect, &query)).await.map(drop)
}

/// Counts a number up, from 0 if there is none, and gives it; `None` if there is something else. It is
/// over when it was to be.
pub async fn increment(
    session: &Session,
    plugin_id: &str,
    key: &str,
    by: i64,
    lifetime: Option<Duration>,
) -> Result<Option<i64>, DbError> {
    let dialect = session.dialect();
    let over = || {
        Cond::all()
            .add(Expr::col((TABLE, "expires_at")).is_not_null())
            .add(Expr::col((TABLE, "expires_at")).lte(now(dialect)))
    };
    let counted: SimpleExpr =
        CaseStatement::new().case(over(), by).finally(Expr::col((TABLE, "number")).add(by)).into();
    let expires: SimpleExpr = CaseStatement::new()
        .case(over(), expiry(dialect, lifetime))
        .finally(Expr::col((TABLE, "expires_at")))
        .into();
    let query = Query::insert()
        .into_table(TABLE)
        .columns(["plugin_id", "key", "number", "expires_at"])
        .values([plugin_id.into(), key.into(), by.into(), expiry(dialect, lifetime)])
        .map_err(internal)?
        .on_conflict(
            OnConflict::columns(["plugin_id", "key"])
                .value("value", Expr::val(None::<String>))
                .value("number", counted)
                .value("expires_at", expires)
                .action_cond_where(
                    Cond::any().add(Expr::col((TABLE, "number")).is_not_null()).add(over()),
                )
                .to_owned(),
        )
        .returning(Query::returning().column("number"))
        .to_owned();
    let rows = session.fetch(Statement::write(dialect, &query)).await?;
    Ok(match rows.into_iter().flatten().next() {
        Some(Cell::Int(number)) => Some(number),
        _ => None,
    })
}

/// Removes a key; `false` if there was none.
pub async fn delete(session: &Session, plugin_id: &str, key: &str) -> Result<bool, DbError> {
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .and_where(Expr::col("key").eq(key))
        .cond_where(is_there(session.dialect()))
        .to_owned();
    Ok(session.execute(Statement::write(session.dialect(), &query)).await? > 0)
}

/// The entries whose keys begin with `prefix` and come after `after`, by key.
pub async fn list(
    session: &Session,
    plugin_id: &str,
    prefix: &str,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<(String, Kept)>, DbError> {
    let dialect = session.dialect();
    // Not LIKE, whose wildcards are in keys too, and which ignores case on one of the two.
    let starts = Func::cust("substr").args([
        Expr::col("key"),
        Expr::val(1).cast_as("integer"),
        Expr::val(i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX)).cast_as("integer"),
    ]);
    let query = Query::select()
        .columns(["key", "value", "number"])
        .from(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .and_where(Expr::col("key").gte(prefix))
        .and_where(Expr::expr(starts).eq(prefix))
        .and_where_option(after.map(|after| Expr::col("key").gt(after)))
        .cond_where(is_there(dialect))
        .order_by("key", Order::Asc)
        .limit(limit)
        .to_owned();
    let rows = session.fetch(Statement::read(dialect, &query)).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let mut cells = row.into_iter();
            match (cells.next(), cells.next(), cells.next()) {
                (Some(Cell::Text(key)), Some(value), Some(number)) => {
                    Some((key, Kept::read(value, number)?))
                }
                _ => None,
            }
        })
        .collect())
}

/// Removes everything of a plugin.
pub async fn forget(session: &Session, plugin_id: &str) -> Result<(), DbError> {
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// Removes what is over.
pub async fn prune(session: &Session) -> Result<(), DbError> {
    let dialect = session.dialect();
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("expires_at").lte(now(dialect)))
        .to_owned();
    session.execute(Statement::write(dialect, &query)).await.map(drop)
}

fn expiry(dialect: Dialect, lifetime: Option<Duration>) -> Expr {
    match lifetime {
        Some(lifetime) => now(dialect).add(milliseconds(lifetime)),
        None => Expr::val(None::<i64>),
    }
}

fn internal(error: sea_query::error::Error) -> DbError {
    DbError::new(DbErrorKind::Internal, error.to_string())
}
