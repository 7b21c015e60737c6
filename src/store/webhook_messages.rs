//! Messages of webhook senders that are handled once, however often they come.

use std::time::Duration;

use sea_query::{Cond, Expr, ExprTrait as _, OnConflict, Query};

use super::deliveries::{milliseconds, now};
use super::{Cell, DbError, DbErrorKind, Session, Statement};

const TABLE: &str = "webhookmessages";

/// How far somebody else is with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    InProgress,
    Handled,
}

/// Takes a message on; or says how far whoever has taken it on is. Who has not handled it within `limit`
/// is gone.
pub async fn claim(
    session: &Session,
    plugin_id: &str,
    id: &str,
    limit: Duration,
) -> Result<Option<Known>, DbError> {
    let dialect = session.dialect();
    let abandoned = Cond::all()
        .add(Expr::col((TABLE, "handled")).eq(0))
        .add(Expr::col((TABLE, "taken_at")).lt(now(dialect).sub(milliseconds(limit))));
    let query = Query::insert()
        .into_table(TABLE)
        .columns(["plugin_id", "id", "taken_at"])
        .values([plugin_id.into(), id.into(), now(dialect)])
        .map_err(|error| DbError::new(DbErrorKind::Internal, error.to_string()))?
        .on_conflict(
            OnConflict::columns(["plugin_id", "id"])
                .update_column("taken_at")
                .action_cond_where(abandoned)
                .to_owned(),
        )
        .to_owned();
    if session.execute(Statement::write(dialect, &query)).await? > 0 {
        return Ok(None);
    }
    let query = Query::select()
        .column("handled")
        .from(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    let found = session.fetch(Statement::read(dialect, &query)).await?;
    Ok(Some(match found.into_iter().flatten().next() {
        Some(Cell::Int(1)) => Known::Handled,
        // Also if it was given up a moment ago: the sender tries again.
        _ => Known::InProgress,
    }))
}

/// Notes that a message was handled.
pub async fn finish(session: &Session, plugin_id: &str, id: &str) -> Result<(), DbError> {
    let query = Query::update()
        .table(TABLE)
        .value("handled", 1)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// Lets a message that was not handled come again.
pub async fn release(session: &Session, plugin_id: &str, id: &str) -> Result<(), DbError> {
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .and_where(Expr::col("id").eq(id))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// Forgets all messages of a plugin.
pub async fn forget(session: &Session, plugin_id: &str) -> Result<(), DbError> {
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("plugin_id").eq(plugin_id))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// Forgets what was taken on longer than `age` ago.
pub async fn prune(session: &Session, age: Duration) -> Result<(), DbError> {
    let dialect = session.dialect();
    let query = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("taken_at").lt(now(dialect).sub(milliseconds(age))))
        .to_owned();
    session.execute(Statement::write(dialect, &query)).await.map(drop)
}
