//! The records of plugins: which are installed and active, what they own and what is granted.

use sea_query::{Expr, ExprTrait as _, Order, Query};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cell, DbError, DbErrorKind, Session, Statement};
use crate::error::Problem;
use crate::value::Value;

const TABLE: &str = "plugins";
const COLUMNS: [&str; 13] = [
    "id",
    "plugin_id",
    "is_activated",
    "is_installed",
    "backup",
    "monitor",
    "granted_permissions",
    "config",
    "installed_version",
    "table_set",
    "last_error",
    "created_at",
    "updated_at",
];

/// What is known about a plugin, whether or not its folder exists.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginRecord {
    /// The record's UUID, lower-case.
    pub id: String,
    pub plugin_id: String,
    pub is_activated: bool,
    pub is_installed: bool,
    /// Whether uninstalling makes a backup of the tables first.
    pub backup: bool,
    /// Whether what is not granted is noted only, and not denied.
    pub monitor: bool,
    /// The granted permissions, in the shape of the manifest's `permissions`.
    pub granted_permissions: Option<Value>,
    /// The plugin's configuration, secrets included. In the database it is sealed.
    pub config: Option<Value>,
    /// Whether there is a configuration that this host's key does not open.
    pub is_config_locked: bool,
    /// The version whose tables are in the database.
    pub installed_version: Option<String>,
    /// What the plugin has in the database; see `extension::database`, which alone reads it.
    pub table_set: Option<Value>,
    /// Why the plugin's last lifecycle operation failed; empty if it did not.
    pub last_errors: Vec<RecordedError>,
    /// RFC 3339, UTC, milliseconds.
    pub created_at: String,
    /// RFC 3339, UTC, milliseconds; `None` until the first update.
    pub updated_at: Option<String>,
}

/// A problem as it is kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedError {
    /// [`Phase::as_str`](crate::error::Phase::as_str).
    pub phase: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// RFC 3339, UTC, milliseconds.
    pub at: String,
}

impl RecordedError {
    /// The problem, as of now.
    pub fn now(problem: &Problem) -> Self {
        RecordedError {
            phase: problem.phase.as_str().to_owned(),
            message: problem.message.clone(),
            file: problem.file.clone(),
            line: problem.line,
            at: now(),
        }
    }
}

/// What [`list`] looks for; what is `None` is not looked at.
#[derive(Debug, Clone, Default)]
pub struct PluginFilter {
    pub plugin_id: Option<String>,
    pub is_activated: Option<bool>,
    pub is_installed: Option<bool>,
}

/// What [`update`] changes; what is `None` stays as it is. In the nested options `Some(None)` clears.
#[derive(Debug, Clone, Default)]
pub struct PluginChanges {
    pub plugin_id: Option<String>,
    pub is_activated: Option<bool>,
    pub is_installed: Option<bool>,
    pub backup: Option<bool>,
    pub monitor: Option<bool>,
    pub granted_permissions: Option<Option<Value>>,
    pub config: Option<Option<Value>>,
    pub installed_version: Option<Option<String>>,
    pub table_set: Option<Option<Value>>,
    pub last_errors: Option<Vec<RecordedError>>,
}

/// Adds a record for a plugin that is neither installed nor active.
///
/// # Errors
/// `uniqueViolation` when there is one for `plugin_id`.
pub async fn insert(session: &Session, plugin_id: &str) -> Result<PluginRecord, DbError> {
    let values = [Uuid::new_v4().to_string(), plugin_id.to_owned(), now()];
    let query = Query::insert()
        .into_table(TABLE)
        .columns(["id", "plugin_id", "created_at"])
        .values(values.map(Expr::val))
        .map_err(|e| DbError::new(DbErrorKind::Internal, e.to_string()))?
        .returning(Query::returning().columns(COLUMNS))
        .to_owned();
    one(session, Statement::write(session.dialect(), &query))
        .await?
        .ok_or_else(|| unreadable("the new record"))
}

/// The record with this id.
pub async fn by_id(session: &Session, id: &str) -> Result<Option<PluginRecord>, DbError> {
    let query = select().and_where(Expr::col("id").eq(id)).to_owned();
    one(session, Statement::read(session.dialect(), &query)).await
}

/// The record of this plugin.
pub async fn by_plugin_id(
    session: &Session,
    plugin_id: &str,
) -> Result<Option<PluginRecord>, DbError> {
    let query = select().and_where(Expr::col("plugin_id").eq(plugin_id)).to_owned();
    one(session, Statement::read(session.dialect(), &query)).await
}

/// The records that match, by plugin id.
pub async fn list(session: &Session, filter: &PluginFilter) -> Result<Vec<PluginRecord>, DbError> {
    let query = select()
        .and_where_option(filter.plugin_id.as_ref().map(|id| Expr::col("plugin_id").eq(id)))
        .and_where_option(filter.is_activated.map(|b| Expr::col("is_activated").eq(b)))
        .and_where_option(filter.is_installed.map(|b| Expr::col("is_installed").eq(b)))
        .order_by("plugin_id", Order::Asc)
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await?;
    rows.into_iter().map(|row| read(session, row)).collect()
}

/// Changes the record with this id and gives it as it is then; `None` if there is none.
///
/// # Errors
/// `uniqueViolation` when another record has the new plugin id.
pub async fn update(
    session: &Session,
    id: &str,
    changes: PluginChanges,
) -> Result<Option<PluginRecord>, DbError> {
    let mut query = Query::update();
    query.table(TABLE).value("updated_at", now()).and_where(Expr::col("id").eq(id));
    let flags = [
        ("is_activated", changes.is_activated),
        ("is_installed", changes.is_installed),
        ("backup", changes.backup),
        ("monitor", changes.monitor),
    ];
    for (column, flag) in flags {
        if let Some(flag) = flag {
            query.value(column, flag);
        }
    }
    if let Some(plugin_id) = changes.plugin_id {
        query.value("plugin_id", plugin_id);
    }
    if let Some(version) = changes.installed_version {
        query.value("installed_version", version);
    }
    if let Some(permissions) = changes.granted_permissions {
        query.value("granted_permissions", permissions.map(|p| json(&p)).transpose()?);
    }
    if let Some(config) = changes.config {
        let config = config.map(|config| json(&config)).transpose()?;
        query.value("config", config.map(|text| session.cipher().seal(&owner(id), &text)));
    }
    if let Some(set) = changes.table_set {
        query.value("table_set", set.map(|s| json(&s)).transpose()?);
    }
    if let Some(errors) = changes.last_errors {
        let errors = if errors.is_empty() { None } else { Some(json(&errors)?) };
        query.value("last_error", errors);
    }
    query.returning(Query::returning().columns(COLUMNS));
    one(session, Statement::write(session.dialect(), &query)).await
}

/// Deletes the record with this id; `false` if there is none.
pub async fn delete(session: &Session, id: &str) -> Result<bool, DbError> {
    let query = Query::delete().from_table(TABLE).and_where(Expr::col("id").eq(id)).to_owned();
    Ok(session.execute(Statement::write(session.dialect(), &query)).await? > 0)
}

fn select() -> sea_query::SelectStatement {
    Query::select().columns(COLUMNS).from(TABLE).to_owned()
}

async fn one(session: &Session, statement: Statement) -> Result<Option<PluginRecord>, DbError> {
    session.fetch(statement).await?.into_iter().next().map(|row| read(session, row)).transpose()
}

/// Seals configurations with the host's key that are sealed with the one before it. Gives their number.
pub async fn reseal(session: &Session) -> Result<usize, DbError> {
    let sealed = list(session, &PluginFilter::default()).await?;
    let sealed = sealed.into_iter().filter_map(|record| Some((record.id, record.config?)));
    let mut count = 0;
    for (id, config) in sealed {
        let changes = PluginChanges { config: Some(Some(config)), ..Default::default() };
        update(session, &id, changes).await?;
        count += 1;
    }
    Ok(count)
}

/// For whom a configuration is sealed: a record keeps its id when it gets another plugin's.
fn owner(id: &str) -> String {
    format!("config of {id}")
}

fn read(session: &Session, row: Vec<Cell>) -> Result<PluginRecord, DbError> {
    let mut cells = row.into_iter().zip(COLUMNS);
    let mut next = || cells.next().unwrap_or((Cell::Null, "a column"));
    let id = required(next())?;
    let mut record = PluginRecord {
        plugin_id: required(next())?,
        is_activated: flag(next()),
        is_installed: flag(next()),
        backup: flag(next()),
        monitor: flag(next()),
        granted_permissions: parsed(next())?,
        config: None,
        is_config_locked: false,
        installed_version: None,
        table_set: None,
        last_errors: Vec::new(),
        created_at: String::new(),
        updated_at: None,
        id,
    };
    if let Some(sealed) = text(next())? {
        record.config = match session.cipher().open(&owner(&record.id), &sealed) {
            Some(text) => Some(serde_json::from_str(&text).map_err(|_| unreadable("config"))?),
            None => None,
        };
        record.is_config_locked = record.config.is_none();
    }
    record.installed_version = text(next())?;
    record.table_set = parsed(next())?;
    record.last_errors = parsed(next())?.unwrap_or_default();
    record.created_at = required(next())?;
    record.updated_at = text(next())?;
    Ok(record)
}

/// A boolean, which is a number on SQLite.
fn flag((cell, _): (Cell, &str)) -> bool {
    matches!(cell, Cell::Int(1) | Cell::Bool(true))
}

fn text((cell, column): (Cell, &str)) -> Result<Option<String>, DbError> {
    match cell {
        Cell::Text(text) => Ok(Some(text)),
        Cell::Null => Ok(None),
        _ => Err(unreadable(column)),
    }
}

fn required((cell, column): (Cell, &str)) -> Result<String, DbError> {
    text((cell, column))?.ok_or_else(|| unreadable(column))
}

fn parsed<T: serde::de::DeserializeOwned>(
    (cell, column): (Cell, &str),
) -> Result<Option<T>, DbError> {
    match text((cell, column))? {
        Some(text) => serde_json::from_str(&text).map(Some).map_err(|_| unreadable(column)),
        None => Ok(None),
    }
}

fn unreadable(what: &str) -> DbError {
    DbError::new(DbErrorKind::Internal, format!("table plugins: cannot read {what}"))
}

fn json(value: &impl Serialize) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|e| DbError::invalid(format!("cannot write as JSON: {e}")))
}

/// The present moment: RFC 3339, UTC, milliseconds.
pub fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
