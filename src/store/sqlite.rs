//! SQLite: how connections are set up, and how values pass in and out of statements.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, Decode, Row as _, Sqlite, TypeInfo as _, ValueRef as _};

use super::Statement;
use super::decimal;
use super::error::{DbError, DbErrorKind};
use super::session::{Begun, Cell};
use crate::error::{Error, Result};

/// The collation of decimal columns. A program that opens the file by itself can read them, but
/// needs a collation of this name to sort or compare them.
pub const DECIMAL_COLLATION: &str = "moondock_decimal";

/// The most values that SQLite takes in one statement.
pub const MAX_BOUND_VALUES: usize = 32_766;

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

/// The two pools of a database: one connection that writes, several that read.
pub(super) struct Pools {
    pub writer: SqlitePool,
    pub readers: SqlitePool,
}

/// Where a database is.
pub(super) enum Location {
    Memory(SqliteConnectOptions),
    File(SqliteConnectOptions),
}

impl Location {
    pub fn of_url(url: &str) -> Result<Self, String> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|e| format!("database URL {url:?}: {e}"))?;
        Ok(if is_in_memory(url) { Location::Memory(options) } else { Location::File(options) })
    }

    pub fn of_file(path: &Path) -> Self {
        Location::File(SqliteConnectOptions::new().filename(path))
    }
}

/// Opens the database and applies the host's migrations.
pub(super) async fn open(location: Location) -> Result<Pools> {
    let (options, in_memory) = match location {
        Location::Memory(options) => (options, true),
        Location::File(options) => (options, false),
    };
    let path = options.get_filename().to_owned();
    let options = options
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .collation(DECIMAL_COLLATION, decimal::compare)
        // Text from a plugin must never be taken for an identifier, and a damaged or hostile
        // schema must not run code.
        .pragma("trusted_schema", "off");
    let pool = SqlitePoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A round trip to the connection's thread before every use would find nothing: a local file
        // does not go away.
        .test_before_acquire(false);

    let pools = if in_memory {
        // An in-memory database lives and dies with its connection, so there is exactly one.
        let one = pool.max_connections(1).connect_with(options.shared_cache(false)).await;
        let one = one.map_err(|e| Error::unexpected(format!("in-memory database: {e}")))?;
        Pools { writer: one.clone(), readers: one }
    } else {
        check_directory(&path).map_err(Error::unexpected)?;
        let options =
            options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
        let writer = pool
            .clone()
            .max_connections(1)
            .connect_with(options.clone().create_if_missing(true))
            .await
            .map_err(|e| cannot_open(&path, e))?;
        let readers = pool
            .max_connections(READERS)
            .connect_lazy_with(options.pragma("query_only", "on").create_if_missing(false));
        Pools { writer, readers }
    };
    sqlx::migrate!("migrations/sqlite").run(&pools.writer).await.map_err(|e| {
        Error::unexpected(format!("database {}: cannot migrate: {e}", path.display()))
    })?;
    Ok(pools)
}

fn is_in_memory(url: &str) -> bool {
    let rest = url.trim_start_matches("sqlite:").trim_start_matches("//");
    let (name, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    name == ":memory:" || parameters.split('&').any(|p| p == "mode=memory")
}

/// Refuses what SQLite would only answer with "unable to open database file".
fn check_directory(path: &Path) -> Result<(), String> {
    if path.as_os_str().is_empty() {
        return Err("database URL: no file is named; write sqlite:///path/to/file".to_owned());
    }
    if path.is_dir() {
        let message = format!("database {}: is a directory, not a file", path.display());
        return Err(message);
    }
    let Some(directory) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    match std::fs::read_dir(directory) {
        Ok(_) => Ok(()),
        Err(e) => Err(format!(
            "database {}: cannot use the directory {}: {e}",
            path.display(),
            directory.display()
        )),
    }
}

fn cannot_open(path: &Path, error: sqlx::Error) -> Error {
    let reason = match &error {
        sqlx::Error::Database(e) => e.message().to_owned(),
        other => other.to_string(),
    };
    Error::unexpected(format!("database {}: cannot open: {reason}", path.display()))
}

/// Begins a write transaction.
pub(super) async fn begin(writer: &SqlitePool) -> Result<Begun, DbError> {
    // IMMEDIATE takes the write lock now: a transaction that reads first and writes later could
    // otherwise fail in the middle because another process wrote in between.
    const BEGIN: &str = "BEGIN IMMEDIATE";
    match writer.begin_with(BEGIN).await {
        // When SQLite rolls back by itself, as on a full disk, the driver's own ROLLBACK fails and
        // it goes on counting a transaction that is over. Only a new connection counts right.
        Err(sqlx::Error::InvalidSavePointStatement) => {
            writer.acquire().await?.close().await?;
            Ok(writer.begin_with(BEGIN).await?)
        }
        begun => Ok(begun?),
    }
}

/// Runs a statement and gives its rows.
pub(super) async fn fetch(
    connection: &mut SqliteConnection,
    statement: Statement,
) -> Result<Vec<Vec<Cell>>, DbError> {
    let rows = query(statement)?.fetch_all(connection).await?;
    rows.iter().map(read_row).collect()
}

/// Runs a statement and gives the number of rows it changed.
pub(super) async fn execute(
    connection: &mut SqliteConnection,
    statement: Statement,
) -> Result<u64, DbError> {
    Ok(query(statement)?.execute(connection).await?.rows_affected())
}

/// The one place where SQL text reaches the driver. It was written by sea-query or is a constant:
/// no value and no name from outside is in it but quoted.
fn query(statement: Statement) -> Result<Query<'static, Sqlite, SqliteArguments>, DbError> {
    let count = statement.values.len();
    if count > MAX_BOUND_VALUES {
        return Err(DbError::invalid(format!(
            "a statement takes at most {MAX_BOUND_VALUES} values, this one has {count}: split it"
        )));
    }
    let mut arguments = SqliteArguments::default();
    arguments.reserve(count, 0);
    for value in statement.values {
        bind(&mut arguments, value)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(statement.sql), arguments))
}

fn bind(arguments: &mut SqliteArguments, value: sea_query::Value) -> Result<(), DbError> {
    use sea_query::Value as V;
    let bound = match value {
        V::Bool(v) => arguments.add(v),
        V::Int(v) => arguments.add(v),
        V::BigInt(v) => arguments.add(v),
        // sea-query writes LIMIT and OFFSET with this type.
        V::BigUnsigned(v) => arguments.add(v.map(|v| i64::try_from(v).unwrap_or(i64::MAX))),
        V::Double(v) => arguments.add(v),
        V::String(v) => arguments.add(v),
        V::Bytes(v) => arguments.add(v),
        other => Err(format!("unsupported value {other:?}").into()),
    };
    bound.map_err(|e| DbError::invalid(format!("cannot bind a value: {e}")))
}

fn read_row(row: &SqliteRow) -> Result<Vec<Cell>, DbError> {
    (0..row.len()).map(|i| read_cell(row, i)).collect()
}

fn read_cell(row: &SqliteRow, index: usize) -> Result<Cell, DbError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Cell::Null);
    }
    let ty = raw.type_info().into_owned();
    let cell = match ty.name() {
        "INTEGER" => Decode::<Sqlite>::decode(raw).map(Cell::Int),
        "REAL" => Decode::<Sqlite>::decode(raw).map(Cell::Real),
        "BLOB" => Decode::<Sqlite>::decode(raw).map(Cell::Blob),
        _ => Decode::<Sqlite>::decode(raw).map(Cell::Text),
    };
    cell.map_err(|e| DbError::new(DbErrorKind::Internal, format!("cannot read a value: {e}")))
}
