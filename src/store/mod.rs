//! The database: connections, transactions and the host's own tables.
//!
//! SQLite runs with a write-ahead log: readers never wait for the writer, and the writer never for
//! readers. All writes go through one connection, so they queue in the host rather than fail in
//! the database, and those that wait are committed together. PostgreSQL has one pool of connections.
//!
//! # Durability
//! On SQLite `synchronous` is NORMAL. A committed transaction survives a crash of the host (SIGKILL
//! included). After a power failure or a crash of the operating system the database is consistent,
//! but the last transactions before it, back to the last checkpoint of the log, may be missing. On
//! PostgreSQL it is what the server is set to.

pub mod audit_log;
mod cell;
mod cipher;
mod decimal;
pub mod deliveries;
mod dialect;
mod error;
#[cfg(test)]
mod fence_tests;
pub mod kv;
pub mod plugins;
mod pool;
mod postgres;
mod read;
pub mod schedules;
mod session;
mod sqlite;
mod statement;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod transaction;
pub mod users;
pub mod webhook_messages;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_query::Query;

pub use cell::{Cell, MAX_RESULT_BYTES, Outcome, ResultColumn, Row};
pub use cipher::{Cipher, random_secret};
pub use decimal::{MAX_DIGITS as MAX_DECIMAL_DIGITS, normalize as normalize_decimal};
pub use dialect::Dialect;
pub use error::{DbError, DbErrorKind};
pub use session::{Savepoint, Session};
pub use sqlite::{DECIMAL_COLLATION, DECIMAL_SUM, MAX_BOUND_VALUES};
pub use statement::{Fence, Statement};
pub use transaction::{Isolation, Transaction};

use crate::error::{Error, Result};

/// How a database is used.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The most connections: on SQLite those that read (4 unless set), on PostgreSQL all (16).
    pub connections: Option<usize>,
    /// How long a statement or a transaction waits for a connection.
    pub wait: Duration,
    /// How long a statement may take; a call's own deadline may come before.
    pub statement_timeout: Duration,
    /// Encrypts what plugins keep secret.
    pub cipher: Cipher,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            connections: None,
            wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            cipher: Cipher::random(),
        }
    }
}

impl StoreOptions {
    fn wait_until(&self) -> Instant {
        Instant::now() + self.wait
    }

    fn statement_until(&self) -> Instant {
        Instant::now() + self.statement_timeout
    }
}

/// The open database.
///
/// In memory there is one connection for everything, so a transaction there keeps even readers
/// waiting; with a file it does not.
pub struct Store {
    backend: Backend,
    options: StoreOptions,
    /// How many statements sessions have run.
    statements: AtomicU64,
}

enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.dialect().name())
    }
}

impl Store {
    /// How many statements have been run since the database was opened, those of the host included.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Opens the database and applies the host's migrations. `sqlite:///path/to/file` is created if
    /// it is missing (its directory is not); `sqlite::memory:` is a new database that lives as long
    /// as the store; `postgres://user:password@host:port/name` must exist.
    ///
    /// # Errors
    /// One line that says what is wrong with the URL, the directory, the file or the server.
    pub async fn open(url: &str, options: StoreOptions) -> Result<Arc<Store>> {
        let scheme = url.split(':').next().unwrap_or_default();
        let backend = match scheme {
            "sqlite" if url.contains(':') => {
                let location = sqlite::Location::of_url(url).map_err(Error::unexpected)?;
                Backend::Sqlite(sqlite::open(location, &options).await?)
            }
            "postgres" | "postgresql" => Backend::Postgres(postgres::open(url, &options).await?),
            _ => {
                // The URL may hold a password, so it is not repeated.
                return Err(Error::unexpected(
                    "database URL: expected sqlite:///path/to/file, sqlite::memory: or \
                     postgres://user:password@host:port/name",
                ));
            }
        };
        Ok(Arc::new(Store { backend, options, statements: AtomicU64::default() }))
    }

    /// Opens the SQLite file at `path`, as [`Store::open`] does; no character is special in it.
    pub async fn open_file(path: &Path, options: StoreOptions) -> Result<Arc<Store>> {
        let sqlite = sqlite::open(sqlite::Location::of_file(path), &options).await?;
        Ok(Arc::new(Store {
            backend: Backend::Sqlite(sqlite),
            options,
            statements: AtomicU64::default(),
        }))
    }

    /// What statements must be written for.
    pub fn dialect(&self) -> Dialect {
        match self.backend {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A session in which every statement is a transaction by itself.
    pub fn session(self: &Arc<Self>) -> Session {
        Session::auto(self.clone())
    }

    /// Begins a write transaction for the host's own work, whose statements may take as long as they
    /// take; on SQLite it waits for the one writer.
    ///
    /// # Errors
    /// `busy` when no connection becomes free in time.
    pub async fn begin(self: &Arc<Self>) -> Result<Transaction, DbError> {
        Transaction::begin(self, Isolation::default(), None, true).await
    }

    /// Begins a write transaction, isolated as asked, for somebody who has time until `deadline`.
    ///
    /// # Errors
    /// `busy` when no connection becomes free in time.
    pub async fn begin_until(
        self: &Arc<Self>,
        isolation: Isolation,
        deadline: Instant,
    ) -> Result<Transaction, DbError> {
        Transaction::begin(self, isolation, Some(deadline), false).await
    }

    /// Whether the database answers.
    pub async fn ping(self: &Arc<Self>) -> Result<(), DbError> {
        let one = Query::select().expr(sea_query::Expr::val(1)).to_owned();
        self.session().fetch(Statement::read(self.dialect(), &one)).await.map(drop)
    }

    /// Waits for running statements and closes all connections, which on SQLite also folds the
    /// write-ahead log into the file. Later statements fail. A store that is dropped instead loses
    /// nothing; its log is folded in at the next start.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.close().await,
            Backend::Postgres(postgres) => postgres.close().await,
        }
    }
}

/// A time of day in its one spelling: milliseconds are left out when there are none; a shorter text
/// still sorts before a longer one.
pub(crate) fn time_text(time: jiff::civil::Time) -> String {
    if time.millisecond() == 0 { format!("{time:.0}") } else { format!("{time:.3}") }
}
