//! Reading a declaration's table: every mistake in it is noted, none ends the reading.

use std::sync::Arc;

use mlua::{Function, Table, Value as LuaValue};

use super::model::Place;
use crate::lua::bridge;
use crate::nearest::nearest;
use crate::value::{MAX_SAFE_INTEGER, Value};

/// One table of a declaration.
pub struct Definition {
    /// What it declares, for messages: `Poll` or `Poll.votes`.
    pub name: String,
    pub table: Table,
    pub place: Option<Place>,
    pub problems: Vec<(Option<Place>, String)>,
    pub handlers: Vec<(Arc<str>, Function)>,
}

impl Definition {
    pub fn new(name: String, table: Table, place: Option<Place>) -> Self {
        Definition { name, table, place, problems: Vec::new(), handlers: Vec::new() }
    }

    /// The definition of something inside this one: a table, or a string that stands for
    /// `{ type = … }`.
    pub fn inner(&mut self, what: &str, value: &LuaValue) -> Option<Definition> {
        let table = match value {
            LuaValue::Table(table) => table.clone(),
            LuaValue::String(_) => {
                let lua = self.table.weak_lua().try_upgrade()?;
                let table = lua.create_table().ok()?;
                table.raw_set("type", value).ok()?;
                table
            }
            other => {
                let found = other.type_name();
                let message = format!(
                    "{what} must be a type such as \"String!\" or a table; it is a {found}"
                );
                self.problems.push((self.place.clone(), message));
                return None;
            }
        };
        Some(Definition::new(what.to_owned(), table, self.place.clone()))
    }

    /// Takes over what was found in an inner definition.
    pub fn absorb(&mut self, mut inner: Definition) {
        self.problems.append(&mut inner.problems);
        self.handlers.append(&mut inner.handlers);
    }

    /// Notes that something about this declaration is wrong.
    pub fn problem(&mut self, message: &str) {
        self.problems.push((self.place.clone(), format!("{}: {message}", self.name)));
    }

    fn wrong(&mut self, key: &str, expected: &str, found: &LuaValue) {
        let found = found.type_name();
        self.problem(&format!("\"{key}\" must be {expected}; it is a {found}"));
    }

    /// The value under a key. A table's own `__index` is not asked.
    pub fn value(&self, key: &str) -> LuaValue {
        // A raw read of a string key cannot fail but for memory, which the next step meets too.
        self.table.raw_get(key).unwrap_or(LuaValue::Nil)
    }

    /// A text, if there is one.
    pub fn string(&mut self, key: &str) -> Option<String> {
        match self.value(key) {
            LuaValue::Nil => None,
            LuaValue::String(s) => match s.to_str() {
                Ok(text) => Some(text.to_owned()),
                Err(_) => {
                    self.problem(&format!("\"{key}\" is not valid UTF-8"));
                    None
                }
            },
            other => {
                self.wrong(key, "a string", &other);
                None
            }
        }
    }

    /// A number, if there is one.
    pub fn number(&mut self, key: &str) -> Option<f64> {
        match self.value(key) {
            LuaValue::Nil => None,
            LuaValue::Integer(i) => Some(i as f64),
            LuaValue::Number(n) => Some(n),
            other => {
                self.wrong(key, "a number", &other);
                None
            }
        }
    }

    /// A whole number from 0, if there is one.
    pub fn count(&mut self, key: &str) -> Option<u64> {
        let number = self.number(key)?;
        if number.fract() == 0.0 && (0.0..=MAX_SAFE_INTEGER as f64).contains(&number) {
            return Some(number as u64);
        }
        self.problem(&format!("\"{key}\" must be a whole number from 0; it is {number}"));
        None
    }

    /// A function, if there is one.
    pub fn function(&mut self, key: &str) -> Option<Function> {
        match self.value(key) {
            LuaValue::Nil => None,
            LuaValue::Function(function) => Some(function),
            other => {
                self.wrong(key, "a function", &other);
                None
            }
        }
    }

    /// A function that the host may call, and the key under which it does: `KIND:NAME`.
    pub fn handler(&mut self, key: &str, kind: &str) -> Option<Arc<str>> {
        let function = self.function(key)?;
        let key: Arc<str> = format!("{kind}:{}", self.name).into();
        self.handlers.push((Arc::clone(&key), function));
        Some(key)
    }

    /// Whether something is so; not if it is not said.
    pub fn flag(&mut self, key: &str) -> bool {
        match self.value(key) {
            LuaValue::Nil => false,
            LuaValue::Boolean(flag) => flag,
            other => {
                self.wrong(key, "a boolean", &other);
                false
            }
        }
    }

    /// A list of texts.
    pub fn strings(&mut self, key: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.list(key) {
            match &item {
                LuaValue::String(text) => texts.push(text.to_string_lossy()),
                other => self.wrong(key, "a list of strings", other),
            }
        }
        texts
    }

    /// Any value that can leave the VM, if there is one. `ctx.null` gives a null.
    pub fn host_value(&mut self, key: &str) -> Option<Value> {
        match self.value(key) {
            LuaValue::Nil => None,
            value => match bridge::from_lua(&value) {
                Ok(value) => Some(value),
                Err(error) => {
                    self.problem(&format!("\"{key}\": {error}"));
                    None
                }
            },
        }
    }

    /// The entries of an inner table, sorted by name: Lua does not keep their order.
    pub fn entries(&mut self, key: &str) -> Vec<(String, LuaValue)> {
        let table = match self.value(key) {
            LuaValue::Nil => return Vec::new(),
            LuaValue::Table(table) => table,
            other => {
                self.wrong(key, "a table", &other);
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for pair in table.pairs::<LuaValue, LuaValue>() {
            match pair {
                Ok((LuaValue::String(name), value)) => {
                    entries.push((name.to_string_lossy(), value));
                }
                Ok((other, _)) => {
                    let found = other.type_name();
                    self.problem(&format!("a name in \"{key}\" must be a string; it is a {found}"));
                }
                Err(error) => self.problem(&format!("\"{key}\": {error}")),
            }
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries
    }

    /// The items of an inner list.
    pub fn list(&mut self, key: &str) -> Vec<LuaValue> {
        match self.value(key) {
            LuaValue::Nil => Vec::new(),
            LuaValue::Table(table) => table.sequence_values().filter_map(Result::ok).collect(),
            other => {
                self.wrong(key, "a list", &other);
                Vec::new()
            }
        }
    }

    /// Notes keys that mean nothing here.
    pub fn finish(&mut self, known: &[&str]) {
        let keys = self.table.pairs::<LuaValue, LuaValue>().filter_map(Result::ok);
        let names: Vec<String> = keys
            .filter_map(|(key, _)| key.to_string().ok())
            .filter(|name| !known.contains(&name.as_str()))
            .collect();
        for name in names {
            self.problem(&match nearest(&name, known.iter().copied()) {
                Some(hint) => format!("\"{name}\" is not known here; did you mean \"{hint}\"?"),
                None => format!("\"{name}\" is not known here; known are {}", known.join(", ")),
            });
        }
    }
}
