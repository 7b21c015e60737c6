//! `ctx:emit`: events for the post hooks of other plugins.

use mlua::{LuaString, UserDataMethods, UserDataRegistry, Value};

use super::Ctx;
use crate::error::Error;
use crate::events::{Event, MAX_DEPTH};
use crate::extension::hooks::matches;
use crate::lua::{Failure, bridge};
use crate::plugin::generation::Generation;

/// The longest name of an event, in bytes.
const MAX_NAME: usize = 200;

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_method("emit", |_, this, (name, payload): (LuaString, Value)| {
        let call = this.call()?;
        let name = name.to_str()?.to_owned();
        if name.is_empty() || name.len() > MAX_NAME || name.contains(['*', '\n']) {
            return Err(Failure::misuse(format!(
                "ctx:emit: \"{name}\" is not an event name, such as \"{}:something\"",
                call.generation.plugin_id()
            )));
        }
        check_namespace(&name, &call.generation)?;
        if call.depth >= MAX_DEPTH {
            return Err(Failure::misuse(format!(
                "ctx:emit: \"{name}\" was raised by a hook that {MAX_DEPTH} hooks in a row have led \
                 to; hooks seem to cause each other without end"
            )));
        }
        let payload = bridge::from_lua(&payload)
            .map_err(|error| Failure::misuse(format!("ctx:emit: the payload: {error}")))?;
        let event = Event { name: name.into(), payload, depth: call.depth };
        if let Some(event) = call.work.hold(event) {
            call.generation.services.events.emit(event);
        }
        Ok(())
    });
}

/// A plugin raises its own events, and those of others that it was granted. The events of the
/// host's own life cannot be forged.
fn check_namespace(name: &str, generation: &Generation) -> mlua::Result<()> {
    let plugin_id = generation.plugin_id();
    if name.strip_prefix(plugin_id).is_some_and(|rest| rest.starts_with(':')) {
        return Ok(());
    }
    let reserved = ["plugin:", "plugins:"].iter().any(|space| name.starts_with(space));
    let granted = generation.granted().events.iter().any(|pattern| matches(pattern, name));
    if granted && !reserved {
        return Ok(());
    }
    let message = if reserved {
        format!("the event \"{name}\" is the host's own")
    } else {
        format!(
            "the plugin may not raise \"{name}\": it is not one of its own events \
             (\"{plugin_id}:…\"), and permissions.events with \"{name}\" is not granted"
        )
    };
    Err(Failure::new(Error::new("forbidden", message)).into_lua_error())
}
