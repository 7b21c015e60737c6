//! Values between Lua and the host. Everything is copied; no table is shared between VMs.
//!
//! | Lua | host |
//! |---|---|
//! | nil | absent (a null at the top) |
//! | `ctx.null` | [`Value::Null`] |
//! | a whole number up to 2^53 | [`Value::Int`] |
//! | any other number | [`Value::Float`] |
//! | a string | [`Value::String`], or [`Value::Bytes`] if it is not UTF-8 |
//! | a table with the keys 1…n | [`Value::List`] |
//! | a table with string keys, and an empty table | [`Value::Map`] |
//!
//! Integers beyond 2^53 become strings of digits in Lua, whose numbers cannot hold them.

use std::fmt::Write;

use mlua::{Lua, Table, Value as LuaValue};

use super::pull;
use crate::value::Value;

/// Tables nested deeper than this do not leave a VM.
pub const MAX_DEPTH: usize = 100;

/// Values that leave a VM at once, counting each place in which a table is.
pub const MAX_VALUES: usize = 1_000_000;
/// Bytes of text that leave a VM at once, counting each place in which a text is.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why a value cannot leave the VM, and where in it the reason is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(.path))]
pub struct BridgeError {
    /// The keys that lead to it, innermost first.
    path: Vec<String>,
    message: String,
}

fn place(path: &[String]) -> String {
    let mut text = String::new();
    for key in path.iter().rev() {
        match key.parse::<usize>() {
            Ok(index) => {
                // Writing to a string cannot fail.
                let _ = write!(text, "[{index}]");
            }
            Err(_) if text.is_empty() => text.push_str(key),
            Err(_) => {
                let _ = write!(text, ".{key}");
            }
        }
    }
    if !text.is_empty() {
        text.push_str(": ");
    }
    text
}

impl BridgeError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        BridgeError { path: Vec::new(), message: message.into() }
    }

    pub(super) fn under(mut self, key: impl ToString) -> Self {
        self.path.push(key.to_string());
        self
    }
}

/// Lets the host put values of its own, which are bounded elsewhere, into the VM without the memory
/// limit. With a limit mlua has to guard every step against running out of it, which takes longer than
/// the step. The script's own next allocation meets the limit.
///
/// # Errors
/// Those of `put`.
pub fn without_limit<T>(lua: &Lua, put: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<T> {
    let limit = lua.set_memory_limit(0)?;
    let done = put();
    lua.set_memory_limit(limit)?;
    done
}

pub use super::push::{map as map_to_lua, value as to_lua};

/// Where a VM keeps the metatable of tables that are lists even when they are empty.
const ARRAY: &str = "moondock.array";

/// The metatable that makes a table a list wherever it leaves the VM, also when it is empty.
///
/// # Errors
/// Only when the VM has no memory for it.
pub fn array_metatable(lua: &Lua) -> mlua::Result<Table> {
    if let Some(known) = lua.named_registry_value::<Option<Table>>(ARRAY)? {
        return Ok(known);
    }
    let table = lua.create_table()?;
    table.set_readonly(true);
    lua.set_named_registry_value(ARRAY, &table)?;
    Ok(table)
}

/// Copies a Lua value out of the VM.
///
/// # Errors
/// Functions, threads and userdata do not leave the VM; neither do tables that are cyclic, deeper
/// than [`MAX_DEPTH`], with holes, or with both positions and names as keys; nor more than
/// [`MAX_VALUES`] and [`MAX_BYTES`].
pub fn from_lua(value: &LuaValue) -> Result<Value, BridgeError> {
    pull::value(value)
}

/// The beginning of a text that is only shown to people: at most `max` bytes, with what is not UTF-8
/// replaced.
pub fn shown(text: &mlua::LuaString, max: usize) -> String {
    let bytes = text.as_bytes();
    let mut shown = String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned();
    shown.truncate(boundary(&shown, max));
    shown
}

/// The last character boundary of a text that is not after `max`.
pub fn boundary(text: &str, max: usize) -> usize {
    (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{MAX_SAFE_INTEGER, Map};

    fn eval(source: &str) -> Result<Value, String> {
        let lua = Lua::new();
        lua.globals().set("null", LuaValue::NULL).unwrap();
        let value = lua.load(source).eval().unwrap();
        from_lua(&value).map_err(|error| error.to_string())
    }

    #[test]
    fn tables_become_lists_or_objects() {
        assert_eq!(eval("return {1, 2.5, 'x', null}").unwrap(), {
            Value::List(vec![1.into(), 2.5.into(), "x".into(), Value::Null])
        });
        assert_eq!(eval("local t = {} t[3]=3 t[2]=2 t[1]=1 return t").unwrap(), {
            Value::List(vec![1.into(), 2.into(), 3.into()])
        });
        assert_eq!(eval("return {}").unwrap(), Value::Map(Map::new()));
        assert_eq!(eval("return nil").unwrap(), Value::Null);
        assert_eq!(eval("return '\\255'").unwrap(), Value::Bytes(vec![255]));
    }

    #[test]
    fn integers_are_exact_up_to_2_to_the_53() {
        assert_eq!(eval("return 2^53").unwrap(), Value::Int(MAX_SAFE_INTEGER));
        assert_eq!(eval("return 2^60").unwrap(), Value::Float(2f64.powi(60)));
        let lua = Lua::new();
        let big = to_lua(&lua, &Value::Int(MAX_SAFE_INTEGER + 1)).unwrap();
        assert_eq!(big.as_string().unwrap().to_string_lossy(), "9007199254740993");
    }

    #[test]
    fn what_cannot_leave_says_where_it_is() {
        for (source, expected) in [
            ("return {a={b={1, print}}}", "a.b[2]: a function cannot leave the plugin as a value"),
            ("local t = {} t.x = {t} return t", "x[1]: the table contains itself"),
            ("return {1, nil, 3}", "the list has a hole at position 2"),
            ("return {1, x=2}", "has both list positions and the key \"x\""),
            ("return {[0.5]=1}", "a number that is no list position is used as a key"),
            ("return {[true]=1}", "a boolean is used as a key"),
            ("local t = {} for i = 1, 200 do t = {t} end return t", "nested more than 100 deep"),
            ("return coroutine.create(print)", "a thread cannot leave the plugin"),
        ] {
            let error = eval(source).unwrap_err();
            assert!(error.contains(expected), "{source}: {error}");
        }
    }

    #[test]
    fn what_leaves_is_bounded_wherever_it_is_shared() {
        let shared = "local t = {1} for i = 1, 40 do t = {t, t} end return t";
        assert!(eval(shared).unwrap_err().contains("more than 1000000 values"));
        let long = "return table.create(10, ('x'):rep(2e6))";
        assert!(eval(long).unwrap_err().contains("bytes of text"));
    }

    #[test]
    fn one_table_in_two_places_is_no_cycle() {
        assert!(eval("local t = {1} return {t, t}").is_ok());
    }
}
