//! What a call's statements run in: by themselves, or in the transactions that it has begun.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::events::{Held, HeldBack};
use crate::store::{DbError, Savepoint, Session, Transaction};

/// The call owns its transactions: when it ends, however it ends, what is not committed is rolled
/// back. What lives in the VM only knows their numbers.
#[derive(Debug)]
pub struct Work {
    base: Level,
    /// Whether the first use of the database begins a transaction for the whole call.
    atomic: bool,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    levels: Vec<Level>,
    /// How many were begun so far.
    begun: u64,
}

/// One transaction, or one part of it that can be taken back by itself.
#[derive(Debug)]
pub(super) struct Level {
    number: u64,
    pub session: Session,
    pub kind: LevelKind,
    /// What is nobody's business before the commit. `None`: not held back.
    held: Option<HeldBack>,
}

#[derive(Debug)]
pub(super) enum LevelKind {
    /// What the call began with.
    Base,
    Transaction(Transaction),
    Savepoint(Savepoint),
}

impl Work {
    /// Every statement by itself, until the call begins a transaction.
    pub fn new(session: Session) -> Self {
        Work {
            base: Level { number: 0, session, kind: LevelKind::Base, held: None },
            atomic: false,
            open: Mutex::default(),
        }
    }

    /// Everything inside of somebody else's transaction, who goes on with what is held back.
    pub fn inside(session: Session, held: HeldBack) -> Self {
        let work = Work::new(session);
        Work { base: Level { held: Some(held), ..work.base }, ..work }
    }

    /// Everything in one transaction, which begins when the database is used and ends with
    /// [`Work::conclude`].
    pub fn atomic(self) -> Self {
        Work { atomic: true, ..self }
    }

    /// What a statement runs in now.
    ///
    /// # Errors
    /// When a transaction was to begin and cannot.
    pub async fn session(&self) -> Result<Session, DbError> {
        let current = self.current();
        if !self.atomic || current.is_transaction() {
            return Ok(current);
        }
        let begun = current.begin().await?;
        let session = begun.session().clone();
        self.push(session.clone(), LevelKind::Transaction(begun));
        Ok(session)
    }

    fn current(&self) -> Session {
        let open = self.open.lock();
        open.levels.last().unwrap_or(&self.base).session.clone()
    }

    /// The transaction that the call is in, with what it holds back.
    pub fn transaction(&self) -> Option<(Session, HeldBack)> {
        let open = self.open.lock();
        let level = open.levels.last().unwrap_or(&self.base);
        Some((level.session.clone(), Arc::clone(level.held.as_ref()?)))
    }

    /// As [`Work::transaction`], but one that was to begin when the database is used begins now.
    ///
    /// # Errors
    /// When it cannot begin.
    pub async fn join(&self) -> Result<Option<(Session, HeldBack)>, DbError> {
        if self.atomic {
            self.session().await?;
        }
        Ok(self.transaction())
    }

    /// Keeps something until the transaction commits; gives it back if there is none.
    pub fn hold(&self, one: Held) -> Option<Held> {
        match self.transaction() {
            Some((_, held)) => {
                held.lock().push(one);
                None
            }
            None => Some(one),
        }
    }

    /// Commits what the call has begun by itself, or takes it back, and gives what was held back.
    ///
    /// # Errors
    /// When the database cannot commit; then nothing has happened.
    pub async fn conclude(&self, succeeded: bool) -> Result<Vec<Held>, DbError> {
        let levels = std::mem::take(&mut self.open.lock().levels);
        let mut levels = levels.into_iter();
        let Some(first) = levels.next() else { return Ok(Vec::new()) };
        // What was begun inside of it and never ended goes with it.
        drop(levels);
        let held = first.held_back();
        match first.kind {
            LevelKind::Transaction(transaction) if self.atomic && succeeded => {
                transaction.commit().await.map(|()| held)
            }
            LevelKind::Transaction(transaction) => {
                transaction.rollback().await;
                Ok(Vec::new())
            }
            LevelKind::Base | LevelKind::Savepoint(_) => Ok(Vec::new()),
        }
    }

    /// Whether the level of this number is still open.
    pub(super) fn is_open(&self, number: u64) -> bool {
        self.open.lock().levels.iter().any(|level| level.number == number)
    }

    /// Enters a level and gives its number.
    pub(super) fn push(&self, session: Session, kind: LevelKind) -> u64 {
        let mut open = self.open.lock();
        open.begun += 1;
        let number = open.begun;
        open.levels.push(Level { number, session, kind, held: Some(HeldBack::default()) });
        number
    }

    /// Leaves a level; those that were entered since and never left, in a coroutine that was
    /// forgotten, go with it. `None` if it was left already.
    pub(super) fn pop(&self, number: u64) -> Option<Level> {
        let mut open = self.open.lock();
        let at = open.levels.iter().position(|level| level.number == number)?;
        open.levels.drain(at..).next()
    }
}

impl Level {
    /// What was held back here.
    pub fn held_back(&self) -> Vec<Held> {
        self.held.as_ref().map(|held| std::mem::take(&mut *held.lock())).unwrap_or_default()
    }
}
