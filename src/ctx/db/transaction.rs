//! `ctx.db:transaction`: all of a function's statements, or none.

use std::time::Duration;

use mlua::{Function, Lua, UserDataRef, Value};

use super::Db;
use super::values::{failure, options};
use crate::ctx::work::LevelKind;
use crate::events::Held;
use crate::extension::database::hint;
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, sandbox};
use crate::store::{DbError, DbErrorKind, Isolation};
use crate::value::Value as HostValue;

/// How often a function runs before a conflict with other transactions is an error.
const MAX_ATTEMPTS: u32 = 5;

/// The Lua function `(db, body, options)`.
pub(super) fn make(lua: &Lua) -> mlua::Result<Function> {
    type OpenArgs = (UserDataRef<Db>, Value, Value, u32);
    let open = lua.create_async_function(|lua, (db, body, options, attempt): OpenArgs| {
        let db = db.clone();
        async move { open(&lua, db, &body, &options, attempt).await }
    })?;
    type CloseArgs = (UserDataRef<Db>, bool, Value);
    let close = lua.create_async_function(|_, (db, succeeded, error): CloseArgs| {
        let (db, conflict) = (db.clone(), is_conflict(&error));
        async move { close(db, succeeded, conflict).await }
    })?;
    sandbox::bracket(lua, open, close)
}

/// How a transaction was begun, as what its function gets remembers it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    number: u32,
    /// Whether the function may run again after a conflict.
    repeatable: bool,
}

async fn open(lua: &Lua, db: Db, body: &Value, given: &Value, number: u32) -> mlua::Result<Db> {
    check_can_wait(lua, "ctx.db:transaction")?;
    if !body.is_function() {
        return Err(Failure::misuse("ctx.db:transaction takes a function"));
    }
    let isolation = isolation(given)?;
    let session = db.session(lua).await?;
    let deadline = db.call.get()?.deadline;
    let (session, kind) = if session.is_transaction() {
        if isolation.is_some() {
            return Err(Failure::misuse(
                "ctx.db:transaction: the isolation is for the outermost transaction",
            ));
        }
        let savepoint = session.savepoint().await.map_err(failure)?;
        (session, LevelKind::Savepoint(savepoint))
    } else {
        let begun = session.store().begin_until(isolation.unwrap_or_default(), deadline).await;
        let begun = begun.map_err(failure)?;
        (begun.session().clone(), LevelKind::Transaction(begun))
    };
    let level = db.call.get()?.work.push(session, kind);
    let attempt = Attempt { number, repeatable: isolation.is_some() };
    Ok(Db { level: Some(level), attempt: Some(attempt), ..db })
}

/// Whether to do it all once more.
async fn close(db: Db, succeeded: bool, conflict: bool) -> mlua::Result<bool> {
    let call = db.call.get()?;
    let level = db.level.and_then(|level| call.work.pop(level));
    let level = level.ok_or_else(|| Failure::misuse("ctx.db: this transaction is over"))?;
    let held = level.held_back();
    let ended = match (level.kind, succeeded) {
        (LevelKind::Transaction(transaction), true) => transaction.commit().await,
        (LevelKind::Transaction(transaction), false) => {
            transaction.rollback().await;
            Ok(())
        }
        (LevelKind::Savepoint(savepoint), true) => level.session.release(savepoint).await,
        (LevelKind::Savepoint(savepoint), false) => {
            // The whole transaction may be over already, which its own end will say.
            match level.session.roll_back_to(savepoint).await {
                Err(error) if error.kind != DbErrorKind::Invalid => Err(error),
                _ => Ok(()),
            }
        }
        (LevelKind::Base, _) => Ok(()),
    };
    let conflict = match (&ended, succeeded) {
        (Err(error), true) => error.kind == DbErrorKind::SerializationFailure,
        _ => conflict,
    };
    let attempt = db.attempt.filter(|attempt| attempt.repeatable);
    if conflict && attempt.is_some_and(|attempt| attempt.number < MAX_ATTEMPTS) {
        // Whoever was in the way is given time to finish; not all wait equally long.
        let jitter = u64::from(uuid::Uuid::new_v4().as_fields().0 % 16);
        let number = attempt.map_or(1, |attempt| attempt.number);
        tokio::time::sleep(Duration::from_millis(jitter << number)).await;
        return Ok(true);
    }
    ended.map_err(|error: DbError| failure(error))?;
    if succeeded {
        let free: Vec<Held> = held.into_iter().filter_map(|one| call.work.hold(one)).collect();
        if !free.is_empty() {
            call.generation.services.events.committed(free);
        }
    }
    Ok(false)
}

fn isolation(given: &Value) -> mlua::Result<Option<Isolation>> {
    let options = options(given, &["isolation"])?;
    let Some(value) = options.get("isolation") else { return Ok(None) };
    let known = Isolation::NAMES.iter().find(|(name, _)| value.as_str() == Some(name));
    match (known, value) {
        (Some((_, isolation)), _) => Ok(Some(*isolation)),
        (None, HostValue::String(name)) => {
            let hint = hint(name, Isolation::NAMES.iter().map(|(name, _)| *name));
            let message = format!("ctx.db:transaction: unknown isolation \"{name}\"{hint}");
            Err(Failure::misuse(message))
        }
        (None, _) => Err(Failure::misuse("ctx.db:transaction: the isolation is a string")),
    }
}

/// Whether an error says that another transaction was in the way.
fn is_conflict(error: &Value) -> bool {
    let Value::Error(error) = error else { return false };
    let failure = error.downcast_ref::<Failure>();
    failure.and_then(|failure| failure.kind.as_deref())
        == Some(DbErrorKind::SerializationFailure.as_str())
}
