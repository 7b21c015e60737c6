//! Between what scripts pass to `ctx.db` and what the tables take.

use mlua::{Lua, Table, Value};

use crate::error::{Error, code};
use crate::lua::{Failure, bridge};
use crate::store::DbError;
use crate::value::{Map, Value as HostValue};

/// A database error as scripts see it, with `kind`, `table` and `columns`. Clients see `unexpected`, unless it
/// can only be a value of theirs that is wrong.
pub(in crate::ctx) fn failure(error: DbError) -> mlua::Error {
    let columns: Vec<HostValue> = error.columns.iter().map(|c| c.as_str().into()).collect();
    let described = match &error.for_client {
        Some(message) => Error::new(code::INVALID_ARGUMENTS, message),
        None => Error::unexpected(&error.message),
    };
    let described = described.with("table", error.table.clone()).with("columns", columns);
    Failure { error: described, kind: Some(error.kind.as_str().to_owned()) }.into_lua_error()
}

pub(super) fn host(value: &Value) -> mlua::Result<HostValue> {
    bridge::from_lua(value).map_err(|error| Failure::misuse(format!("ctx.db: {error}")))
}

pub(super) fn map(value: &Value, what: &str) -> mlua::Result<Map> {
    match host(value)? {
        HostValue::Map(map) => Ok(map),
        // Lua has one empty table.
        HostValue::List(list) if list.is_empty() => Ok(Map::new()),
        other => {
            let found = other.type_name();
            Err(Failure::misuse(format!(
                "ctx.db: {what} must be a table of columns, not a {found}"
            )))
        }
    }
}

pub(super) fn list(value: &Value, what: &str) -> mlua::Result<Vec<HostValue>> {
    match host(value)? {
        HostValue::List(list) => Ok(list),
        HostValue::Map(map) if map.is_empty() => Ok(Vec::new()),
        other => {
            let found = other.type_name();
            Err(Failure::misuse(format!("ctx.db: {what} must be a list, not a {found}")))
        }
    }
}

/// Names of columns: one, or a list of them.
pub(super) fn names(values: &[Value], what: &str) -> mlua::Result<Vec<String>> {
    let wrong = || Failure::misuse(format!("ctx.db: {what} takes names of columns"));
    let text = |value: HostValue| match value {
        HostValue::String(name) => Ok(name),
        _ => Err(wrong()),
    };
    match values {
        [table @ Value::Table(_)] => list(table, what)?.into_iter().map(text).collect(),
        names => names.iter().map(|name| text(host(name)?)).collect(),
    }
}

pub(super) fn rows(value: &Value) -> mlua::Result<Vec<Map>> {
    let rows = list(value, "the rows")?;
    rows.into_iter()
        .map(|row| match row {
            HostValue::Map(row) => Ok(row),
            HostValue::List(list) if list.is_empty() => Ok(Map::new()),
            other => {
                let found = other.type_name();
                Err(Failure::misuse(format!(
                    "ctx.db: a row must be a table of columns, not a {found}"
                )))
            }
        })
        .collect()
}

/// The values for the `?` of a statement.
pub(super) fn parameters(values: &Value) -> mlua::Result<Vec<HostValue>> {
    match values {
        Value::Nil => Ok(Vec::new()),
        values => list(values, "the values of a statement"),
    }
}

/// The rows that an update or delete is about. Leaving it out is more likely a mistake than a wish
/// to change every row.
pub(super) fn condition(value: &Value) -> mlua::Result<Map> {
    if value.is_nil() {
        return Err(Failure::misuse("ctx.db: say which rows: a table of values, or {} for all"));
    }
    map(value, "the condition")
}

/// The options of a call, of which only those are known.
pub(super) fn options(value: &Value, known: &[&str]) -> mlua::Result<Map> {
    if value.is_nil() {
        return Ok(Map::new());
    }
    let options = map(value, "the options")?;
    match options.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            let known = known.join(", ");
            Err(Failure::misuse(format!("ctx.db: unknown option \"{key}\"; there is {known}")))
        }
        None => Ok(options),
    }
}

pub(super) fn returning(value: &Value) -> mlua::Result<bool> {
    match options(value, &["returning"])?.get("returning") {
        None | Some(HostValue::Bool(false)) => Ok(false),
        Some(HostValue::Bool(true)) => Ok(true),
        Some(_) => Err(Failure::misuse("ctx.db: returning is true or false")),
    }
}

pub(super) fn whole(count: f64, what: &str) -> mlua::Result<u64> {
    if count.fract() == 0.0 && (0.0..=1e15).contains(&count) {
        return Ok(count as u64);
    }
    Err(Failure::misuse(format!("ctx.db: {what} must be a whole number from 0, not {count}")))
}

/// Rows of the database, which were counted when they were read.
pub(super) fn rows_to_lua(lua: &Lua, rows: &[Map]) -> mlua::Result<Value> {
    bridge::without_limit(lua, || {
        let table = lua.create_table_with_capacity(rows.len(), 0)?;
        for (i, row) in rows.iter().enumerate() {
            table.raw_set(i + 1, bridge::map_to_lua(lua, row)?)?;
        }
        Ok(Value::Table(table))
    })
}

/// One such row.
pub(super) fn row_to_lua(lua: &Lua, row: &Map) -> mlua::Result<Table> {
    bridge::without_limit(lua, || bridge::map_to_lua(lua, row))
}
