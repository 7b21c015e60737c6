//! Where statements run: by themselves, or inside a transaction.

use std::fmt;
use std::sync::{Arc, Weak};

use sqlx::Sqlite;
use tokio::sync::Mutex;

use super::error::{DbError, DbErrorKind};
use super::{Dialect, Statement, Store, sqlite};

/// A value as it is in the database.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// The driver's transaction; rolls back when dropped.
pub(super) type Begun = sqlx::Transaction<'static, Sqlite>;

/// A write transaction, owned by whoever began it. It holds the one writer from its beginning on, so
/// its owner must not wait for a write outside of it.
///
/// Dropped without [`Transaction::commit`] it is rolled back, even if clones of its session live on
/// (in a Lua VM, say): they only borrow it.
pub struct Transaction {
    shared: Arc<Mutex<Option<Begun>>>,
    session: Session,
}

impl Transaction {
    pub(super) async fn begin(store: &Store) -> Result<Self, DbError> {
        let begun = sqlite::begin(&store.pools.writer).await?;
        let shared = Arc::new(Mutex::new(Some(begun)));
        let session = Session { target: Target::Transaction(Arc::downgrade(&shared)) };
        Ok(Transaction { shared, session })
    }

    /// A session inside this transaction; clones of it are too.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Waits for a running statement and commits. The session and all its clones are over.
    ///
    /// # Errors
    /// When the database has rolled back already (on a full disk, say) or cannot commit; then nothing
    /// of the transaction remains.
    pub async fn commit(self) -> Result<(), DbError> {
        let begun = self.shared.lock().await.take().ok_or_else(over)?;
        Ok(begun.commit().await?)
    }

    /// Waits for a running statement and rolls back. Unlike dropping, it returns when that is done.
    pub async fn rollback(self) -> Result<(), DbError> {
        match self.shared.lock().await.take() {
            Some(begun) => Ok(begun.rollback().await?),
            None => Ok(()),
        }
    }
}

/// Runs statements, each by itself or all inside a transaction. Cloning is cheap, and clones share
/// the transaction; its statements run one after another.
#[derive(Clone)]
pub struct Session {
    target: Target,
}

#[derive(Clone)]
enum Target {
    Auto(Arc<Store>),
    Transaction(Weak<Mutex<Option<Begun>>>),
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

    /// What statements must be written for.
    pub fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    /// Whether this session is inside a transaction.
    pub fn is_transaction(&self) -> bool {
        matches!(self.target, Target::Transaction(_))
    }

    /// Runs a statement and gives its rows.
    pub async fn fetch(&self, statement: Statement) -> Result<Vec<Vec<Cell>>, DbError> {
        let target = self.target.clone();
        detached(async move {
            match target {
                Target::Auto(store) => {
                    let pool =
                        if statement.writes { &store.pools.writer } else { &store.pools.readers };
                    let mut connection = pool.acquire().await?;
                    sqlite::fetch(&mut connection, statement).await
                }
                Target::Transaction(shared) => {
                    let shared = shared.upgrade().ok_or_else(over)?;
                    let mut slot = shared.lock().await;
                    let begun = slot.as_mut().ok_or_else(over)?;
                    let result = sqlite::fetch(begun, statement).await;
                    end_if_rolled_back(&mut slot, &result);
                    result
                }
            }
        })
        .await
    }

    /// Runs a statement and gives the number of rows it changed.
    pub async fn execute(&self, statement: Statement) -> Result<u64, DbError> {
        let target = self.target.clone();
        detached(async move {
            match target {
                Target::Auto(store) => {
                    let mut connection = store.pools.writer.acquire().await?;
                    sqlite::execute(&mut connection, statement).await
                }
                Target::Transaction(shared) => {
                    let shared = shared.upgrade().ok_or_else(over)?;
                    let mut slot = shared.lock().await;
                    let begun = slot.as_mut().ok_or_else(over)?;
                    let result = sqlite::execute(begun, statement).await;
                    end_if_rolled_back(&mut slot, &result);
                    result
                }
            }
        })
        .await
    }
}

/// Runs to its end whatever becomes of the caller. A script that was killed while it waited in a
/// coroutine of its own leaves that wait behind in its VM, neither polled nor dropped, and a
/// connection must not stay there with it.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbError>> + Send + 'static,
) -> Result<T, DbError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(DbError::new(DbErrorKind::Internal, error.to_string())),
    }
}

/// After a full disk and the like SQLite has rolled back by itself; a further statement would then
/// run outside of any transaction. So the session ends here.
fn end_if_rolled_back<T>(slot: &mut Option<Begun>, result: &Result<T, DbError>) {
    if result.as_ref().is_err_and(|e| e.ends_transaction) {
        *slot = None;
    }
}

fn over() -> DbError {
    DbError::new(DbErrorKind::Invalid, "the transaction is over")
}
