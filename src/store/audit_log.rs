//! Who has changed what about plugins, and what plugins were denied.

use sea_query::{Expr, ExprTrait as _, Order, Query};

use super::read::Cells;
use super::{DbError, DbErrorKind, Session, Statement};

const TABLE: &str = "auditlog";
const COLUMNS: [&str; 6] = ["seq", "at", "actor", "action", "plugin_id", "details"];

/// Something that was done, or denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// RFC 3339, UTC, milliseconds.
    pub at: String,
    /// Who did it: an account, the command line, the host itself, or the plugin that was denied something.
    pub actor: String,
    /// What was done, such as `grant`.
    pub action: String,
    pub plugin_id: String,
    /// JSON. No secret is in it.
    pub details: String,
}

/// What [`list`] looks for; what is `None` is not looked at.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub plugin_id: Option<String>,
    pub action: Option<String>,
}

/// Writes entries, in their order.
pub async fn insert(session: &Session, entries: Vec<Entry>) -> Result<(), DbError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut query = Query::insert();
    query.into_table(TABLE).columns(COLUMNS.into_iter().skip(1));
    for entry in entries {
        let Entry { at, actor, action, plugin_id, details } = entry;
        query
            .values([at, actor, action, plugin_id, details].map(Expr::val))
            .map_err(|error| DbError::new(DbErrorKind::Internal, error.to_string()))?;
    }
    session.execute(Statement::write(session.dialect(), &query)).await.map(drop)
}

/// The entries that match with their numbers, newest first.
pub async fn list(
    session: &Session,
    filter: &Filter,
    limit: u64,
    offset: u64,
) -> Result<Vec<(i64, Entry)>, DbError> {
    let query = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .and_where_option(filter.plugin_id.as_ref().map(|id| Expr::col("plugin_id").eq(id)))
        .and_where_option(filter.action.as_ref().map(|action| Expr::col("action").eq(action)))
        .order_by("seq", Order::Desc)
        .limit(limit)
        .offset(offset)
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await?;
    rows.into_iter()
        .map(|row| {
            let mut cells = Cells::new(TABLE, &COLUMNS, row);
            let seq = cells.int()?;
            Ok((
                seq,
                Entry {
                    at: cells.required()?,
                    actor: cells.required()?,
                    action: cells.required()?,
                    plugin_id: cells.required()?,
                    details: cells.required()?,
                },
            ))
        })
        .collect()
}
