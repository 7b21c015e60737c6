//! Puts values of the host into a VM, straight onto Lua's stack: a table of any size is one step into the VM
//! and not one for each of its entries.

use std::ffi::{c_char, c_int};
use std::marker::PhantomData;
use std::{fmt, ptr};

use mlua::ffi::{self, lua_State};
use mlua::{Lua, Table, Value as LuaValue};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::value::{MAX_SAFE_INTEGER, Map, Value};

/// The most that one entry has on the stack: its table, its key and its value.
const SLOTS: c_int = 4;

/// Copies a value into the VM.
///
/// # Errors
/// When the VM's memory limit is reached.
pub fn value(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    Ok(match value {
        Value::Null => LuaValue::NULL,
        Value::Bool(b) => LuaValue::Boolean(*b),
        Value::Int(i) if is_exact(*i) => LuaValue::Number(*i as f64),
        Value::Int(i) => LuaValue::String(lua.create_string(i.to_string())?),
        Value::Float(f) => LuaValue::Number(*f),
        Value::String(s) => LuaValue::String(lua.create_string(s)?),
        Value::Bytes(b) => LuaValue::String(lua.create_string(b)?),
        Value::List(list) => LuaValue::Table(on_stack(lua, |stack| stack.list(list))?),
        Value::Map(map) => LuaValue::Table(on_stack(lua, |stack| stack.map(map))?),
    })
}

/// Copies an object into the VM.
///
/// # Errors
/// When the VM's memory limit is reached.
pub fn map(lua: &Lua, map: &Map) -> mlua::Result<Table> {
    on_stack(lua, |stack| stack.map(map))
}

/// Makes a table of about `size` fields, which `fill` puts in.
///
/// # Errors
/// When the VM's memory limit is reached.
pub fn table(lua: &Lua, size: usize, fill: impl FnOnce(&Fields<'_>)) -> mlua::Result<Table> {
    on_stack(lua, |stack| stack.table(size, fill))
}

/// Reads JSON into the VM.
///
/// # Errors
/// When the VM's memory limit is reached; within, when it is not JSON.
pub fn json(lua: &Lua, text: &[u8]) -> mlua::Result<serde_json::Result<LuaValue>> {
    let mut read = Ok(());
    // SAFETY: as in `on_stack`. What is half read is taken off the stack again.
    let value = unsafe {
        lua.exec_raw::<LuaValue>((), |state| {
            let stack = Stack { state, scope: PhantomData };
            stack.reserve();
            let mut deserializer = serde_json::Deserializer::from_slice(text);
            read = Json(&stack).deserialize(&mut deserializer).and_then(|()| deserializer.end());
            if read.is_err() {
                ffi::lua_settop(state, 0);
                ffi::lua_pushnil(state);
            }
        })
    }?;
    Ok(read.map(|()| value))
}

/// `push` leaves one table on the stack.
fn on_stack(lua: &Lua, push: impl FnOnce(&Stack<'_>)) -> mlua::Result<Table> {
    // SAFETY: mlua runs it in a protected call and gives the state of the running coroutine. `Stack` keeps
    // to its rules, and the closures that use it own nothing that an error of Lua's would have to drop.
    unsafe { lua.exec_raw((), |state| push(&Stack { state, scope: PhantomData })) }
}

fn is_exact(i: i64) -> bool {
    i.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs()
}

fn capacity(count: usize) -> c_int {
    c_int::try_from(count).unwrap_or(c_int::MAX)
}

/// Lua's stack, while a table is made on it.
struct Stack<'s> {
    state: *mut lua_State,
    scope: PhantomData<&'s ()>,
}

impl Stack<'_> {
    fn reserve(&self) {
        // SAFETY: the state is alive; without room this raises, and the protected call ends.
        unsafe { ffi::luaL_checkstack(self.state, SLOTS, c"a value is nested too deep".as_ptr()) };
    }

    fn bytes(&self, bytes: &[u8]) {
        // SAFETY: Lua copies as many bytes as there are. The caller has reserved a slot.
        unsafe { ffi::lua_pushlstring(self.state, bytes.as_ptr().cast::<c_char>(), bytes.len()) };
    }

    fn number(&self, number: f64) {
        // SAFETY: the caller has reserved a slot.
        unsafe { ffi::lua_pushnumber(self.state, number) };
    }

    fn value(&self, value: &Value) {
        match value {
            // SAFETY: as above. It is what mlua takes for null.
            Value::Null => unsafe { ffi::lua_pushlightuserdata(self.state, ptr::null_mut()) },
            // SAFETY: as above.
            Value::Bool(b) => unsafe { ffi::lua_pushboolean(self.state, c_int::from(*b)) },
            Value::Int(i) if is_exact(*i) => self.number(*i as f64),
            Value::Int(i) => {
                let mut digits = [0; 20];
                self.bytes(decimal(*i, &mut digits));
            }
            Value::Float(f) => self.number(*f),
            Value::String(s) => self.bytes(s.as_bytes()),
            Value::Bytes(b) => self.bytes(b),
            Value::List(list) => self.list(list),
            Value::Map(map) => self.map(map),
        }
    }

    fn list(&self, list: &[Value]) {
        self.reserve();
        // SAFETY: the slots are reserved; each value is taken off before the next one is put on.
        unsafe { ffi::lua_createtable(self.state, capacity(list.len()), 0) };
        for (value, i) in list.iter().zip(1..) {
            self.value(value);
            // SAFETY: the table is below the value.
            unsafe { ffi::lua_rawseti(self.state, -2, i) };
        }
    }

    fn map(&self, map: &Map) {
        self.table(map.len(), |fields| {
            for (key, value) in map {
                fields.value(key, value);
            }
        });
    }

    fn table(&self, size: usize, fill: impl FnOnce(&Fields<'_>)) {
        self.reserve();
        // SAFETY: the slots are reserved, and each field takes its key and value off again.
        unsafe { ffi::lua_createtable(self.state, 0, capacity(size)) };
        fill(&Fields(self));
    }
}

/// The fields of the table on top of the stack.
pub struct Fields<'s>(&'s Stack<'s>);

impl Fields<'_> {
    fn field(&self, key: &str, push: impl FnOnce()) {
        self.0.bytes(key.as_bytes());
        push();
        // SAFETY: the table is below the key and the value.
        unsafe { ffi::lua_rawset(self.0.state, -3) };
    }

    /// Sets a field to a text, or to bytes.
    pub fn bytes(&self, key: &str, bytes: impl AsRef<[u8]>) {
        self.field(key, || self.0.bytes(bytes.as_ref()));
    }

    /// Sets a field to a value.
    pub fn value(&self, key: &str, value: &Value) {
        self.field(key, || self.0.value(value));
    }

    /// Sets a field to a table of about `size` fields.
    pub fn table(&self, key: &str, size: usize, fill: impl FnOnce(&Fields<'_>)) {
        self.field(key, || self.0.table(size, fill));
    }
}

/// Puts a value that is being read on the stack.
struct Json<'a, 's>(&'a Stack<'s>);

impl<'de> DeserializeSeed<'de> for Json<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.value(&Value::Null);
        Ok(())
    }

    fn visit_bool<E>(self, b: bool) -> Result<(), E> {
        self.0.value(&Value::Bool(b));
        Ok(())
    }

    fn visit_i64<E>(self, i: i64) -> Result<(), E> {
        self.0.value(&Value::Int(i));
        Ok(())
    }

    fn visit_u64<E>(self, u: u64) -> Result<(), E> {
        match i64::try_from(u) {
            Ok(i) => self.0.value(&Value::Int(i)),
            Err(_) => self.0.number(u as f64),
        }
        Ok(())
    }

    fn visit_f64<E>(self, f: f64) -> Result<(), E> {
        self.0.number(f);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.bytes(text.as_bytes());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Stack { state, .. } = *self.0;
        self.0.reserve();
        // SAFETY: the slots are reserved; each value is taken off before the next one is put on.
        unsafe { ffi::lua_createtable(state, 0, 0) };
        let mut i = 1;
        while list.next_element_seed(Json(self.0))?.is_some() {
            // SAFETY: the table is below the value.
            unsafe { ffi::lua_rawseti(state, -2, i) };
            i += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Stack { state, .. } = *self.0;
        self.0.reserve();
        // SAFETY: the slots are reserved; each key and value is taken off before the next one is put on.
        unsafe { ffi::lua_createtable(state, 0, 0) };
        // A key is a text, and put on the stack like one.
        while map.next_key_seed(Json(self.0))?.is_some() {
            map.next_value_seed(Json(self.0))?;
            // SAFETY: the table is below the key and the value.
            unsafe { ffi::lua_rawset(state, -3) };
        }
        Ok(())
    }
}

/// The digits of a number, without the heap: an error of Lua's drops nothing.
fn decimal(number: i64, digits: &mut [u8; 20]) -> &[u8] {
    let mut left = number.unsigned_abs();
    let mut at = digits.len();
    loop {
        at -= 1;
        // A digit is less than 10.
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    &digits[at..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lua::bridge;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).prop_map(Value::Int),
            any::<f64>()
                .prop_filter("a number", |f| f.is_finite() && f.fract() != 0.0)
                .prop_map(Value::Float),
            ".{0,20}".prop_map(Value::String),
            Just(Value::Bytes(vec![0xff, 0])),
            Just(Value::Null),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..8).prop_map(Value::List),
                prop::collection::vec((".{0,8}", inner), 0..8)
                    .prop_map(|entries| Value::Map(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(given in values()) {
            let lua = Lua::new();
            let inside = value(&lua, &given).unwrap();
            prop_assert_eq!(bridge::from_lua(&inside).unwrap(), given);
        }

        #[test]
        fn json_is_the_same_as_a_value(given in values()) {
            let text = serde_json::to_string(&given);
            // Bytes that are no text have none.
            prop_assume!(text.is_ok());
            let lua = Lua::new();
            let inside = json(&lua, text.unwrap().as_bytes()).unwrap().unwrap();
            prop_assert_eq!(bridge::from_lua(&inside).unwrap(), given);
        }

        #[test]
        fn digits_are_those_of_the_number(number in any::<i64>()) {
            let (mut digits, expected) = ([0; 20], number.to_string());
            prop_assert_eq!(decimal(number, &mut digits), expected.as_bytes());
        }
    }

    #[test]
    fn what_is_no_json_leaves_nothing() {
        let lua = Lua::new();
        for wrong in [
            "",
            "{",
            "[1,",
            "[1 2]",
            "{\"a\" 1}",
            "{} {}",
            "nul",
            "\"\\ud800\"",
            "{1:2}",
            "\"\u{1}\"",
        ] {
            assert!(json(&lua, wrong.as_bytes()).unwrap().is_err(), "{wrong}");
        }
        assert!(json(&lua, &[b'"', 0xff, b'"']).unwrap().is_err());
        assert!(json(&lua, "[".repeat(10_000).as_bytes()).unwrap().is_err());
        for (text, expected) in
            [("7", 7.0), ("18446744073709551615", 1.8446744073709552e19), ("-0.5", -0.5)]
        {
            let value = json(&lua, text.as_bytes()).unwrap().unwrap();
            assert_eq!(value.as_f64().or(value.as_i64().map(|i| i as f64)), Some(expected));
        }
        let big = json(&lua, b"[9007199254740993, -9007199254740993]").unwrap().unwrap();
        let big: Vec<String> =
            big.as_table().unwrap().sequence_values().map(Result::unwrap).collect();
        assert_eq!(big, ["9007199254740993", "-9007199254740993"]);
        let last = json(&lua, b"{\"a\":1,\"a\":2}").unwrap().unwrap();
        assert_eq!(last.as_table().unwrap().get::<i64>("a").unwrap(), 2);
    }

    #[test]
    fn the_ends_of_the_range() {
        for number in [i64::MIN, i64::MAX, 0, -1] {
            let mut digits = [0; 20];
            assert_eq!(decimal(number, &mut digits), number.to_string().as_bytes());
        }
        let lua = Lua::new();
        let list = Value::List(vec![Value::Int(i64::MIN), Value::Int(MAX_SAFE_INTEGER)]);
        let pushed = value(&lua, &list).unwrap();
        let pushed = pushed.as_table().unwrap();
        assert_eq!(pushed.get::<String>(1).unwrap(), i64::MIN.to_string());
        assert_eq!(pushed.get::<f64>(2).unwrap(), MAX_SAFE_INTEGER as f64);
    }

    #[test]
    fn too_much_is_an_error_and_not_the_end() {
        let lua = Lua::new();
        lua.set_memory_limit(lua.used_memory() + 100_000).unwrap();
        let large = Value::List((0..100_000).map(Value::Int).collect());
        assert!(matches!(value(&lua, &large), Err(mlua::Error::MemoryError(_))));
        let small = Value::List(vec![Value::from("x")]);
        assert_eq!(bridge::from_lua(&value(&lua, &small).unwrap()).unwrap(), small);
        let mut deep = Value::Null;
        for _ in 0..5_000 {
            deep = Value::List(vec![deep]);
        }
        lua.set_memory_limit(0).unwrap();
        // Either is right; what counts is that it ends.
        drop(value(&lua, &deep));
    }
}
