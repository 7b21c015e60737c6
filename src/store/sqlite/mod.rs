//! SQLite: one connection that writes, several that read.

mod connection;
mod control;
mod native;
mod quick;
mod writer;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use deadpool::managed;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

pub use connection::{Connection, Manager};
pub use native::DECIMAL_SUM;
pub use quick::Quick;
pub use writer::Writer;

use super::decimal;
use super::{StoreOptions, pool};
use crate::error::{Error, Result};

/// The collation of decimal columns. A program that opens the file by itself can read them, but
/// needs a collation of this name to sort or compare them.
pub const DECIMAL_COLLATION: &str = "moondock_decimal";

/// The most values that SQLite takes in one statement.
pub const MAX_BOUND_VALUES: usize = 32_766;

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections that read when no number is set.
const READERS: usize = 4;

pub type Pool = managed::Pool<Manager>;

/// An open database.
pub struct Sqlite {
    /// One connection, which writes.
    pub writer: Pool,
    pub readers: Pool,
    /// For reads that are over soon.
    pub quick: Quick,
    /// For statements by themselves.
    pub queue: Writer,
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
pub(super) async fn open(location: Location, settings: &StoreOptions) -> Result<Sqlite> {
    let (options, in_memory) = match location {
        Location::Memory(options) => (options, true),
        Location::File(options) => (options, false),
    };
    let path = options.get_filename().to_owned();
    let options = options
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .collation(DECIMAL_COLLATION, decimal::compare)
        .disable_statement_logging();
    let (writer, readers) = if in_memory {
        // An in-memory database lives and dies with its connection, so there is exactly one.
        let one = pool::new(Manager { options: options.shared_cache(false) }, 1)?;
        (one.clone(), one)
    } else {
        check_directory(&path).map_err(Error::unexpected)?;
        let options =
            options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
        let writes = options.clone().create_if_missing(true);
        let reads = options.pragma("query_only", "on").create_if_missing(false);
        let number = settings.connections.unwrap_or(READERS);
        (pool::new(Manager { options: writes }, 1)?, pool::new(Manager { options: reads }, number)?)
    };
    let mut connection = pool::get(&writer, settings.wait_until())
        .await
        .map_err(|e| Error::unexpected(format!("database {}: cannot open: {e}", path.display())))?;
    sqlx::migrate!("migrations/sqlite").run_direct(None, connection.inner(), false).await.map_err(
        |e| Error::unexpected(format!("database {}: cannot migrate: {e}", path.display())),
    )?;
    drop(connection);
    let quick = if in_memory {
        Quick::none()
    } else {
        // As many as threads can read at the same time.
        let count = std::thread::available_parallelism().map_or(READERS, |count| count.get());
        Quick::open(&path, count).map_err(|error| {
            Error::unexpected(format!("database {}: cannot open: {error}", path.display()))
        })?
    };
    let queue = Writer::start(writer.clone(), settings.wait);
    Ok(Sqlite { writer, readers, quick, queue })
}

impl Sqlite {
    /// Closes all connections, which also folds the write-ahead log into the file.
    pub(super) async fn close(&self) {
        self.quick.close();
        for pool in [&self.readers, &self.writer] {
            pool::close(pool, Connection::close).await;
        }
    }
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
