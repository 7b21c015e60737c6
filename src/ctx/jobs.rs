//! `ctx.jobs`: work for later, done by the plugin's own functions.

use std::time::Duration;

use mlua::{
    LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value,
};
use uuid::Uuid;

use super::db::failure;
use super::emit::MAX_KEY;
use super::{CallContext, CallRef, Ctx};
use crate::events::{Held, payload_json};
use crate::extension::jobs::Jobs as Declared;
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge};
use crate::nearest::nearest;
use crate::store::deliveries::{self, Filter, Kind, NewDelivery};
use crate::value::{Map, Value as HostValue};

/// The longest delay: a year.
const MAX_DELAY: f64 = 366.0 * 24.0 * 60.0 * 60.0;
const MAX_ATTEMPTS: i64 = 100;

#[derive(Clone)]
struct Jobs(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("jobs", |_, this| {
        this.call()?;
        Ok(Jobs(this.0.clone()))
    });
}

impl UserData for Jobs {
    fn register(registry: &mut UserDataRegistry<Self>) {
        type EnqueueArgs = (LuaString, Value, Value);
        registry.add_async_method("enqueue", |lua, this, (name, payload, options): EnqueueArgs| {
            let call = this.0.clone();
            async move {
                check_can_wait(&lua, "ctx.jobs")?;
                enqueue(&*call.get()?, &name.to_str()?, &payload, &options).await
            }
        });
        registry.add_async_method("cancel", |lua, this, id: LuaString| {
            let call = this.0.clone();
            async move {
                check_can_wait(&lua, "ctx.jobs")?;
                cancel(&*call.get()?, &id.to_str()?).await
            }
        });
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.jobs"));
    }
}

async fn enqueue(
    call: &CallContext,
    name: &str,
    payload: &Value,
    options: &Value,
) -> mlua::Result<(String, bool)> {
    let declared = call.generation.parts.get::<Declared>().unwrap_or_default();
    let Some(job) = declared.get(name) else {
        let names = declared.names();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("; did you mean \"{near}\"?"),
            None => "; jobs are declared in the manifest under extensionPoints.jobs".to_owned(),
        };
        return Err(Failure::misuse(format!("ctx.jobs: there is no job \"{name}\"{hint}")));
    };
    let payload = bridge::from_lua(payload)
        .map_err(|error| Failure::misuse(format!("ctx.jobs: the payload: {error}")))?;
    let options = Options::of(options)?;
    let delivery = NewDelivery {
        id: Uuid::now_v7().to_string(),
        kind: Kind::Job,
        plugin_id: call.generation.plugin_id().to_owned(),
        name: name.to_owned(),
        handler: job.handler.to_string(),
        payload: payload_json(&payload).map_err(failure)?,
        ordering_key: None,
        unique_key: options.key,
        depth: 0,
        max_attempts: options.attempts.unwrap_or(job.max_attempts),
        delay: options.delay,
    };
    let session = call.work.session().await.map_err(failure)?;
    let enqueued = deliveries::insert_unique(&session, delivery).await.map_err(failure)?;
    if let Some(free) = call.work.hold(Held::Enqueued) {
        call.generation.services.events.committed(vec![free]);
    }
    Ok(enqueued)
}

/// Whether there was such a job, which had not begun.
async fn cancel(call: &CallContext, id: &str) -> mlua::Result<bool> {
    let filter = Filter {
        id: Some(id.to_owned()),
        plugin_id: Some(call.generation.plugin_id().to_owned()),
        kind: Some(Kind::Job),
        ..Filter::default()
    };
    let session = call.work.session().await.map_err(failure)?;
    Ok(deliveries::discard(&session, &filter).await.map_err(failure)?.is_some())
}

#[derive(Default)]
struct Options {
    delay: Duration,
    attempts: Option<u32>,
    key: Option<String>,
}

impl Options {
    fn of(given: &Value) -> mlua::Result<Self> {
        let wrong = |message: String| Failure::misuse(format!("ctx.jobs: {message}"));
        let given = match bridge::from_lua(given) {
            Ok(HostValue::Null) => Map::new(),
            Ok(HostValue::Map(map)) => map,
            Ok(HostValue::List(list)) if list.is_empty() => Map::new(),
            _ => return Err(wrong("the options are a table, such as { delay = 60 }".into())),
        };
        let mut options = Options::default();
        for (name, value) in given {
            match (name.as_str(), value) {
                ("delay" | "attempts" | "key", HostValue::Null) => {}
                ("delay", value) => {
                    let seconds = match value {
                        HostValue::Int(seconds) => seconds as f64,
                        HostValue::Float(seconds) => seconds,
                        _ => f64::NAN,
                    };
                    if !(0.0..=MAX_DELAY).contains(&seconds) {
                        return Err(wrong("delay is a number of seconds, at most a year".into()));
                    }
                    options.delay = Duration::from_secs_f64(seconds);
                }
                ("attempts", HostValue::Int(count)) if (1..=MAX_ATTEMPTS).contains(&count) => {
                    options.attempts = Some(count.unsigned_abs() as u32);
                }
                ("attempts", _) => {
                    let message = format!("attempts is a whole number from 1 to {MAX_ATTEMPTS}");
                    return Err(wrong(message));
                }
                ("key", HostValue::String(key)) if !key.is_empty() && key.len() <= MAX_KEY => {
                    options.key = Some(key);
                }
                ("key", HostValue::Int(number)) => options.key = Some(number.to_string()),
                ("key", _) => {
                    let message = "the key is a text of 1 to 200 bytes, or a whole number";
                    return Err(wrong(message.into()));
                }
                (other, _) => {
                    let message =
                        format!("unknown option \"{other}\"; there is delay, attempts, key");
                    return Err(wrong(message));
                }
            }
        }
        Ok(options)
    }
}
