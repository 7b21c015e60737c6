//! `ctx.pubsub`: messages for whoever listens right now. Nothing is kept.

use std::time::{Duration, Instant};

use mlua::{
    LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value,
};

use super::{CallRef, Ctx};
use crate::events::pubsub::{Missed, Subscription};
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge};
use crate::value::Value as HostValue;

/// The longest topic, in bytes.
const MAX_TOPIC: usize = 200;

#[derive(Clone)]
struct Pubsub(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("pubsub", |_, this| {
        this.call()?;
        Ok(Pubsub(this.0.clone()))
    });
}

impl UserData for Pubsub {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_method("publish", |_, this, (topic, payload): (LuaString, Value)| {
            let call = this.0.get()?;
            let payload = bridge::from_lua(&payload)
                .map_err(|error| Failure::misuse(format!("ctx.pubsub: the payload: {error}")))?;
            let plugin_id = call.generation.plugin_id();
            call.generation.services.pubsub.publish(plugin_id, &checked(&topic)?, payload);
            Ok(())
        });
        registry.add_method("subscribe", |_, this, topic: LuaString| {
            let call = this.0.get()?;
            let plugin_id = call.generation.plugin_id();
            let subscription =
                call.generation.services.pubsub.subscribe(plugin_id, &checked(&topic)?);
            Ok(Topic { call: this.0.clone(), subscription })
        });
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.pubsub"));
    }
}

/// What `subscribe` gives.
struct Topic {
    call: CallRef,
    subscription: Subscription,
}

impl UserData for Topic {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_async_method("receive", |lua, this, seconds: Option<f64>| {
            let (call, subscription) = (this.call.clone(), this.subscription.clone());
            async move {
                check_can_wait(&lua, "ctx.pubsub")?;
                let deadline = call.get()?.deadline;
                let until = match seconds {
                    Some(s) if (0.0..1e9).contains(&s) => {
                        deadline.min(Instant::now() + Duration::from_secs_f64(s))
                    }
                    Some(_) => return Err(Failure::misuse("receive takes a number of seconds")),
                    None => deadline,
                };
                match tokio::time::timeout_at(until.into(), subscription.receive()).await {
                    Ok(Ok(HostValue::Null)) | Err(_) => Ok(Value::Nil),
                    Ok(Ok(payload)) => {
                        bridge::without_limit(&lua, || bridge::to_lua(&lua, &payload))
                    }
                    Ok(Err(Missed { count, .. })) => Err(Failure::misuse(format!(
                        "ctx.pubsub: {count} messages came faster than they were received"
                    ))),
                }
            }
        });
        registry.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("subscription to {}", this.subscription.topic()))
        });
    }
}

/// The subscription that a script has returned.
///
/// # Errors
/// When it has returned something else.
pub fn subscription_of(value: &Value) -> mlua::Result<Subscription> {
    let found = match value {
        Value::UserData(data) => match data.borrow::<Topic>() {
            Ok(topic) => return Ok(topic.subscription.clone()),
            Err(_) => "another object".to_owned(),
        },
        other => format!("a {}", other.type_name()),
    };
    Err(mlua::Error::runtime(format!(
        "\"subscribe\" must return what ctx.pubsub:subscribe gives; it returned {found}"
    )))
}

fn checked(topic: &LuaString) -> mlua::Result<String> {
    let topic = topic.to_str()?;
    if topic.is_empty() || topic.len() > MAX_TOPIC {
        return Err(Failure::misuse("ctx.pubsub: a topic is a text of 1 to 200 bytes"));
    }
    Ok(topic.to_owned())
}
