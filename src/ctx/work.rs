//! What a call's statements run in: by themselves, or in the transactions that it has begun.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::events::Event;
use crate::store::{Savepoint, Session, Transaction};

type Held = Arc<Mutex<Vec<Event>>>;

/// The call owns its transactions: when it ends, however it ends, what is not committed is rolled
/// back. What lives in the VM only knows their numbers.
#[derive(Debug)]
pub struct Work {
    base: Level,
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
    /// Events raised here, which are nobody's business before the commit. `None`: not held back.
    held: Option<Held>,
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
            open: Mutex::default(),
        }
    }

    /// Everything inside of somebody else's transaction, who emits the events.
    pub fn inside(session: Session, events: Held) -> Self {
        let work = Work::new(session);
        Work { base: Level { held: Some(events), ..work.base }, ..work }
    }

    /// What a statement runs in now.
    pub fn session(&self) -> Session {
        let open = self.open.lock();
        open.levels.last().unwrap_or(&self.base).session.clone()
    }

    /// Keeps an event until the transaction commits; gives it back if there is none.
    pub fn hold(&self, event: Event) -> Option<Event> {
        let open = self.open.lock();
        match &open.levels.last().unwrap_or(&self.base).held {
            Some(held) => {
                held.lock().push(event);
                None
            }
            None => Some(event),
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
        open.levels.push(Level { number, session, kind, held: Some(Held::default()) });
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
    /// The events that were held back here.
    pub fn events(&self) -> Vec<Event> {
        self.held.as_ref().map(|held| std::mem::take(&mut *held.lock())).unwrap_or_default()
    }
}
