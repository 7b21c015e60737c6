//! `ctx.db`: the plugin's own tables.

use std::sync::Arc;

use mlua::{Lua, LuaString, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value};

use super::{CallRef, Ctx};
use crate::error::Error;
use crate::extension::database::{Query, Tables};
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge};
use crate::store::{DbError, Session};
use crate::value::{Map, Value as HostValue};

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("db", |_, this| {
        let tables = this
            .call()?
            .generation
            .parts
            .get::<Tables>()
            .ok_or_else(|| Failure::misuse("ctx.db: the plugin declares no tables"))?;
        Ok(Db { call: this.0.clone(), tables })
    });
}

#[derive(Clone)]
struct Db {
    call: CallRef,
    tables: Arc<Tables>,
}

impl Db {
    fn session(&self, lua: &Lua) -> mlua::Result<Session> {
        check_can_wait(lua, "ctx.db")?;
        Ok(self.call.get()?.session.clone())
    }
}

impl UserData for Db {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_method("from", |_, this, table: LuaString| {
            let query = this.tables.from(&table.to_str()?).map_err(failure)?;
            Ok(Rows { db: this.clone(), query })
        });
        registry.add_async_method("insert", |lua, this, (table, row): (LuaString, Value)| {
            let db = this.clone();
            async move {
                let row = map(&row, "the row")?;
                let session = db.session(&lua)?;
                let made = db.tables.insert(&session, &table.to_str()?, &row).await;
                bridge::map_to_lua(&lua, &made.map_err(failure)?)
            }
        });
        type UpdateArgs = (LuaString, Value, Value, Value);
        registry.add_async_method("update", |lua, this, args: UpdateArgs| {
            let db = this.clone();
            async move {
                let (table, changes, filter, options) = args;
                let table = table.to_str()?;
                let (changes, filter) = (map(&changes, "the changes")?, condition(&filter)?);
                let session = db.session(&lua)?;
                if returning(&options)? {
                    let rows =
                        db.tables.update_returning(&session, &table, &changes, &filter).await;
                    return rows_to_lua(&lua, rows.map_err(failure)?);
                }
                let count = db.tables.update(&session, &table, &changes, &filter).await;
                Ok(Value::Number(count.map_err(failure)? as f64))
            }
        });
        registry.add_async_method("delete", |lua, this, (table, filter): (LuaString, Value)| {
            let db = this.clone();
            async move {
                let filter = condition(&filter)?;
                let session = db.session(&lua)?;
                let count = db.tables.delete(&session, &table.to_str()?, &filter).await;
                Ok(count.map_err(failure)? as f64)
            }
        });
    }
}

/// A query and where to run it. Every method gives a new one.
#[derive(Clone)]
struct Rows {
    db: Db,
    query: Query,
}

impl Rows {
    fn with(&self, query: Result<Query, DbError>) -> mlua::Result<Rows> {
        Ok(Rows { db: self.db.clone(), query: query.map_err(failure)? })
    }
}

impl UserData for Rows {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_method("where", |_, this, args: (Value, Value, Option<Value>)| match args {
            (table @ Value::Table(_), Value::Nil, None) => {
                this.with(this.query.where_eq(&map(&table, "the condition")?))
            }
            (Value::String(column), value, None) => {
                this.with(this.query.where_op(&column.to_str()?, "=", &host(&value)?))
            }
            (Value::String(column), Value::String(op), Some(value)) => {
                this.with(this.query.where_op(&column.to_str()?, &op.to_str()?, &host(&value)?))
            }
            _ => Err(Failure::misuse(
                "where takes a table of values, or a column, an operator and a value",
            )),
        });
        registry.add_method("whereNull", |_, this, column: LuaString| {
            this.with(this.query.where_null(&column.to_str()?, true))
        });
        registry.add_method("whereNotNull", |_, this, column: LuaString| {
            this.with(this.query.where_null(&column.to_str()?, false))
        });
        registry.add_method("whereIn", |_, this, (column, list): (LuaString, Value)| {
            let list = match host(&list)? {
                HostValue::List(list) => list,
                HostValue::Map(map) if map.is_empty() => Vec::new(),
                other => {
                    let found = other.type_name();
                    return Err(Failure::misuse(format!("whereIn takes a list, not a {found}")));
                }
            };
            this.with(this.query.where_in(&column.to_str()?, &list))
        });
        registry.add_method(
            "orderBy",
            |_, this, (column, direction): (LuaString, Option<LuaString>)| {
                let direction = direction.map(|d| d.to_string_lossy());
                let direction = direction.as_deref().unwrap_or("asc");
                this.with(this.query.order_by(&column.to_str()?, direction))
            },
        );
        registry.add_method("limit", |_, this, count: f64| {
            this.with(Ok(this.query.limit(whole(count, "limit")?)))
        });
        registry.add_method("offset", |_, this, count: f64| {
            this.with(Ok(this.query.offset(whole(count, "offset")?)))
        });
        registry.add_method("select", |_, this, columns: Vec<String>| {
            this.with(this.query.select(&columns))
        });
        registry.add_async_method("all", |lua, this, ()| {
            let this = this.clone();
            async move {
                let rows = this.query.all(&this.db.session(&lua)?).await.map_err(failure)?;
                rows_to_lua(&lua, rows)
            }
        });
        registry.add_async_method("first", |lua, this, ()| {
            let this = this.clone();
            async move {
                let row = this.query.first(&this.db.session(&lua)?).await.map_err(failure)?;
                row.map(|row| bridge::map_to_lua(&lua, &row)).transpose()
            }
        });
        registry.add_async_method("count", |lua, this, ()| {
            let this = this.clone();
            async move {
                let count = this.query.count(&this.db.session(&lua)?).await.map_err(failure)?;
                Ok(count as f64)
            }
        });
        registry.add_async_method("exists", |lua, this, ()| {
            let this = this.clone();
            async move { this.query.exists(&this.db.session(&lua)?).await.map_err(failure) }
        });
        registry.add_async_method("sum", |lua, this, column: LuaString| {
            let this = this.clone();
            async move {
                let sum = this.query.sum(&this.db.session(&lua)?, &column.to_str()?).await;
                sum.map_err(failure)?.map(|sum| bridge::to_lua(&lua, &sum)).transpose()
            }
        });
    }
}

/// A database error as scripts see it, with `kind`, `table` and `columns`.
fn failure(error: DbError) -> mlua::Error {
    let columns: Vec<HostValue> = error.columns.iter().map(|c| c.as_str().into()).collect();
    let described = Error::unexpected(&error.message)
        .with("table", error.table.clone())
        .with("columns", columns);
    Failure { error: described, kind: Some(error.kind.as_str().to_owned()) }.into_lua_error()
}

fn host(value: &Value) -> mlua::Result<HostValue> {
    bridge::from_lua(value).map_err(|error| Failure::misuse(format!("ctx.db: {error}")))
}

fn map(value: &Value, what: &str) -> mlua::Result<Map> {
    match host(value)? {
        HostValue::Map(map) => Ok(map),
        other => {
            let found = other.type_name();
            Err(Failure::misuse(format!(
                "ctx.db: {what} must be a table of columns, not a {found}"
            )))
        }
    }
}

/// The rows that an update or delete is about. Leaving it out is more likely a mistake than a wish
/// to change every row.
fn condition(value: &Value) -> mlua::Result<Map> {
    if value.is_nil() {
        return Err(Failure::misuse("ctx.db: say which rows: a table of values, or {} for all"));
    }
    map(value, "the condition")
}

fn returning(options: &Value) -> mlua::Result<bool> {
    if options.is_nil() {
        return Ok(false);
    }
    Ok(map(options, "the options")?.get("returning").is_some_and(|v| *v == HostValue::Bool(true)))
}

fn whole(count: f64, what: &str) -> mlua::Result<u64> {
    if count.fract() == 0.0 && (0.0..=1e15).contains(&count) {
        return Ok(count as u64);
    }
    Err(Failure::misuse(format!("ctx.db: {what} must be a whole number from 0, not {count}")))
}

fn rows_to_lua(lua: &Lua, rows: Vec<Map>) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(rows.len(), 0)?;
    for (i, row) in rows.iter().enumerate() {
        table.raw_set(i + 1, bridge::map_to_lua(lua, row)?)?;
    }
    Ok(Value::Table(table))
}
