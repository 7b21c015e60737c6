//! Fields that are resolved by Lua functions.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::model::{AuthCheck, Resolver};
use crate::ctx::CallContext;
use crate::error::Error;
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
        let generation = self.generation()?;
        let context = CallContext::within(&generation, cx);
        generation.call(&self.key, args, context).await.map_err(Error::from)
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
