//! `ctx.logger`: lines in the host's log, with the plugin's id and the request's.

use std::sync::{Arc, Weak};

use mlua::{LuaString, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value};

use super::Ctx;
use crate::lua::bridge;
use crate::plugin::generation::Generation;
use crate::plugin::logs::{self, Level, Line};
use crate::plugin::manifest::Manifest;
use crate::request::RequestInfo;

/// The longest message, in bytes, and the longest text of fields; the rest is cut off.
const MAX_MESSAGE: usize = 16 * 1024;

struct Logger {
    plugin: Arc<Manifest>,
    /// Weak, since a script may keep the logger, and the generation keeps the script.
    generation: Weak<Generation>,
    request: Option<Arc<RequestInfo>>,
}

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("logger", |_, this| {
        let call = this.call()?;
        let request = call.request.as_ref().map(|request| Arc::clone(&request.info));
        let plugin = call.generation.shared_manifest();
        Ok(Logger { plugin, generation: Arc::downgrade(&call.generation), request })
    });
}

macro_rules! level {
    ($registry:ident, $name:literal, $level:ident, $shown:ident) => {
        $registry.add_method($name, |_, this, (message, fields): (LuaString, Value)| {
            let (plugin, request) = this.origin();
            let message = bridge::shown(&message, MAX_MESSAGE);
            this.tell(Level::$shown, &message, &fields);
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
        (&self.plugin.plugin_id, self.request.as_ref().map(|request| request.id.as_str()))
    }
}

impl Logger {
    /// Gives the line to those who watch the log.
    fn tell(&self, level: Level, message: &str, fields: &Value) {
        let (plugin, request_id) = self.origin();
        let Some(generation) = self.generation.upgrade() else { return };
        if logs::is_watched(&generation.services, plugin) {
            let fields = bridge::from_lua(fields).ok();
            let line = Line { level, message, fields, request_id };
            logs::tell(&generation.services, plugin, line);
        }
    }
}

impl UserData for Logger {
    fn register(registry: &mut UserDataRegistry<Self>) {
        level!(registry, "debug", debug, Debug);
        level!(registry, "info", info, Info);
        level!(registry, "warn", warn, Warn);
        level!(registry, "error", error, Error);
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
