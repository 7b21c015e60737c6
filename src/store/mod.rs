//! The database: connections, transactions and the host's own tables.
//!
//! SQLite runs with a write-ahead log: readers never wait for the writer, and the writer never for
//! readers. All writes go through one connection, so they queue in the host rather than fail in
//! the database.
//!
//! # Durability
//! `synchronous` is NORMAL. A committed transaction survives a crash of the host (SIGKILL included).
//! After a power failure or a crash of the operating system the database is consistent, but the
//! last transactions before it, back to the last checkpoint of the log, may be missing.

mod decimal;
mod dialect;
mod error;
pub mod plugins;
mod session;
mod sqlite;
mod statement;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use sea_query::Query;

pub use decimal::{MAX_DIGITS as MAX_DECIMAL_DIGITS, normalize as normalize_decimal};
pub use dialect::Dialect;
pub use error::{DbError, DbErrorKind};
pub use session::{Cell, Session, Transaction};
pub use sqlite::{DECIMAL_COLLATION, MAX_BOUND_VALUES};
pub use statement::Statement;

use crate::error::{Error, Result};

/// The open database.
///
/// In memory there is one connection for everything, so a transaction there keeps even readers
/// waiting; with a file it does not.
pub struct Store {
    pools: sqlite::Pools,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the database and applies the host's migrations. `sqlite:///path/to/file` is created if
    /// it is missing (its directory is not); `sqlite::memory:` is a new database that lives as long
    /// as the store.
    ///
    /// # Errors
    /// One line that says what is wrong with the URL, the directory or the file.
    pub async fn open(url: &str) -> Result<Arc<Store>> {
        let scheme = url.split(':').next().unwrap_or_default();
        match scheme {
            "sqlite" if url.contains(':') => {}
            "postgres" | "postgresql" => {
                return Err(Error::unexpected(
                    "database URL: PostgreSQL is not supported yet by this version; use sqlite:///path/to/file",
                ));
            }
            _ => {
                // The URL may hold a password, so it is not repeated.
                return Err(Error::unexpected(
                    "database URL: expected sqlite:///path/to/file or sqlite::memory:",
                ));
            }
        }
        Ok(Arc::new(Store {
            pools: sqlite::open(sqlite::Location::of_url(url).map_err(Error::unexpected)?).await?,
        }))
    }

    /// Opens the SQLite file at `path`, as [`Store::open`] does; no character is special in it.
    pub async fn open_file(path: &Path) -> Result<Arc<Store>> {
        Ok(Arc::new(Store { pools: sqlite::open(sqlite::Location::of_file(path)).await? }))
    }

    /// A session in which every statement is a transaction by itself.
    pub fn session(self: &Arc<Self>) -> Session {
        Session::auto(self.clone())
    }

    /// Begins a write transaction, waiting for the one writer.
    ///
    /// # Errors
    /// `busy` when the writer does not become free in time.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        Transaction::begin(self).await
    }

    /// Whether the database answers.
    pub async fn ping(self: &Arc<Self>) -> Result<(), DbError> {
        let one = Query::select().expr(sea_query::Expr::val(1)).to_owned();
        self.session().fetch(Statement::read(Dialect::Sqlite, &one)).await.map(drop)
    }

    /// Waits for running statements and closes all connections, which also folds the write-ahead log
    /// into the file. Later statements fail. A store that is dropped instead loses nothing; its log
    /// is folded in at the next start.
    pub async fn close(&self) {
        self.pools.readers.close().await;
        self.pools.writer.close().await;
    }
}
