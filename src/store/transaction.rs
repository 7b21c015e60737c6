//! Transactions: a connection that is held from BEGIN to COMMIT or ROLLBACK.

use std::sync::Arc;
use std::time::Instant;

use deadpool::managed::Object;
use tokio::sync::Mutex;

use super::cell::{Outcome, Row, Want};
use super::session::{Session, detached, over};
use super::{Backend, DbError, Statement, Store, pool, postgres, sqlite};

/// How far a transaction is kept apart from others that run at the same time. SQLite has one writer
/// at a time and gives the strictest whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Every statement sees what is committed when it begins.
    #[default]
    ReadCommitted,
    /// All statements see what was committed when the first began.
    RepeatableRead,
    /// As if the transactions had run one after another.
    Serializable,
}

impl Isolation {
    /// The names as plugins write them.
    pub const NAMES: [(&'static str, Isolation); 3] = [
        ("readCommitted", Isolation::ReadCommitted),
        ("repeatableRead", Isolation::RepeatableRead),
        ("serializable", Isolation::Serializable),
    ];

    fn begin(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "BEGIN",
            Isolation::RepeatableRead => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Isolation::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// A write transaction, owned by whoever began it. On SQLite it holds the one writer from its
/// beginning on, so its owner must not wait for a write outside of it.
///
/// Dropped without [`Transaction::commit`] it is rolled back, even if clones of its session live on
/// (in a Lua VM, say): they only borrow it.
pub struct Transaction {
    shared: Arc<Mutex<Option<Begun>>>,
    session: Session,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction")
    }
}

impl Transaction {
    pub(super) async fn begin(
        store: &Arc<Store>,
        isolation: Isolation,
        deadline: Option<Instant>,
        patient: bool,
    ) -> Result<Self, DbError> {
        let until = store.options.wait_until();
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        // To its end, whatever becomes of the caller: what has begun knows how to end.
        let opening = Arc::clone(store);
        let begun =
            detached(async move { Begun::open(&opening, isolation, until, patient).await }).await?;
        let shared = Arc::new(Mutex::new(Some(begun)));
        let session =
            Session::inside(Arc::clone(store), Arc::downgrade(&shared), deadline, patient);
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
        // To its end, whatever becomes of the caller: half a commit is none.
        let shared = Arc::clone(&self.shared);
        detached(async move { shared.lock().await.take().ok_or_else(over)?.commit().await }).await
    }

    /// Waits for a running statement and rolls back. Unlike dropping, it returns when that is done.
    pub async fn rollback(self) {
        let shared = Arc::clone(&self.shared);
        let ended = detached(async move {
            if let Some(mut begun) = shared.lock().await.take() {
                begun.roll_back().await;
            }
            Ok(())
        });
        if let Err(error) = ended.await {
            tracing::error!("a transaction could not be rolled back: {error}");
        }
    }
}

/// The connection of a transaction.
enum Lease {
    Sqlite(Object<sqlite::Manager>),
    Postgres(Box<Object<postgres::Manager>>, Arc<postgres::Epoch>),
}

/// A transaction that has begun and not ended.
pub(super) struct Begun {
    /// `None` once it has ended.
    lease: Option<Lease>,
    /// Whether there is a savepoint of the last statement, on PostgreSQL.
    guarded: bool,
    /// How many savepoints were made by name.
    savepoints: u32,
    /// Whether tables were changed.
    changes_tables: bool,
    /// Whether a task was asked to roll back.
    abandoned: bool,
}

impl Begun {
    async fn open(
        store: &Store,
        isolation: Isolation,
        until: Instant,
        patient: bool,
    ) -> Result<Self, DbError> {
        match &store.backend {
            Backend::Sqlite(sqlite) => {
                let connection = pool::get(&sqlite.writer, until).await?;
                let mut begun = Begun::new(Lease::Sqlite(connection));
                // IMMEDIATE takes the write lock now: a transaction that reads first and writes
                // later could otherwise fail in the middle because another process wrote in between.
                begun.command("BEGIN IMMEDIATE").await?;
                Ok(begun)
            }
            Backend::Postgres(postgres) => {
                let epoch = &postgres.epoch;
                let connection = pool::get(&postgres.pool, until).await?;
                let mut begun =
                    Begun::new(Lease::Postgres(Box::new(connection), Arc::clone(epoch)));
                let begin = if patient {
                    // Connections have a time limit of their own.
                    format!("{}; SET LOCAL statement_timeout = 0", isolation.begin())
                } else {
                    isolation.begin().to_owned()
                };
                match begun.command(&begin).await {
                    Ok(()) => return Ok(begun),
                    // The server may have gone away while the connection was idle; nothing has
                    // happened yet, so another connection does as well.
                    Err(error) if error.lost => {}
                    Err(error) => return Err(error),
                }
                let connection = pool::get(&postgres.pool, until).await?;
                let mut begun =
                    Begun::new(Lease::Postgres(Box::new(connection), Arc::clone(epoch)));
                begun.command(&begin).await?;
                Ok(begun)
            }
        }
    }

    fn new(lease: Lease) -> Self {
        Begun {
            lease: Some(lease),
            guarded: false,
            savepoints: 0,
            changes_tables: false,
            abandoned: false,
        }
    }

    pub async fn run(
        &mut self,
        statement: &Statement,
        want: Want,
        deadline: Instant,
    ) -> Result<Outcome, DbError> {
        self.changes_tables |= statement.changes_tables;
        match self.lease.as_mut().ok_or_else(over)? {
            Lease::Sqlite(connection) => connection.run(statement, want, deadline).await,
            Lease::Postgres(connection, _) => {
                guarded(connection, &mut self.guarded, statement, want, deadline).await
            }
        }
    }

    pub async fn stream(
        &mut self,
        statement: &Statement,
        each: &mut (dyn FnMut(Row) -> Result<(), DbError> + Send),
    ) -> Result<(), DbError> {
        match self.lease.as_mut().ok_or_else(over)? {
            Lease::Sqlite(connection) => connection.stream(statement, each).await,
            Lease::Postgres(connection, _) => connection.stream(statement, each).await,
        }
    }

    /// Makes a savepoint and gives its number.
    pub async fn savepoint(&mut self) -> Result<u32, DbError> {
        self.savepoints += 1;
        let number = self.savepoints;
        self.command(&format!("SAVEPOINT moondock_{number}")).await?;
        Ok(number)
    }

    /// Keeps what was done since a savepoint.
    pub async fn release(&mut self, number: u32) -> Result<(), DbError> {
        self.command(&format!("RELEASE SAVEPOINT moondock_{number}")).await
    }

    /// Takes back what was done since a savepoint.
    pub async fn roll_back_to(&mut self, number: u32) -> Result<(), DbError> {
        let sql =
            format!("ROLLBACK TO SAVEPOINT moondock_{number}; RELEASE SAVEPOINT moondock_{number}");
        self.command(&sql).await
    }

    async fn command(&mut self, sql: &str) -> Result<(), DbError> {
        match self.lease.as_mut().ok_or_else(over)? {
            Lease::Sqlite(connection) => connection.command(sql).await,
            Lease::Postgres(connection, _) => {
                // The statement's savepoint may lie above the one that is meant, and would go with
                // it, or below, and be in the way.
                let release = if self.guarded { "RELEASE SAVEPOINT moondock; " } else { "" };
                self.guarded = false;
                connection.command(&format!("{release}{sql}")).await
            }
        }
    }

    async fn commit(mut self) -> Result<(), DbError> {
        let committed = match self.lease.as_mut().ok_or_else(over)? {
            Lease::Sqlite(connection) => connection.command("COMMIT").await,
            Lease::Postgres(connection, epoch) => {
                let committed = connection.command("COMMIT").await;
                if self.changes_tables {
                    epoch.tables_changed();
                }
                committed
            }
        };
        if committed.is_err() {
            self.roll_back().await;
        }
        self.lease = None;
        committed
    }

    pub async fn roll_back(&mut self) {
        match self.lease.as_mut() {
            Some(Lease::Sqlite(connection)) => connection.roll_back().await,
            Some(Lease::Postgres(connection, _)) => connection.roll_back().await,
            None => {}
        }
        self.lease = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        // A runtime that shuts down drops the task without running it, which comes back here.
        if let (Ok(runtime), false) = (tokio::runtime::Handle::try_current(), self.abandoned) {
            let mut begun = Begun::new(lease);
            begun.abandoned = true;
            runtime.spawn(async move { begun.roll_back().await });
            return;
        }
        // Nothing can be said to the database any more: the connection ends, and with it the
        // transaction.
        match lease {
            Lease::Sqlite(connection) => drop(Object::take(connection)),
            Lease::Postgres(connection, _) => drop(Object::take(*connection)),
        }
    }
}

/// Runs a statement so that its failure takes back nothing but itself, as on SQLite. PostgreSQL
/// would end the whole transaction.
async fn guarded(
    connection: &mut postgres::Connection,
    guarded: &mut bool,
    statement: &Statement,
    want: Want,
    deadline: Instant,
) -> Result<Outcome, DbError> {
    let fence = statement.fence.as_deref();
    let guard = statement.writes || fence.is_some();
    let savepoint = if guard {
        let savepoint = if *guarded {
            "RELEASE SAVEPOINT moondock; SAVEPOINT moondock"
        } else {
            "SAVEPOINT moondock"
        };
        *guarded = true;
        savepoint
    } else {
        ""
    };
    let outcome = match fence {
        Some(fence) => {
            let outcome =
                connection.run_as(savepoint, &fence.role, statement, want, deadline).await;
            if outcome.is_ok() {
                connection.command(postgres::OWN_ROLE).await?;
            }
            outcome
        }
        None => {
            if guard {
                connection.command(savepoint).await?;
            }
            connection.run(statement, want, deadline).await
        }
    };
    match outcome {
        Err(error) if error.ends_transaction => Err(error),
        Err(error) if guard => {
            connection.command("ROLLBACK TO SAVEPOINT moondock").await?;
            Err(error)
        }
        Err(error) if error.of_result => Err(error),
        Err(error) => Err(DbError { ends_transaction: true, ..error }),
        Ok(outcome) => Ok(outcome),
    }
}
