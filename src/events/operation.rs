//! Operations of the host, or of whoever embeds it, that plugins may take part in: pre hooks, then the
//! operation, then an event for post hooks.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Event, Held, HeldBack};
use crate::error::{Error, Result};
use crate::extension::hooks::{Cause, run_pre};
use crate::request::RequestContext;
use crate::services::Services;
use crate::store::Session;
use crate::value::{Map, Value};

/// Runs an operation in one transaction with its pre hooks and the deliveries of its event.
///
/// `body` gets the transaction's session and the data as the hooks have left it, and gives its result
/// and the payload for the post hooks. They hear of it after the commit.
///
/// # Errors
/// The veto or failure of a pre hook, or the error of `body`; then nothing has happened.
pub async fn run_operation<T: Send>(
    services: &Arc<Services>,
    request: Option<&RequestContext>,
    event: &str,
    data: Map,
    body: impl FnOnce(Session, Map) -> BoxFuture<'static, Result<(T, Map)>> + Send,
) -> Result<T> {
    let transaction = services.store.begin().await?;
    let session = transaction.session().clone();
    let held = HeldBack::default();
    let cause = Cause {
        request: request.cloned(),
        transaction: Some((session.clone(), Arc::clone(&held))),
        ..Cause::default()
    };
    let world = services.world.load_full();
    let data = match run_pre(services, &world, &cause, event, Value::Map(data)).await? {
        Value::Map(data) => data,
        other => {
            let found = other.type_name();
            return Err(Error::unexpected(format!("the hooks of {event} left a {found}")));
        }
    };
    let (result, payload) = body(session.clone(), data).await?;
    let raised = Event::new(event, Value::Map(payload));
    services.events.raise(services, &session, &raised).await?;
    transaction.commit().await?;
    let mut held = std::mem::take(&mut *held.lock());
    held.push(Held::Raised(raised));
    services.events.committed(held);
    Ok(result)
}

/// Runs `body` between the pre hooks of an event and the event itself. What `body` does is not in a
/// transaction of the host's; the event is raised once `body` has succeeded.
///
/// # Errors
/// The veto or failure of a pre hook, or the error of `body`; then nothing is raised.
pub async fn run_hooks<T>(
    services: &Arc<Services>,
    event: &str,
    data: Value,
    body: impl AsyncFnOnce(Value) -> Result<T>,
) -> Result<T> {
    let world = services.world.load_full();
    let data = run_pre(services, &world, &Cause::default(), event, data).await?;
    let result = body(data.clone()).await?;
    let raised = Event::new(event, data);
    services.events.raise(services, &services.store.session(), &raised).await?;
    services.events.committed(vec![Held::Raised(raised)]);
    Ok(result)
}
