//! `ctx:fail` and `ctx:invalid`: errors that a client sees as written.

use mlua::{LuaString, UserDataMethods, UserDataRegistry, Value};

use super::Ctx;
use crate::error::{Error, code};
use crate::lua::{Failure, bridge};
use crate::value::{Map, Value as HostValue};

/// The longest code and message together, in bytes.
const MAX_MESSAGE: usize = 64 * 1024;

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_method(
        "fail",
        |_, this, args: (LuaString, Option<LuaString>, Value)| -> mlua::Result<()> {
            this.call()?;
            let (code, message, extensions) = args;
            let code = code.to_str()?.to_owned();
            let message = match message {
                Some(message) => message.to_str()?.to_owned(),
                None => code.clone(),
            };
            if code.len() + message.len() > MAX_MESSAGE {
                return Err(Failure::misuse(format!(
                    "ctx:fail: code and message may have at most {MAX_MESSAGE} bytes"
                )));
            }
            let mut error = Error::new(code, message);
            if !extensions.is_nil() {
                error.extensions = object(&extensions, "ctx:fail: extensions")?;
                // `code` and `requestId` are the host's.
                error.extensions.shift_remove("code");
                error.extensions.shift_remove("requestId");
            }
            Err(Failure::new(error).into_lua_error())
        },
    );
    registry.add_method("invalid", |_, this, issues: Value| -> mlua::Result<()> {
        this.call()?;
        let usage = "ctx:invalid takes a list of { path = {…}, message = \"…\" }";
        let HostValue::List(list) = host_value(&issues, "ctx:invalid")? else {
            return Err(Failure::misuse(usage));
        };
        let mut found = Vec::with_capacity(list.len());
        for issue in list {
            let (Some(HostValue::List(path)), Some(HostValue::String(message))) =
                (issue.get("path"), issue.get("message"))
            else {
                return Err(Failure::misuse(usage));
            };
            let mut entry = Map::new();
            entry.insert("argumentPath".into(), HostValue::List(path.clone()));
            entry.insert("message".into(), message.clone().into());
            found.push(HostValue::Map(entry));
        }
        let message = "You have provided invalid arguments for this action.";
        let error = Error::new(code::INVALID_ARGUMENTS, message).with("issues", found);
        Err(Failure::new(error).into_lua_error())
    });
}

fn host_value(value: &Value, what: &str) -> mlua::Result<HostValue> {
    bridge::from_lua(value).map_err(|error| Failure::misuse(format!("{what}: {error}")))
}

fn object(value: &Value, what: &str) -> mlua::Result<Map> {
    match host_value(value, what)? {
        HostValue::Map(map) => Ok(map),
        other => {
            Err(Failure::misuse(format!("{what} must be a table, not a {}", other.type_name())))
        }
    }
}
