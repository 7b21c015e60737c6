//! Where statements run: by themselves, or inside a transaction.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::cell::{Outcome, Row, Want};
use super::transaction::{Begun, Isolation, Transaction};
use super::{Backend, Cipher, DbError, DbErrorKind, Dialect, Statement, Store, pool, postgres};

/// How long a statement of the host's own may take.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs statements, each by itself or all inside a transaction. Cloning is cheap, and clones share
/// the transaction; its statements run one after another.
#[derive(Clone)]
pub struct Session {
    store: Arc<Store>,
    target: Target,
    /// When whoever asks has no more time.
    deadline: Option<Instant>,
    /// Whether statements may take as long as they take, as far as the deadline goes.
    patient: bool,
}

#[derive(Clone)]
enum Target {
    Auto,
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
        Session { store, target: Target::Auto, deadline: None, patient: false }
    }

    pub(super) fn inside(
        store: Arc<Store>,
        transaction: Weak<Mutex<Option<Begun>>>,
        deadline: Option<Instant>,
        patient: bool,
    ) -> Self {
        Session { store, target: Target::Transaction(transaction), deadline, patient }
    }

    /// The same session for somebody who has time until `deadline`: then a statement that is still
    /// running is stopped.
    pub fn until(&self, deadline: Instant) -> Self {
        Session { deadline: Some(deadline), ..self.clone() }
    }

    /// What statements must be written for.
    pub fn dialect(&self) -> Dialect {
        self.store.dialect()
    }

    /// The database that it is a session of.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Encrypts and decrypts what plugins keep secret.
    pub fn cipher(&self) -> &Cipher {
        &self.store.options.cipher
    }

    /// Whether this session is inside a transaction.
    pub fn is_transaction(&self) -> bool {
        matches!(self.target, Target::Transaction(_))
    }

    /// Begins a transaction of its own, for as long as this session has time.
    ///
    /// # Errors
    /// `invalid` inside of a transaction; `busy` when no connection becomes free in time.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        if self.is_transaction() {
            return Err(DbError::invalid("a transaction has begun already"));
        }
        Transaction::begin(&self.store, Isolation::default(), self.deadline, false).await
    }

    /// Runs a statement and gives its rows.
    pub async fn fetch(&self, statement: Statement) -> Result<Vec<Row>, DbError> {
        Ok(self.run(statement, Want::Rows).await?.rows)
    }

    /// Runs a statement and gives its rows and what is known of their columns.
    pub async fn query(&self, statement: Statement) -> Result<Outcome, DbError> {
        self.run(statement, Want::Rows).await
    }

    /// Runs a statement and gives the number of rows it changed.
    pub async fn execute(&self, statement: Statement) -> Result<u64, DbError> {
        Ok(self.run(statement, Want::Count).await?.changed)
    }

    /// Gives the rows of a statement one after another, however many they are. Only inside of a
    /// transaction, and without a deadline: it is for the host's own work.
    ///
    /// # Errors
    /// Those of the database and of `each`, which end it.
    pub async fn for_each(
        &self,
        statement: Statement,
        mut each: impl FnMut(Row) -> Result<(), DbError> + Send,
    ) -> Result<(), DbError> {
        let shared = self.transaction()?;
        let mut slot = shared.lock().await;
        slot.as_mut().ok_or_else(over)?.stream(&statement, &mut each).await
    }

    /// Makes a savepoint in the transaction. Everything since then is kept with
    /// [`Session::release`] or taken back with [`Session::roll_back_to`].
    pub async fn savepoint(&self) -> Result<Savepoint, DbError> {
        let shared = self.transaction()?;
        detached(async move {
            let mut slot = shared.lock().await;
            Ok(Savepoint(slot.as_mut().ok_or_else(over)?.savepoint().await?))
        })
        .await
    }

    /// Keeps what was done since a savepoint.
    pub async fn release(&self, savepoint: Savepoint) -> Result<(), DbError> {
        let shared = self.transaction()?;
        detached(async move {
            shared.lock().await.as_mut().ok_or_else(over)?.release(savepoint.0).await
        })
        .await
    }

    /// Takes back what was done since a savepoint.
    pub async fn roll_back_to(&self, savepoint: Savepoint) -> Result<(), DbError> {
        let shared = self.transaction()?;
        detached(async move {
            shared.lock().await.as_mut().ok_or_else(over)?.roll_back_to(savepoint.0).await
        })
        .await
    }

    fn transaction(&self) -> Result<Arc<Mutex<Option<Begun>>>, DbError> {
        match &self.target {
            Target::Transaction(shared) => shared.upgrade().ok_or_else(over),
            Target::Auto => Err(DbError::invalid("this works inside of a transaction only")),
        }
    }

    async fn run(&self, statement: Statement, want: Want) -> Result<Outcome, DbError> {
        self.store.statements.fetch_add(1, Ordering::Relaxed);
        if let Some(outcome) = self.at_once(&statement, want) {
            return Ok(outcome);
        }
        // Boxed, so that the futures of those who wait for it stay small: they are moved about.
        Box::pin(self.in_turn(statement, want)).await
    }

    /// What a short read gives, if it can be done right here.
    fn at_once(&self, statement: &Statement, want: Want) -> Option<Outcome> {
        match (&self.target, &self.store.backend, want) {
            (Target::Auto, Backend::Sqlite(sqlite), Want::Rows) => sqlite.quick.read(statement),
            _ => None,
        }
    }

    async fn in_turn(&self, statement: Statement, want: Want) -> Result<Outcome, DbError> {
        let own = self.deadline;
        let deadline = match self.patient {
            true => own.unwrap_or_else(|| Instant::now() + PATIENCE),
            false => {
                let most = self.store.options.statement_until();
                own.map_or(most, |own| own.min(most))
            }
        };
        if let Target::Transaction(_) = &self.target {
            let shared = self.transaction()?;
            return detached(async move {
                let mut slot = shared.lock().await;
                let outcome = slot.as_mut().ok_or_else(over)?.run(&statement, want, deadline).await;
                // After a full disk and the like the database has rolled back by itself; a further
                // statement would run outside of any transaction. So the session ends here.
                if outcome.as_ref().is_err_and(|error| error.ends_transaction) {
                    *slot = None;
                }
                outcome
            })
            .await;
        }
        match &self.store.backend {
            Backend::Sqlite(sqlite) if statement.writes => {
                sqlite.queue.run(statement, want, deadline).await
            }
            Backend::Sqlite(_) => {
                let store = Arc::clone(&self.store);
                detached(async move {
                    let Backend::Sqlite(sqlite) = &store.backend else { return Err(over()) };
                    let until = store.options.wait_until().min(deadline);
                    let mut connection = pool::get(&sqlite.readers, until).await?;
                    connection.run(&statement, want, deadline).await
                })
                .await
            }
            Backend::Postgres(_) => {
                let store = Arc::clone(&self.store);
                detached(async move {
                    let Backend::Postgres(postgres) = &store.backend else { return Err(over()) };
                    let until = store.options.wait_until().min(deadline);
                    postgres::run(postgres, &statement, want, until, deadline).await
                })
                .await
            }
        }
    }
}

/// A point in a transaction to which it can return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Savepoint(u32);

/// Runs to its end whatever becomes of the caller. A script that was killed while it waited in a
/// coroutine of its own leaves that wait behind in its VM, neither polled nor dropped, and a
/// connection must not stay there with it.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, DbError>> + Send + 'static,
) -> Result<T, DbError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => Err(DbError::new(DbErrorKind::Internal, error.to_string())),
    }
}

pub(super) fn over() -> DbError {
    DbError::new(DbErrorKind::Invalid, "the transaction is over")
}
