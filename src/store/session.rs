//! Where statements run: by themselves, or inside a transaction.

use std::fmt;
use std::sync::Arc;

use sea_query::{QueryStatementWriter, SchemaStatementBuilder, SqliteQueryBuilder};
use sqlx::Sqlite;
use tokio::sync::Mutex;

use super::error::{DbError, DbErrorKind};
use super::{Store, sqlite};

/// A value as it is in the database.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// A statement with its values, and whether it may change anything.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<sea_query::Value>,
    writes: bool,
}

impl Statement {
    /// A statement that only reads; outside a transaction any reader may run it.
    pub fn read(query: &impl QueryStatementWriter) -> Self {
        let (sql, values) = query.build(SqliteQueryBuilder);
        Statement { sql, values: values.0, writes: false }
    }

    /// A statement that changes rows.
    pub fn write(query: &impl QueryStatementWriter) -> Self {
        Statement { writes: true, ..Statement::read(query) }
    }

    /// A statement that changes tables.
    pub fn schema(statement: &impl SchemaStatementBuilder) -> Self {
        Statement { sql: statement.build(SqliteQueryBuilder), values: Vec::new(), writes: true }
    }

    /// The SQL text, with a placeholder for every value.
    pub fn sql(&self) -> &str {
        &self.sql
    }
}

/// A write transaction. It holds the one writer from its beginning on, so whoever has one must not
/// wait for a write outside of it. Dropped without [`WriteTx::commit`] it is rolled back.
pub(super) struct WriteTx {
    inner: sqlx::Transaction<'static, Sqlite>,
}

impl WriteTx {
    pub(super) async fn begin(store: &Store) -> Result<Self, DbError> {
        // IMMEDIATE takes the write lock now: a transaction that reads first and writes later could
        // otherwise fail in the middle because another process wrote in between.
        let inner = store.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(WriteTx { inner })
    }

    async fn commit(self) -> Result<(), DbError> {
        Ok(self.inner.commit().await?)
    }

    async fn rollback(self) -> Result<(), DbError> {
        Ok(self.inner.rollback().await?)
    }
}

/// Runs statements. Clones share the transaction, if there is one; statements of one transaction
/// run one after another.
#[derive(Clone)]
pub struct Session {
    target: Target,
}

#[derive(Clone)]
enum Target {
    Auto(Arc<Store>),
    Transaction(Arc<Mutex<Option<WriteTx>>>),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_transaction() { "Session(transaction)" } else { "Session" })
    }
}

impl Session {
    /// A session in which every statement is a transaction by itself.
    pub(super) fn auto(store: Arc<Store>) -> Self {
        Session { target: Target::Auto(store) }
    }

    /// A session inside a transaction. It is over after [`Session::commit`], [`Session::rollback`]
    /// or when the last clone is dropped, which rolls back.
    pub(super) fn transaction(tx: WriteTx) -> Self {
        Session { target: Target::Transaction(Arc::new(Mutex::new(Some(tx)))) }
    }

    /// Whether this session is inside a transaction.
    pub fn is_transaction(&self) -> bool {
        matches!(self.target, Target::Transaction(_))
    }

    /// Commits. The session and all its clones are over; outside a transaction it does nothing.
    ///
    /// # Errors
    /// When the transaction is over already, or the database cannot commit (then it is rolled back).
    pub async fn commit(&self) -> Result<(), DbError> {
        match &self.target {
            Target::Auto(_) => Ok(()),
            Target::Transaction(tx) => tx.lock().await.take().ok_or_else(over)?.commit().await,
        }
    }

    /// Rolls back. The session and all its clones are over; rolling back twice, or outside a
    /// transaction, does nothing.
    pub async fn rollback(&self) -> Result<(), DbError> {
        match &self.target {
            Target::Auto(_) => Ok(()),
            Target::Transaction(tx) => match tx.lock().await.take() {
                Some(tx) => tx.rollback().await,
                None => Ok(()),
            },
        }
    }

    /// Runs a statement and gives its rows.
    pub async fn fetch(&self, statement: Statement) -> Result<Vec<Vec<Cell>>, DbError> {
        match &self.target {
            Target::Auto(store) => {
                let pool =
                    if statement.writes { &store.pools.writer } else { &store.pools.readers };
                let mut connection = pool.acquire().await?;
                sqlite::fetch(&mut connection, statement).await
            }
            Target::Transaction(shared) => {
                let mut slot = shared.lock().await;
                let tx = slot.as_mut().ok_or_else(over)?;
                let result = sqlite::fetch(&mut tx.inner, statement).await;
                end_if_rolled_back(&mut slot, &result);
                result
            }
        }
    }

    /// Runs a statement and gives the number of rows it changed.
    pub async fn execute(&self, statement: Statement) -> Result<u64, DbError> {
        match &self.target {
            Target::Auto(store) => {
                let mut connection = store.pools.writer.acquire().await?;
                sqlite::execute(&mut connection, statement).await
            }
            Target::Transaction(shared) => {
                let mut slot = shared.lock().await;
                let tx = slot.as_mut().ok_or_else(over)?;
                let result = sqlite::execute(&mut tx.inner, statement).await;
                end_if_rolled_back(&mut slot, &result);
                result
            }
        }
    }
}

/// After a full disk and the like SQLite has rolled back by itself; a further statement would then
/// run outside of any transaction. So the session ends here.
fn end_if_rolled_back<T>(slot: &mut Option<WriteTx>, result: &Result<T, DbError>) {
    if result.as_ref().is_err_and(|e| e.ends_transaction) {
        *slot = None;
    }
}

fn over() -> DbError {
    DbError::new(DbErrorKind::Invalid, "the transaction is over")
}
