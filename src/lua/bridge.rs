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

use std::ffi::c_void;
use std::fmt::Write;

use mlua::{Lua, Table, Value as LuaValue};

use super::watchdog;
use crate::value::{MAX_SAFE_INTEGER, Map, Value};

/// Tables nested deeper than this do not leave a VM.
pub const MAX_DEPTH: usize = 100;

/// Values that leave a VM at once, counting each place in which a table is.
pub const MAX_VALUES: usize = 1_000_000;
/// Bytes of text that leave a VM at once, counting each place in which a text is.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// After this many values, the conversion looks at the clock.
const STRETCH: usize = 4096;

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
    fn new(message: impl Into<String>) -> Self {
        BridgeError { path: Vec::new(), message: message.into() }
    }

    fn under(mut self, key: impl ToString) -> Self {
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

fn is_array(table: &Table) -> bool {
    let Some(metatable) = table.metatable() else { return false };
    let lua = table.weak_lua().try_upgrade();
    lua.and_then(|lua| lua.named_registry_value::<Option<Table>>(ARRAY).ok().flatten())
        .is_some_and(|array| array.to_pointer() == metatable.to_pointer())
}

/// Copies a Lua value out of the VM.
///
/// # Errors
/// Functions, threads and userdata do not leave the VM; neither do tables that are cyclic, deeper
/// than [`MAX_DEPTH`], with holes, or with both positions and names as keys; nor more than
/// [`MAX_VALUES`] and [`MAX_BYTES`].
pub fn from_lua(value: &LuaValue) -> Result<Value, BridgeError> {
    let lua = value.as_table().and_then(|table| table.weak_lua().try_upgrade());
    Conversion { lua, above: Vec::new(), values: 0, bytes: 0 }.convert(value)
}

/// One value on its way out. What it holds is counted because a few tables that share their parts
/// can stand for more than any memory holds.
struct Conversion {
    lua: Option<Lua>,
    /// The tables around the current value.
    above: Vec<*const c_void>,
    values: usize,
    bytes: usize,
}

impl Conversion {
    fn convert(&mut self, value: &LuaValue) -> Result<Value, BridgeError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(BridgeError::new(format!("there are more than {MAX_VALUES} values in it")));
        }
        if self.values.is_multiple_of(STRETCH)
            && let Some(lua) = &self.lua
        {
            watchdog::check(lua).map_err(|passed| BridgeError::new(passed.to_string()))?;
        }
        Ok(match value {
            LuaValue::Nil => Value::Null,
            LuaValue::Boolean(b) => Value::Bool(*b),
            LuaValue::Integer(i) => number(*i as f64),
            LuaValue::Number(n) => number(*n),
            LuaValue::String(s) => {
                self.count_bytes(s.as_bytes().len())?;
                string(s)
            }
            LuaValue::Table(table) => self.table(table)?,
            other if other.is_null() => Value::Null,
            LuaValue::Buffer(buffer) => {
                self.count_bytes(buffer.len())?;
                Value::Bytes(buffer.to_vec())
            }
            LuaValue::Error(_) => {
                return Err(BridgeError::new("an error cannot be used as a value"));
            }
            other => {
                let name = other.type_name();
                let message = format!("a {name} cannot leave the plugin as a value");
                return Err(BridgeError::new(message));
            }
        })
    }

    fn count_bytes(&mut self, count: usize) -> Result<(), BridgeError> {
        self.bytes += count;
        if self.bytes > MAX_BYTES {
            let message = format!("there are more than {MAX_BYTES} bytes of text in it");
            return Err(BridgeError::new(message));
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<Value, BridgeError> {
        let address = table.to_pointer();
        if self.above.contains(&address) {
            return Err(BridgeError::new("the table contains itself"));
        }
        if self.above.len() >= MAX_DEPTH {
            return Err(BridgeError::new(format!("tables are nested more than {MAX_DEPTH} deep")));
        }
        self.above.push(address);
        let mut parts = Parts::default();
        let mut failure = None;
        let walked = table.for_each::<LuaValue, LuaValue>(|key, value| {
            self.entry(&mut parts, &key, &value).map_err(|error| {
                failure = Some(error);
                mlua::Error::StackError
            })
        });
        self.above.pop();
        if let Some(failure) = failure {
            return Err(failure);
        }
        walked.map_err(|error| BridgeError::new(error.to_string()))?;
        match parts.finish()? {
            Value::Map(map) if map.is_empty() && is_array(table) => Ok(Value::List(Vec::new())),
            value => Ok(value),
        }
    }

    fn entry(
        &mut self,
        parts: &mut Parts,
        key: &LuaValue,
        value: &LuaValue,
    ) -> Result<(), BridgeError> {
        match key {
            LuaValue::String(name) => {
                let name = match name.to_str() {
                    Ok(name) => name.to_owned(),
                    Err(_) => return Err(BridgeError::new("a key is not valid UTF-8")),
                };
                self.count_bytes(name.len())?;
                let value = self.convert(value).map_err(|e| e.under(&name))?;
                parts.map.insert(name, value);
            }
            LuaValue::Integer(_) | LuaValue::Number(_) => {
                let position = position(key).ok_or_else(|| {
                    BridgeError::new("a number that is no list position is used as a key")
                })?;
                let value = self.convert(value).map_err(|e| e.under(position))?;
                if position == parts.list.len() + 1 {
                    parts.list.push(value);
                } else {
                    parts.scattered.push((position, value));
                }
            }
            other => {
                return Err(BridgeError::new(format!("a {} is used as a key", other.type_name())));
            }
        }
        Ok(())
    }
}

/// The entries of one table.
#[derive(Default)]
struct Parts {
    list: Vec<Value>,
    /// Positions that did not come in order, as the hash part of a table gives them.
    scattered: Vec<(usize, Value)>,
    map: Map,
}

impl Parts {
    fn finish(self) -> Result<Value, BridgeError> {
        let Parts { mut list, mut scattered, map } = self;
        scattered.sort_by_key(|(position, _)| *position);
        for (position, value) in scattered {
            if position != list.len() + 1 {
                return Err(BridgeError::new(format!(
                    "the list has a hole at position {}; use ctx.null for a null in a list",
                    list.len() + 1
                )));
            }
            list.push(value);
        }
        match (list.is_empty(), map.keys().next()) {
            (false, Some(name)) => Err(BridgeError::new(format!(
                "the table has both list positions and the key \"{name}\"; it must be one or the other"
            ))),
            (false, None) => Ok(Value::List(list)),
            (true, _) => Ok(Value::Map(map)),
        }
    }
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

/// Every Luau number is a double, also where mlua gives a whole one as an integer.
fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() <= MAX_SAFE_INTEGER as f64 {
        Value::Int(n as i64)
    } else {
        Value::Float(n)
    }
}

fn string(s: &mlua::LuaString) -> Value {
    match s.to_str() {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => Value::Bytes(s.as_bytes().to_vec()),
    }
}

/// A key as a list position, from 1.
fn position(key: &LuaValue) -> Option<usize> {
    match key {
        LuaValue::Integer(i) => usize::try_from(*i).ok().filter(|i| *i > 0),
        LuaValue::Number(n) if n.fract() == 0.0 && *n >= 1.0 && *n <= MAX_SAFE_INTEGER as f64 => {
            Some(*n as usize)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
