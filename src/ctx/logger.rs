//! `ctx.logger`: lines in the host's log, with the plugin's id and the request's.

use std::sync::Arc;

use mlua::{LuaString, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value};

use super::{CallContext, Ctx};
use crate::lua::bridge;

/// The longest message, in bytes, and the longest text of fields; the rest is cut off.
const MAX_MESSAGE: usize = 16 * 1024;

struct Logger(Arc<CallContext>);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("logger", |_, this| Ok(Logger(Arc::clone(this.call()?))));
}

macro_rules! level {
    ($registry:ident, $name:literal, $level:ident) => {
        $registry.add_method($name, |_, this, (message, fields): (LuaString, Value)| {
            let (plugin, request) = this.origin();
            let message = bridge::shown(&message, MAX_MESSAGE);
            match fields_text(&fields) {
                Some(fields) => {
                    tracing::$level!(target: "plugin", plugin, request, fields, "{message}");
                }
                None => tracing::$level!(target: "plugin", plugin, request, "{message}"),
            }
            Ok(())
        });
    };
}

impl Logger {
    fn origin(&self) -> (&str, Option<&str>) {
        let request = self.0.request.as_ref().map(|request| request.info.id.as_str());
        (self.0.generation.plugin_id(), request)
    }
}

impl UserData for Logger {
    fn register(registry: &mut UserDataRegistry<Self>) {
        level!(registry, "debug", debug);
        level!(registry, "info", info);
        level!(registry, "warn", warn);
        level!(registry, "error", error);
    }
}

/// The fields as JSON. A field that is no value must not cost the line it belongs to.
fn fields_text(fields: &Value) -> Option<String> {
    if fields.is_nil() {
        return None;
    }
    let json = bridge::from_lua(fields).map_err(|error| error.to_string());
    let json = json.and_then(|value| serde_json::to_string(&value).map_err(|e| e.to_string()));
    let mut text = json.unwrap_or_else(|error| format!("(cannot be shown: {error})"));
    text.truncate(bridge::boundary(&text, MAX_MESSAGE));
    Some(text)
}
