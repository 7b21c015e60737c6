//! When the schedules of active plugins are to run next.

use sea_query::{Cond, Expr, ExprTrait as _, OnConflict, Query};

use super::deliveries::now;
use super::read::Cells;
use super::{DbError, DbErrorKind, Session, Statement};

const TABLE: &str = "schedules";
const COLUMNS: [&str; 2] = ["id", "next_at"];

/// A schedule whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub id: String,
    /// Milliseconds since 1970.
    pub next_at: i64,
}

/// Adds a schedule, unless it is known.
pub async fn add(
    session: &Session,
    id: &str,
    plugin_id: &str,
    next_at: i64,
) -> Result<(), DbError> {
    let query = Query::insert()
        .into_table(TABLE)
        .columns(["id", "plugin_id", "next_at"])
        .values([id.into(), plugin_id.into(), next_at.into()])
        .map_err(|error| DbError::new(DbErrorKind::Internal, error.to_string()))?
        .on_conflict(OnConflict::column("id").do_nothing().to_owned())
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// The ids of all schedules.
pub async fn known(session: &Session) -> Result<Vec<String>, DbError> {
    let query = Query::select().columns(COLUMNS).from(TABLE).to_owned();
    rows(session, &query).await.map(|rows| rows.into_iter().map(|due| due.id).collect())
}

/// The schedules whose time has come.
pub async fn due(session: &Session) -> Result<Vec<Due>, DbError> {
    let query = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .and_where(Expr::col("next_at").lte(now(session.dialect())))
        .to_owned();
    rows(session, &query).await
}

/// Says when a schedule is to run next; `false` if somebody else has, or it is gone.
pub async fn advance(session: &Session, due: &Due, next_at: i64) -> Result<bool, DbError> {
    let query = Query::update()
        .table(TABLE)
        .value("next_at", next_at)
        .and_where(Expr::col("id").eq(&due.id))
        .and_where(Expr::col("next_at").eq(due.next_at))
        .to_owned();
    Ok(session.execute(Statement::write(session.dialect(), &query)).await? > 0)
}

/// Removes what `running`, the plugins that this host runs, no longer declare, and the schedules of
/// plugins that are not to be active: after a pause nothing is made up for.
pub async fn remove_others(
    session: &Session,
    running: &[String],
    ids: &[String],
) -> Result<(), DbError> {
    let active = Query::select()
        .column("plugin_id")
        .from("plugins")
        .and_where(Expr::col("is_activated").eq(true))
        .to_owned();
    let outdated =
        Cond::all().add(Expr::col("plugin_id").is_in(running)).add(Expr::col("id").is_not_in(ids));
    let query = Query::delete()
        .from_table(TABLE)
        .cond_where(Cond::any().add(outdated).add(Expr::col("plugin_id").not_in_subquery(active)))
        .to_owned();
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

async fn rows(session: &Session, query: &sea_query::SelectStatement) -> Result<Vec<Due>, DbError> {
    let rows = session.fetch(Statement::read(session.dialect(), query)).await?;
    rows.into_iter()
        .map(|row| {
            let mut cells = Cells::new(TABLE, &COLUMNS, row);
            Ok(Due { id: cells.required()?, next_at: cells.int()? })
        })
        .collect()
}
