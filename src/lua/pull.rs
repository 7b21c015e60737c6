//! Copies values out of a VM, straight from Lua's stack: a table of any size is one step out of the VM and not
//! one for each of its entries.

use std::ffi::{CStr, c_int, c_void};
use std::{slice, str};

use mlua::ffi::{self, lua_State};
use mlua::{Lua, Table, Value as LuaValue};

use super::bridge::{self, BridgeError, MAX_BYTES, MAX_DEPTH, MAX_VALUES};
use super::watchdog;
use crate::value::{MAX_SAFE_INTEGER, Map, Value};

/// After this many values, the conversion looks at the clock.
const STRETCH: usize = 4096;
/// What one table has on the stack: a key, its value, and what is looked at of them.
const SLOTS: c_int = 4;

/// Copies a value out of the VM; see [`bridge::from_lua`].
///
/// # Errors
/// What of it cannot leave, and where that is.
pub fn value(value: &LuaValue) -> Result<Value, BridgeError> {
    Ok(match value {
        LuaValue::Nil => Value::Null,
        LuaValue::Boolean(b) => Value::Bool(*b),
        LuaValue::Integer(i) => number(*i as f64),
        LuaValue::Number(n) => number(*n),
        LuaValue::String(s) => {
            Conversion::default().count_bytes(s.as_bytes().len())?;
            string(&s.as_bytes())
        }
        LuaValue::Table(table) => self::table(table)?,
        other if other.is_null() => Value::Null,
        LuaValue::Buffer(buffer) => {
            Conversion::default().count_bytes(buffer.len())?;
            Value::Bytes(buffer.to_vec())
        }
        LuaValue::Error(_) => return Err(BridgeError::new("an error cannot be used as a value")),
        other => return Err(stays(other.type_name())),
    })
}

fn table(table: &Table) -> Result<Value, BridgeError> {
    let gone = || BridgeError::new("the table is gone with its VM");
    let lua = table.weak_lua().try_upgrade().ok_or_else(gone)?;
    let mut conversion = Conversion { lua: Some(&lua), ..Conversion::default() };
    let mut result = Err(gone());
    // SAFETY: mlua runs it in a protected call, with the table as the only thing on the stack. `Conversion`
    // only reads, and leaves the stack as it was.
    let ran = unsafe {
        lua.exec_raw::<()>(table, |state| {
            result = conversion.table(state, 1);
            ffi::lua_settop(state, 0);
        })
    };
    ran.map_err(|error| BridgeError::new(error.to_string()))?;
    result
}

/// One value on its way out. What it holds is counted because a few tables that share their parts
/// can stand for more than any memory holds.
#[derive(Default)]
struct Conversion<'l> {
    lua: Option<&'l Lua>,
    /// The tables around the current value.
    above: Vec<*const c_void>,
    values: usize,
    bytes: usize,
}

impl Conversion<'_> {
    fn count_value(&mut self) -> Result<(), BridgeError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(BridgeError::new(format!("there are more than {MAX_VALUES} values in it")));
        }
        if self.values.is_multiple_of(STRETCH)
            && let Some(lua) = self.lua
        {
            watchdog::check(lua).map_err(|passed| BridgeError::new(passed.to_string()))?;
        }
        Ok(())
    }

    fn count_bytes(&mut self, count: usize) -> Result<(), BridgeError> {
        self.bytes += count;
        if self.bytes > MAX_BYTES {
            let message = format!("there are more than {MAX_BYTES} bytes of text in it");
            return Err(BridgeError::new(message));
        }
        Ok(())
    }

    /// # Safety
    /// There is something at `index`, and there are free slots.
    unsafe fn value(&mut self, state: *mut lua_State, index: c_int) -> Result<Value, BridgeError> {
        self.count_value()?;
        // SAFETY: each function is called for the type that it is for.
        unsafe {
            Ok(match ffi::lua_type(state, index) {
                ffi::LUA_TNIL => Value::Null,
                ffi::LUA_TBOOLEAN => Value::Bool(ffi::lua_toboolean(state, index) != 0),
                ffi::LUA_TNUMBER => number(ffi::lua_tonumber(state, index)),
                ffi::LUA_TINTEGER => {
                    number(ffi::lua_tointeger64(state, index, std::ptr::null_mut()) as f64)
                }
                ffi::LUA_TSTRING => {
                    let bytes = text(state, index);
                    self.count_bytes(bytes.len())?;
                    string(bytes)
                }
                ffi::LUA_TTABLE => return self.table(state, index),
                ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(state, index).is_null() => {
                    Value::Null
                }
                ffi::LUA_TBUFFER => {
                    let mut length = 0;
                    let start = ffi::lua_tobuffer(state, index, &mut length);
                    self.count_bytes(length)?;
                    Value::Bytes(match length {
                        0 => Vec::new(),
                        length => slice::from_raw_parts(start.cast::<u8>(), length).to_vec(),
                    })
                }
                other => return Err(stays(&type_name(state, other))),
            })
        }
    }

    /// # Safety
    /// There is a table at `index`, which counts from the bottom, and nothing above it is anybody's.
    unsafe fn table(&mut self, state: *mut lua_State, index: c_int) -> Result<Value, BridgeError> {
        // SAFETY: the table stays on the stack; keys and values are above it and taken off in turn.
        unsafe {
            let address = ffi::lua_topointer(state, index);
            if self.above.contains(&address) {
                return Err(BridgeError::new("the table contains itself"));
            }
            if self.above.len() >= MAX_DEPTH || ffi::lua_checkstack(state, SLOTS) == 0 {
                let message = format!("tables are nested more than {MAX_DEPTH} deep");
                return Err(BridgeError::new(message));
            }
            self.above.push(address);
            let top = ffi::lua_gettop(state);
            let mut parts = Parts::default();
            let mut at = ffi::lua_rawiter(state, index, 0);
            while at >= 0 {
                let entry = self.entry(state, &mut parts, top + 1);
                ffi::lua_settop(state, top);
                entry?;
                at = ffi::lua_rawiter(state, index, at);
            }
            self.above.pop();
            match parts.finish()? {
                Value::Map(map) if map.is_empty() && self.is_array(state, index) => {
                    Ok(Value::List(Vec::new()))
                }
                value => Ok(value),
            }
        }
    }

    /// # Safety
    /// There is a key at `index`, and its value after it.
    unsafe fn entry(
        &mut self,
        state: *mut lua_State,
        parts: &mut Parts,
        index: c_int,
    ) -> Result<(), BridgeError> {
        // SAFETY: as said; the key is not changed.
        unsafe {
            match ffi::lua_type(state, index) {
                ffi::LUA_TSTRING => {
                    let name = str::from_utf8(text(state, index))
                        .map_err(|_| BridgeError::new("a key is not valid UTF-8"))?;
                    self.count_bytes(name.len())?;
                    let value = self.value(state, index + 1).map_err(|e| e.under(name))?;
                    parts.map.insert(name.to_owned(), value);
                }
                ffi::LUA_TNUMBER => {
                    let position = position(ffi::lua_tonumber(state, index)).ok_or_else(|| {
                        BridgeError::new("a number that is no list position is used as a key")
                    })?;
                    let value = self.value(state, index + 1).map_err(|e| e.under(position))?;
                    if position == parts.list.len() + 1 {
                        parts.list.push(value);
                    } else {
                        parts.scattered.push((position, value));
                    }
                }
                other => {
                    let name = type_name(state, other);
                    return Err(BridgeError::new(format!("a {name} is used as a key")));
                }
            }
            Ok(())
        }
    }

    /// # Safety
    /// There is a table at `index`.
    unsafe fn is_array(&self, state: *mut lua_State, index: c_int) -> bool {
        // SAFETY: it only reads.
        let metatable = unsafe { ffi::lua_getmetatablepointer(state, index) };
        !metatable.is_null()
            && self.lua.is_some_and(|lua| {
                bridge::array_metatable(lua).is_ok_and(|array| array.to_pointer() == metatable)
            })
    }
}

/// # Safety
/// There is a string at `index`, which must stay on the stack for as long as its bytes are looked at.
unsafe fn text<'s>(state: *mut lua_State, index: c_int) -> &'s [u8] {
    let mut length = 0;
    // SAFETY: of a string this gives where it is, and how long.
    unsafe {
        let start = ffi::lua_tolstring(state, index, &mut length);
        if start.is_null() { &[] } else { slice::from_raw_parts(start.cast::<u8>(), length) }
    }
}

/// # Safety
/// `kind` is a type of Lua's.
unsafe fn type_name(state: *mut lua_State, kind: c_int) -> String {
    // SAFETY: the names of types are static.
    unsafe { CStr::from_ptr(ffi::lua_typename(state, kind)) }.to_string_lossy().into_owned()
}

fn stays(name: &str) -> BridgeError {
    BridgeError::new(format!("a {name} cannot leave the plugin as a value"))
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

/// Every Luau number is a double, also where mlua gives a whole one as an integer.
fn number(n: f64) -> Value {
    if n.fract() == 0.0 && n.abs() <= MAX_SAFE_INTEGER as f64 {
        Value::Int(n as i64)
    } else {
        Value::Float(n)
    }
}

fn string(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => Value::Bytes(bytes.to_vec()),
    }
}

/// A key as a list position, from 1.
fn position(key: f64) -> Option<usize> {
    (key.fract() == 0.0 && key >= 1.0 && key <= MAX_SAFE_INTEGER as f64).then_some(key as usize)
}
