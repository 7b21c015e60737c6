//! `ctx:emit`: events for the post hooks of other plugins.

use mlua::{Function, Lua, LuaString, UserDataFields, UserDataRef, UserDataRegistry, Value};

use super::db::failure;
use super::{CallContext, Ctx};
use crate::events::{Event, Held, MAX_DEPTH, addressed};
use crate::extension::hooks::HookTable;
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge, sandbox};
use crate::permission;
use crate::store::deliveries;
use crate::value::{Map, Value as HostValue};

/// The longest name of an event, in bytes.
const MAX_NAME: usize = 200;
/// The longest key, in bytes.
pub(super) const MAX_KEY: usize = 200;

/// It only waits if somebody listens.
const EMIT: &str = "
local unheard, emit = ...
return function(self, event, payload, options)
	if not unheard(self, event, payload, options) then
		emit(self, event, payload, options)
	end
end
";

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field("emit", sandbox::Made(make));
}

/// The Lua function `(ctx, event, payload, options)`.
fn make(lua: &Lua) -> mlua::Result<Function> {
    type EmitArgs = (UserDataRef<Ctx>, LuaString, Value, Value);
    let unheard = lua.create_function(|lua, (ctx, name, payload, options): EmitArgs| {
        check_can_wait(lua, "ctx:emit")?;
        let (call, name) = (ctx.call()?, name.to_str()?);
        check_event(&call, "ctx:emit", &name)?;
        // What is wrong is wrong, whether or not somebody hears it.
        key(&options)?;
        converted(&payload)?;
        Ok(is_unheard(&call, &name))
    })?;
    let emit = lua.create_async_function(|_, (ctx, name, payload, options): EmitArgs| {
        let call = ctx.call();
        async move {
            let (call, payload, key) = (call?, converted(&payload)?, key(&options)?);
            let name = name.to_str()?.to_owned().into();
            raise(&call, Event { name, payload, depth: call.depth, key }).await
        }
    })?;
    sandbox::host_function(lua, EMIT, (unheard, emit))
}

fn converted(payload: &Value) -> mlua::Result<HostValue> {
    bridge::from_lua(payload)
        .map_err(|error| Failure::misuse(format!("ctx:emit: the payload: {error}")))
}

/// Whether neither a hook nor an embedder hears of an event.
pub(super) fn is_unheard(call: &CallContext, name: &str) -> bool {
    let services = &call.generation.services;
    let hooks = services.world.load().part::<HookTable>();
    !services.events.has_subscribers()
        && hooks.is_none_or(|hooks| hooks.post(name).next().is_none())
}

/// Raises an event in the transaction that the call is in, if it is in one.
pub(super) async fn raise(call: &CallContext, event: Event) -> mlua::Result<()> {
    let services = &call.generation.services;
    let deliveries = addressed(&services.world.load(), &event).map_err(failure)?;
    if !deliveries.is_empty() {
        let session = call.work.session().await.map_err(failure)?;
        deliveries::insert(&session, deliveries).await.map_err(failure)?;
    }
    if let Some(raised) = call.work.hold(Held::Raised(event)) {
        services.events.committed(vec![raised]);
    }
    Ok(())
}

/// Whether a call may raise an event, or run its hooks.
pub(super) fn check_event(call: &CallContext, what: &str, name: &str) -> mlua::Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains(['*', '\n']) {
        return Err(Failure::misuse(format!(
            "{what}: \"{name}\" is not an event name, such as \"{}:something\"",
            call.generation.plugin_id()
        )));
    }
    permission::event(&call.generation, name)
        .map_err(|error| Failure::new(error).into_lua_error())?;
    if call.depth >= MAX_DEPTH {
        return Err(Failure::misuse(format!(
            "{what}: \"{name}\" was raised by a hook that {MAX_DEPTH} hooks in a row have led to; \
             hooks seem to cause each other without end"
        )));
    }
    Ok(())
}

fn key(options: &Value) -> mlua::Result<Option<String>> {
    let wrong = |message: &str| Err(Failure::misuse(format!("ctx:emit: {message}")));
    let given = match bridge::from_lua(options) {
        Ok(HostValue::Null) => return Ok(None),
        Ok(HostValue::Map(map)) => map,
        Ok(HostValue::List(list)) if list.is_empty() => Map::new(),
        _ => return wrong("the options are a table, such as { key = \"order 7\" }"),
    };
    let mut key = None;
    for (name, value) in given {
        match (name.as_str(), value) {
            ("key", HostValue::String(text)) if !text.is_empty() && text.len() <= MAX_KEY => {
                key = Some(text);
            }
            ("key", HostValue::Int(number)) => key = Some(number.to_string()),
            ("key", HostValue::Null) => {}
            ("key", _) => return wrong("the key is a text of 1 to 200 bytes, or a whole number"),
            (other, _) => return wrong(&format!("unknown option \"{other}\"; there is key")),
        }
    }
    Ok(key)
}
