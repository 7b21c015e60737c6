//! Running the pre hooks of an event.

use std::sync::Arc;
use std::time::Instant;

use super::{Hook, HookTable};
use crate::ctx::CallContext;
use crate::error::Error;
use crate::events::{HeldBack, MAX_DEPTH};
use crate::lua::{ScriptError, ScriptErrorKind};
use crate::plugin::manifest::OnError;
use crate::plugin::world::World;
use crate::request::RequestContext;
use crate::services::Services;
use crate::store::{DbError, Savepoint, Session};
use crate::value::{Map, Value};

/// What leads to an event.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// The request, if one did.
    pub request: Option<RequestContext>,
    /// How many hooks led to it.
    pub depth: u32,
    /// When whoever runs the hooks has no more time.
    pub deadline: Option<Instant>,
    /// The transaction that the hooks take part in, and where the events go that wait for it. Without
    /// one, what a hook does is a transaction by itself.
    pub transaction: Option<(Session, HeldBack)>,
}

/// A hook has refused what was about to happen, or failed.
#[derive(Debug, Clone)]
pub struct Refused {
    pub plugin_id: String,
    pub error: Error,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        refused.error
    }
}

/// Runs the pre hooks of `event` in their order and gives the data as they leave it.
///
/// # Errors
/// The veto of a hook, as its plugin has written it; or that a hook failed whose failures count.
pub async fn run_pre(
    services: &Arc<Services>,
    world: &World,
    cause: &Cause,
    event: &str,
    mut data: Value,
) -> Result<Value, Refused> {
    let Some(hooks) = world.part::<HookTable>() else { return Ok(data) };
    for hook in hooks.pre(event) {
        let refused =
            |error: Error| Refused { plugin_id: hook.generation.plugin_id().to_owned(), error };
        if cause.depth >= MAX_DEPTH {
            return Err(refused(Error::unexpected(format!(
                "the pre hooks of \"{event}\" were to run because {MAX_DEPTH} hooks in a row have led \
                 to it; hooks seem to cause each other without end"
            ))));
        }
        let start = Instant::now();
        match run_one(cause, hook, &data).await {
            Ok(changed) => {
                trace(event, hook, start, &data, &changed);
                data = changed;
            }
            Err(Failed::Veto(error)) => {
                tracing::trace!(
                    target: "moondock::hooks", event, plugin = hook.generation.plugin_id(),
                    handler = %hook.handler, code = error.code, "vetoed: {}", error.message
                );
                return Err(refused(error));
            }
            Err(Failed::Script(error)) => {
                let what = format!("pre hook of \"{event}\" ({})", hook.handler);
                services.failures.record(&hook.generation, &what, &error);
                if hook.on_error == OnError::Reject {
                    return Err(refused(error.into()));
                }
            }
            Err(Failed::Database(error)) => return Err(refused(error.into())),
        }
    }
    Ok(data)
}

enum Failed {
    /// The plugin has decided.
    Veto(Error),
    /// The plugin has gone wrong.
    Script(ScriptError),
    /// What the hook has written could not be kept.
    Database(DbError),
}

async fn run_one(cause: &Cause, hook: &Hook, data: &Value) -> Result<Value, Failed> {
    let generation = &hook.generation;
    let limit = Instant::now() + hook.time_limit();
    let deadline = cause.deadline.map_or(limit, |deadline| deadline.min(limit));
    let mut context = CallContext::of(generation, deadline);
    context.request.clone_from(&cause.request);
    context.depth = cause.depth + 1;
    let part = match &cause.transaction {
        Some((session, held)) => {
            context = context.in_transaction(session, held);
            Some(Part::begin(session, held).await.map_err(Failed::Database)?)
        }
        None => {
            context = context.atomic();
            None
        }
    };
    let accept = |changed| fitting(data, changed);
    let result = generation.change(&hook.handler, data, context, accept).await;
    let result = result.map_err(Failed::of);
    if let Some(part) = part {
        part.end(result.is_ok()).await.map_err(Failed::Database)?;
    }
    result
}

impl Failed {
    fn of(error: ScriptError) -> Self {
        match &error.kind {
            ScriptErrorKind::Failed(failure) if failure.error.is_for_clients() => {
                Failed::Veto(failure.error.clone())
            }
            _ => Failed::Script(error),
        }
    }
}

/// What a hook has made of the data, if it can be the data.
fn fitting(before: &Value, after: Value) -> Result<Value, ScriptError> {
    match (before, after) {
        // Lua has one empty table.
        (Value::List(_), Value::Map(map)) if map.is_empty() => Ok(Value::List(Vec::new())),
        (Value::Map(_), Value::List(list)) if list.is_empty() => Ok(Value::Map(Map::new())),
        (Value::Map(_), after @ Value::Map(_)) | (Value::List(_), after @ Value::List(_)) => {
            Ok(after)
        }
        (Value::Map(_) | Value::List(_), after) => {
            let message = format!(
                "a pre hook returns the data, changed or not, or nothing; it returned a {}",
                after.type_name()
            );
            Err(ScriptError::new(ScriptErrorKind::Runtime(message)))
        }
        (_, after) => Ok(after),
    }
}

/// A part of a transaction, which is taken back if the hook fails.
struct Part<'a> {
    session: &'a Session,
    savepoint: Savepoint,
    held: &'a HeldBack,
    held_before: usize,
}

impl<'a> Part<'a> {
    async fn begin(session: &'a Session, held: &'a HeldBack) -> Result<Self, DbError> {
        let held_before = held.lock().len();
        Ok(Part { session, savepoint: session.savepoint().await?, held, held_before })
    }

    async fn end(self, succeeded: bool) -> Result<(), DbError> {
        if succeeded {
            return self.session.release(self.savepoint).await;
        }
        self.held.lock().truncate(self.held_before);
        self.session.roll_back_to(self.savepoint).await
    }
}

/// Shows what a hook has done to the data, to whoever has asked for it.
fn trace(event: &str, hook: &Hook, start: Instant, before: &Value, after: &Value) {
    if !tracing::enabled!(target: "moondock::hooks", tracing::Level::TRACE) {
        return;
    }
    let us = start.elapsed().as_micros() as u64;
    let changes = changes(before, after);
    tracing::trace!(
        target: "moondock::hooks", event, plugin = hook.generation.plugin_id(),
        handler = %hook.handler, us, changes, "ran"
    );
}

fn changes(before: &Value, after: &Value) -> String {
    let (Value::Map(before), Value::Map(after)) = (before, after) else {
        return if before == after { "none".into() } else { after.excerpt() };
    };
    let mut changes = Vec::new();
    for (key, value) in after {
        match before.get(key) {
            Some(old) if old == value => {}
            Some(old) => changes.push(format!("{key}: {} -> {}", old.excerpt(), value.excerpt())),
            None => changes.push(format!("{key}: added {}", value.excerpt())),
        }
    }
    changes
        .extend(before.keys().filter(|k| !after.contains_key(*k)).map(|k| format!("{k}: removed")));
    if changes.is_empty() { "none".into() } else { changes.join(", ") }
}
