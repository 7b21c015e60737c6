//! `ctx.hooks`: a plugin's own extension points.

use std::sync::Arc;

use mlua::{
    Function, Lua, LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRef,
    UserDataRegistry, Value,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::db::failure;
use super::emit::{check_event, is_unheard, raise};
use super::{CallContext, CallRef, Ctx};
use crate::events::Event;
use crate::extension::hooks::{Cause, HookTable, run_pre};
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge, sandbox};
use crate::value::{Map, Value as HostValue};

/// The script's function runs between the steps of the host. It is Lua, so that it can wait and that its
/// errors stay the values that they are. Where there is nobody, nothing waits.
const RUN: &str = "
local idle, before, unheard, after = ...
local type, error = type, error
local function finish(self, event, given, ...)
	if not unheard(self, event) then
		after(self, event, given, (...))
	end
	return ...
end
return function(self, event, data, body)
	if type(data) ~= 'table' or type(body) ~= 'function' then
		error('ctx.hooks:run takes the name of an event, a table of data and a function', 2)
	end
	if not idle(self, event) then
		data = before(self, event, data)
	end
	return finish(self, event, data, body(data))
end
";

#[derive(Clone)]
struct Hooks(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("hooks", |_, this| Ok(Hooks(this.0.clone())));
}

impl UserData for Hooks {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_field("run", sandbox::Made(make));
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.hooks"));
    }
}

/// The Lua function `(hooks, event, data, body)`.
fn make(lua: &Lua) -> mlua::Result<Function> {
    type Named = (UserDataRef<Hooks>, LuaString);
    let idle = lua.create_function(|lua, (hooks, event): Named| {
        idle(lua, &*hooks.0.get()?, &event.to_str()?)
    })?;
    type BeforeArgs = (UserDataRef<Hooks>, LuaString, Value);
    let before = lua.create_async_function(|lua, (hooks, event, data): BeforeArgs| {
        let call = hooks.0.clone();
        async move { before(&lua, &*call.get()?, &event.to_str()?, &data).await }
    })?;
    let unheard = lua.create_function(|_, (hooks, event): Named| {
        Ok(is_unheard(&*hooks.0.get()?, &event.to_str()?))
    })?;
    type AfterArgs = (UserDataRef<Hooks>, LuaString, Value, Value);
    let after = lua.create_async_function(|_, (hooks, event, given, result): AfterArgs| {
        let call = hooks.0.clone();
        async move {
            let (call, payload) = (call.get()?, payload(&given, &result)?);
            let name = event.to_str()?.to_owned().into();
            raise(&call, Event { name, payload, depth: call.depth, key: None }).await
        }
    })?;
    sandbox::host_function(lua, RUN, (idle, before, unheard, after))
}

/// Whether no pre hook has to run, once it is known that the call is right.
fn idle(lua: &Lua, call: &CallContext, event: &str) -> mlua::Result<bool> {
    const WHAT: &str = "ctx.hooks:run";
    check_can_wait(lua, WHAT)?;
    check_event(call, WHAT, event)?;
    let hooks = match &call.request {
        Some(request) => request.world.part::<HookTable>(),
        None => call.generation.services.world.load().part::<HookTable>(),
    };
    Ok(hooks.is_none_or(|hooks| hooks.pre(event).next().is_none()))
}

async fn before(lua: &Lua, call: &CallContext, event: &str, data: &Value) -> mlua::Result<Value> {
    let services = Arc::clone(&call.generation.services);
    let world = match &call.request {
        Some(request) => request.world.clone(),
        None => services.world.load_full(),
    };
    let given = host(data, "the data")?;
    let cause = Cause {
        request: call.request.clone(),
        depth: call.depth,
        deadline: Some(call.deadline),
        transaction: call.work.join().await.map_err(failure)?,
    };
    // A task of its own: this one is in the plugin's VM, which a hook may have to enter.
    let event = event.to_owned();
    let running =
        async move { run_pre(&services, &world, &cause, &event, given).await }.in_current_span();
    let running = tokio::spawn(running);
    let changed = AbortOnDropHandle::new(running).await;
    let changed = changed.map_err(|error| mlua::Error::runtime(error.to_string()))?;
    let changed = changed.map_err(|refused| Failure::new(refused.error).into_lua_error())?;
    bridge::without_limit(lua, || bridge::to_lua(lua, &changed))
}

/// What post hooks get: the data, and what the function has made of it, such as the row with its id.
fn payload(given: &Value, result: &Value) -> mlua::Result<HostValue> {
    let mut payload = host(given, "the data")?;
    if let (HostValue::Map(data), Value::Table(_)) = (&mut payload, result)
        && let Ok(HostValue::Map(more)) = host(result, "the result")
    {
        data.extend(more);
    }
    Ok(payload)
}

fn host(value: &Value, what: &str) -> mlua::Result<HostValue> {
    let value = bridge::from_lua(value)
        .map_err(|error| Failure::misuse(format!("ctx.hooks:run: {what}: {error}")))?;
    Ok(match value {
        // Lua has one empty table.
        HostValue::List(list) if list.is_empty() => HostValue::Map(Map::new()),
        other => other,
    })
}
