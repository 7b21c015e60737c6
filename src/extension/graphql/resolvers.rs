//! Fields that are resolved by Lua functions.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use mlua::Value as LuaValue;

use super::resolve::{
    AuthCheck, BatchResolver, Messages, Resolver, ScalarCodec, Subscriber, TypeResolver,
};
use crate::ctx::CallContext;
use crate::ctx::pubsub::subscription_of;
use crate::error::Error;
use crate::events::pubsub::{Overflow, Subscription};
use crate::lua::{ScriptError, bridge};
use crate::plugin::generation::{Arg, Generation, GenerationHandle};
use crate::request::RequestContext;
use crate::value::{Map, Value};

/// A function of a plugin, by the key under which its VMs know it.
#[derive(Debug)]
struct LuaHandler {
    generation: GenerationHandle,
    key: Arc<str>,
}

impl LuaHandler {
    async fn call(&self, args: &[Arg<'_>], cx: &RequestContext) -> Result<Value, Error> {
        self.script(args, cx).await?.map_err(Error::from)
    }

    /// As [`LuaHandler::call`], with the script's error as it is.
    async fn script(
        &self,
        args: &[Arg<'_>],
        cx: &RequestContext,
    ) -> Result<Result<Value, ScriptError>, Error> {
        let generation = self.generation()?;
        let context = CallContext::within(&generation, cx);
        Ok(generation.call(&self.key, args, context).await)
    }

    async fn call_and_take<T>(
        &self,
        args: &[Arg<'_>],
        cx: &RequestContext,
        take: fn(&LuaValue) -> mlua::Result<T>,
    ) -> Result<T, Error> {
        let generation = self.generation()?;
        let context = CallContext::within(&generation, cx);
        generation.call_and_take(&self.key, args, context, take).await.map_err(Error::from)
    }

    /// The request's World keeps the generation alive, so this fails only for a schema that is used
    /// without its World.
    fn generation(&self) -> Result<Arc<Generation>, Error> {
        self.generation.get().ok_or_else(|| Error::unexpected("the plugin was unloaded"))
    }
}

/// A resolver `(parent, args, ctx)`.
#[derive(Debug)]
pub struct LuaResolver(LuaHandler);

impl LuaResolver {
    pub fn new(generation: GenerationHandle, key: Arc<str>) -> Self {
        LuaResolver(LuaHandler { generation, key })
    }
}

impl Resolver for LuaResolver {
    fn resolve<'a>(
        &'a self,
        parent: &'a Value,
        args: Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Value, Error>> {
        async move { self.0.call(&[Arg::Value(parent), Arg::Map(&args)], cx).await }.boxed()
    }
}

/// A batch resolver `(parents, args, ctx)`.
#[derive(Debug)]
pub struct LuaBatchResolver(LuaHandler);

impl LuaBatchResolver {
    pub fn new(generation: GenerationHandle, key: Arc<str>) -> Self {
        LuaBatchResolver(LuaHandler { generation, key })
    }
}

impl BatchResolver for LuaBatchResolver {
    fn resolve_all<'a>(
        &'a self,
        parents: Vec<Value>,
        args: Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Vec<Value>, Error>> {
        async move {
            let parents = Value::List(parents);
            let args = [Arg::Value(&parents), Arg::Map(&args)];
            self.0.call_and_take(&args, cx, batch_result).await
        }
        .boxed()
    }
}

/// The largest index that a batch resolver's result may have.
const MAX_BATCH: usize = 1_000_000;

/// A list, in which nil is null.
fn batch_result(result: &LuaValue) -> mlua::Result<Vec<Value>> {
    let wrong = |what: String| mlua::Error::runtime(format!("the batch resolver returned {what}"));
    let LuaValue::Table(table) = result else {
        return Err(wrong(format!("a {}; it must return a list", result.type_name())));
    };
    if let Ok(Value::List(list)) = bridge::from_lua(result) {
        return Ok(list);
    }
    // With nil in it a list is a table like any other.
    let mut values = Vec::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair?;
        let index = match key {
            LuaValue::Integer(index) => usize::try_from(index).ok(),
            LuaValue::Number(index) if index.fract() == 0.0 && index >= 1.0 => Some(index as usize),
            _ => None,
        };
        let Some(index) = index.filter(|index| (1..=MAX_BATCH).contains(index)) else {
            let key = key.to_string()?;
            return Err(wrong(format!("a table with the key {key:?}; it must return a list")));
        };
        if values.len() < index {
            values.resize(index, Value::Null);
        }
        values[index - 1] = bridge::from_lua(&value)
            .map_err(|error| wrong(format!("a wrong value for item {index}: {error}")))?;
    }
    Ok(values)
}

/// A `resolveType` function `(value, ctx)`.
#[derive(Debug)]
pub struct LuaTypeResolver(LuaHandler);

impl LuaTypeResolver {
    pub fn new(generation: GenerationHandle, key: Arc<str>) -> Self {
        LuaTypeResolver(LuaHandler { generation, key })
    }
}

impl TypeResolver for LuaTypeResolver {
    fn type_of<'a>(
        &'a self,
        value: &'a Value,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<String, Error>> {
        async move {
            match self.0.call(&[Arg::Value(value)], cx).await? {
                Value::String(name) => Ok(name),
                other => Err(Error::unexpected(format!(
                    "\"resolveType\" must return the name of a type; it returned {}",
                    other.excerpt()
                ))),
            }
        }
        .boxed()
    }
}

/// The `parse` and `serialize` functions of a scalar, each `(value, ctx)`. Without one, values are what
/// they are.
#[derive(Debug)]
pub struct LuaScalar {
    parse: Option<LuaHandler>,
    serialize: Option<LuaHandler>,
}

impl LuaScalar {
    pub fn new(
        generation: GenerationHandle,
        parse: Option<Arc<str>>,
        serialize: Option<Arc<str>>,
    ) -> Self {
        let handler = |key| LuaHandler { generation: generation.clone(), key };
        LuaScalar { parse: parse.map(handler), serialize: serialize.map(handler) }
    }
}

impl ScalarCodec for LuaScalar {
    fn parse<'a>(
        &'a self,
        value: &'a Value,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Result<Value, String>, Error>> {
        async move {
            let Some(handler) = &self.parse else { return Ok(Ok(value.clone())) };
            match handler.script(&[Arg::Value(value)], cx).await? {
                Ok(Value::Null) => Ok(Err("this is no value of it".to_owned())),
                Ok(parsed) => Ok(Ok(parsed)),
                Err(error) if error.is_fatal() => Err(error.into()),
                Err(error) => Ok(Err(error.message())),
            }
        }
        .boxed()
    }

    fn serialize<'a>(
        &'a self,
        value: &'a Value,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Value, Error>> {
        async move {
            match &self.serialize {
                Some(handler) => handler.call(&[Arg::Value(value)], cx).await,
                None => Ok(value.clone()),
            }
        }
        .boxed()
    }
}

/// The keys of a subscription's functions.
#[derive(Debug)]
pub struct SubscriberKeys {
    /// `(args, ctx)`, which returns what `ctx.pubsub:subscribe` gave.
    pub subscribe: Arc<str>,
    /// `(message, args, ctx)`: whether the message is for this subscription.
    pub filter: Option<Arc<str>>,
    /// `(message, args, ctx)`: the field's value.
    pub map: Option<Arc<str>>,
}

/// A subscription to a topic.
#[derive(Debug)]
pub struct LuaSubscriber {
    subscribe: LuaHandler,
    filter: Option<LuaHandler>,
    map: Option<LuaHandler>,
    capacity: usize,
    overflow: Overflow,
}

impl LuaSubscriber {
    pub fn new(
        generation: GenerationHandle,
        keys: SubscriberKeys,
        capacity: usize,
        overflow: Overflow,
    ) -> Self {
        let handler = |key| LuaHandler { generation: generation.clone(), key };
        LuaSubscriber {
            subscribe: handler(keys.subscribe),
            filter: keys.filter.map(handler),
            map: keys.map.map(handler),
            capacity,
            overflow,
        }
    }
}

impl Subscriber for LuaSubscriber {
    fn subscribe<'a>(
        &'a self,
        args: Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Messages, Error>> {
        async move {
            let taken = subscription_of as fn(&LuaValue) -> mlua::Result<Subscription>;
            let subscription = self.subscribe.call_and_take(&[Arg::Map(&args)], cx, taken).await?;
            subscription.limit(self.capacity, self.overflow);
            Ok(subscription.messages())
        }
        .boxed()
    }

    fn value<'a>(
        &'a self,
        message: Value,
        args: &'a Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Option<Value>, Error>> {
        async move {
            if let Some(filter) = &self.filter {
                let wanted = filter.call(&[Arg::Value(&message), Arg::Map(args)], cx).await?;
                if matches!(wanted, Value::Null | Value::Bool(false)) {
                    return Ok(None);
                }
            }
            match &self.map {
                None => Ok(Some(message)),
                Some(map) => map.call(&[Arg::Value(&message), Arg::Map(args)], cx).await.map(Some),
            }
        }
        .boxed()
    }
}

/// An `auth` function `(args, ctx) → boolean`.
#[derive(Debug)]
pub struct LuaAuthCheck(LuaHandler);

impl LuaAuthCheck {
    pub fn new(generation: GenerationHandle, key: Arc<str>) -> Self {
        LuaAuthCheck(LuaHandler { generation, key })
    }
}

impl AuthCheck for LuaAuthCheck {
    fn allowed<'a>(
        &'a self,
        args: &'a Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        // Nothing but `true` opens the door: not a count, not a row.
        async move { Ok(self.0.call(&[Arg::Map(args)], cx).await? == Value::Bool(true)) }.boxed()
    }
}
