//! Queries as scripts build and run them.

use mlua::{Lua, LuaString, UserData, UserDataMethods, UserDataRegistry, Value, Variadic};

use super::Db;
use super::values::{failure, host, list, map, names, options, row_to_lua, rows_to_lua, whole};
use crate::extension::database::{Aggregate, Page, Query};
use crate::lua::{Failure, bridge};
use crate::store::DbError;
use crate::value::{Map, Value as HostValue};

/// A query and where to run it. Every method gives a new one.
#[derive(Clone)]
pub(super) struct Rows {
    pub db: Db,
    pub query: Query,
}

impl Rows {
    fn with(&self, query: Result<Query, DbError>) -> mlua::Result<Rows> {
        Ok(Rows { db: self.db.clone(), query: query.map_err(failure)? })
    }
}

impl UserData for Rows {
    fn register(registry: &mut UserDataRegistry<Self>) {
        register_building(registry);
        register_running(registry);
    }
}

fn register_building(registry: &mut UserDataRegistry<Rows>) {
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
    registry.add_method("whereIn", |_, this, (column, values): (LuaString, Value)| {
        let values = list(&values, "what whereIn takes")?;
        this.with(this.query.where_in(&column.to_str()?, &values))
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
    registry.add_method("select", |_, this, columns: Variadic<Value>| {
        this.with(this.query.select(&names(&columns, "select")?))
    });
    registry.add_method("groupBy", |_, this, columns: Variadic<Value>| {
        this.with(this.query.group_by(&names(&columns, "groupBy")?))
    });
    registry.add_method("forUpdate", |_, this, ()| this.with(Ok(this.query.for_update())));
    registry.add_method("with", |_, this, relations: Variadic<Value>| {
        let mut query = this.query.clone();
        for relation in names(&relations, "with")? {
            query = query.with_related(&relation).map_err(failure)?;
        }
        this.with(Ok(query))
    });
}

fn register_running(registry: &mut UserDataRegistry<Rows>) {
    registry.add_async_method("all", |lua, this, ()| {
        let this = this.clone();
        async move {
            let rows = this.query.all(&this.db.session(&lua).await?).await.map_err(failure)?;
            rows_to_lua(&lua, &rows)
        }
    });
    registry.add_async_method("first", |lua, this, ()| {
        let this = this.clone();
        async move {
            let row = this.query.first(&this.db.session(&lua).await?).await.map_err(failure)?;
            row.map(|row| row_to_lua(&lua, &row)).transpose()
        }
    });
    registry.add_async_method("count", |lua, this, ()| {
        let this = this.clone();
        async move {
            let count = this.query.count(&this.db.session(&lua).await?).await.map_err(failure)?;
            Ok(count as f64)
        }
    });
    registry.add_async_method("exists", |lua, this, ()| {
        let this = this.clone();
        async move { this.query.exists(&this.db.session(&lua).await?).await.map_err(failure) }
    });
    for (name, aggregate) in Aggregate::NAMES {
        if aggregate == Aggregate::Count {
            continue;
        }
        registry.add_async_method(name, move |lua, this, column: LuaString| {
            let this = this.clone();
            async move {
                let session = this.db.session(&lua).await?;
                let value = this.query.value_of(&session, aggregate, &column.to_str()?).await;
                match value.map_err(failure)? {
                    HostValue::Null => Ok(Value::Nil),
                    value => bridge::to_lua(&lua, &value),
                }
            }
        });
    }
    registry.add_async_method("aggregate", |lua, this, wanted: Value| {
        let this = this.clone();
        async move {
            let wanted = map(&wanted, "what is asked for")?;
            let session = this.db.session(&lua).await?;
            let rows = this.query.aggregate(&session, &wanted).await.map_err(failure)?;
            if this.query.is_grouped() {
                return rows_to_lua(&lua, &rows);
            }
            let row = rows.into_iter().next().unwrap_or_default();
            Ok(Value::Table(row_to_lua(&lua, &row)?))
        }
    });
    registry.add_async_method("distinct", |lua, this, column: Option<LuaString>| {
        let this = this.clone();
        async move {
            let Some(column) = column else {
                return mlua::IntoLua::into_lua(this.with(this.query.distinct())?, &lua);
            };
            let session = this.db.session(&lua).await?;
            let values = this.query.distinct_values(&session, &column.to_str()?).await;
            bridge::to_lua(&lua, &HostValue::List(values.map_err(failure)?))
        }
    });
    registry.add_async_method("page", |lua, this, given: Value| {
        let this = this.clone();
        async move {
            let (first, after) = page_of(&options(&given, &["first", "after"])?)?;
            let session = this.db.session(&lua).await?;
            let page = this.query.page(&session, first, after.as_deref()).await;
            page_to_lua(&lua, &page.map_err(failure)?)
        }
    });
}

fn page_of(options: &Map) -> mlua::Result<(u64, Option<String>)> {
    let first = match options.get("first") {
        Some(HostValue::Int(first)) => whole(*first as f64, "first")?,
        Some(HostValue::Float(first)) => whole(*first, "first")?,
        _ => return Err(Failure::misuse("page takes { first = 20, after = cursor }")),
    };
    match options.get("after") {
        None | Some(HostValue::Null) => Ok((first, None)),
        Some(HostValue::String(after)) => Ok((first, Some(after.clone()))),
        Some(other) => {
            let found = other.type_name();
            Err(Failure::misuse(format!("page: after is a cursor, not a {found}")))
        }
    }
}

/// The shape of a Relay connection, with the rows once more as a plain list.
fn page_to_lua(lua: &Lua, page: &Page) -> mlua::Result<Value> {
    let rows = lua.create_table_with_capacity(page.rows.len(), 0)?;
    let edges = lua.create_table_with_capacity(page.rows.len(), 0)?;
    for (i, (row, cursor)) in page.rows.iter().zip(&page.cursors).enumerate() {
        let row = row_to_lua(lua, row)?;
        let edge = lua.create_table()?;
        edge.raw_set("node", &row)?;
        edge.raw_set("cursor", cursor.as_str())?;
        rows.raw_set(i + 1, row)?;
        edges.raw_set(i + 1, edge)?;
    }
    let info = lua.create_table()?;
    info.raw_set("hasNextPage", page.has_next)?;
    info.raw_set("hasPreviousPage", page.has_previous)?;
    info.raw_set("startCursor", page.cursors.first().map(String::as_str))?;
    info.raw_set("endCursor", page.cursors.last().map(String::as_str))?;
    let table = lua.create_table()?;
    table.raw_set("rows", rows)?;
    table.raw_set("edges", edges)?;
    table.raw_set("pageInfo", info)?;
    Ok(Value::Table(table))
}
