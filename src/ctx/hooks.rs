//! `ctx.hooks`: a plugin's own extension points.

use std::sync::Arc;

use mlua::{
    Function, Lua, LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRef,
    UserDataRegistry, Value,
};
use tokio_util::task::AbortOnDropHandle;

use super::emit::{check_event, raise};
use super::{CallRef, Ctx};
use crate::events::Event;
use crate::extension::hooks::{Cause, HookTable, run_pre};
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge};
use crate::value::{Map, Value as HostValue};

/// Where a VM keeps the function.
const REGISTERED: &str = "moondock.hooks.run";

/// The script's function runs between the two of the host. It is Lua, so that it can wait and that its
/// errors stay the values that they are.
const RUN: &str = "
local before, after = ...
local function finish(self, event, given, ...)
	after(self, event, given, (...))
	return ...
end
return function(self, event, data, body)
	local given = before(self, event, data, body)
	return finish(self, event, given, body(given))
end
";

#[derive(Clone)]
struct Hooks(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("hooks", |_, this| {
        this.call()?;
        Ok(Hooks(this.0.clone()))
    });
}

impl UserData for Hooks {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_field_method_get("run", |lua, _| function(lua));
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.hooks"));
    }
}

/// The Lua function `(hooks, event, data, body)`, one for each VM.
fn function(lua: &Lua) -> mlua::Result<Function> {
    if let Some(known) = lua.named_registry_value::<Option<Function>>(REGISTERED)? {
        return Ok(known);
    }
    type BeforeArgs = (UserDataRef<Hooks>, LuaString, Value, Value);
    let before = lua.create_async_function(|lua, (hooks, event, data, body): BeforeArgs| {
        let call = hooks.0.clone();
        async move { before(&lua, &call, &event.to_str()?, &data, &body).await }
    })?;
    type AfterArgs = (UserDataRef<Hooks>, LuaString, Value, Value);
    let after = lua.create_async_function(|_, (hooks, event, given, result): AfterArgs| {
        let call = hooks.0.clone();
        async move { after(&call, &event.to_str()?, &given, &result).await }
    })?;
    let chunk = lua.load(RUN).set_name("=@host/hooks");
    let function: Function = chunk.call((before, after))?;
    lua.set_named_registry_value(REGISTERED, &function)?;
    Ok(function)
}

async fn before(
    lua: &Lua,
    call: &CallRef,
    event: &str,
    data: &Value,
    body: &Value,
) -> mlua::Result<Value> {
    const WHAT: &str = "ctx.hooks:run";
    check_can_wait(lua, WHAT)?;
    let call = call.get()?;
    check_event(&call, WHAT, event)?;
    if !data.is_table() || !body.is_function() {
        return Err(Failure::misuse(
            "ctx.hooks:run takes the name of an event, a table of data and a function",
        ));
    }
    let services = Arc::clone(&call.generation.services);
    let world = match &call.request {
        Some(request) => request.world.clone(),
        None => services.world.load_full(),
    };
    let hooks = world.part::<HookTable>();
    if hooks.is_none_or(|hooks| hooks.pre(event).next().is_none()) {
        return Ok(data.clone());
    }
    let given = host(data, "the data")?;
    let cause = Cause {
        request: call.request.clone(),
        depth: call.depth,
        deadline: Some(call.deadline),
        transaction: call.work.transaction(),
    };
    // A task of its own: this one is in the plugin's VM, which a hook may have to enter.
    let event = event.to_owned();
    let running =
        tokio::spawn(async move { run_pre(&services, &world, &cause, &event, given).await });
    let changed = AbortOnDropHandle::new(running).await;
    let changed = changed.map_err(|error| mlua::Error::runtime(error.to_string()))?;
    let changed = changed.map_err(|refused| Failure::new(refused.error).into_lua_error())?;
    bridge::without_limit(lua, || bridge::to_lua(lua, &changed))
}

async fn after(call: &CallRef, event: &str, given: &Value, result: &Value) -> mlua::Result<()> {
    let call = call.get()?;
    let mut payload = host(given, "the data")?;
    // What the function has made of the data, such as the row with its id, is news too.
    if let (HostValue::Map(data), Value::Table(_)) = (&mut payload, result)
        && let Ok(HostValue::Map(more)) = host(result, "the result")
    {
        data.extend(more);
    }
    let event = Event { name: event.into(), payload, depth: call.depth, key: None };
    raise(&call, event).await
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
