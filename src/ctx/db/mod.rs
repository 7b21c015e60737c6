//! `ctx.db`: the plugin's own tables.

mod query;
mod transaction;
mod values;

use std::sync::Arc;

use mlua::{Lua, LuaString, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value};

use self::query::Rows;
use self::transaction::Attempt;
pub(super) use self::values::failure;
use self::values::{condition, map, names, parameters, returning, row_to_lua, rows, rows_to_lua};
use super::{CallRef, Ctx};
use crate::extension::database::Tables;
use crate::extension::database::sql::{self, Scope};
use crate::extension::database::upgrade::Migrating;
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, sandbox};
use crate::permission;
use crate::store::Session;

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("db", |_, this| {
        let call = this.call()?;
        let tables = match (&call.migration, call.generation.parts.get::<Tables>()) {
            (Some(migrating), _) => Source::Migrating(migrating.clone()),
            (None, Some(tables)) => Source::Declared(tables),
            (None, None) => {
                return Err(Failure::misuse("ctx.db: the plugin declares no tables"));
            }
        };
        Ok(Db { call: this.0.clone(), tables, level: None, attempt: None })
    });
}

/// Which tables can be named.
#[derive(Clone)]
enum Source {
    Declared(Arc<Tables>),
    /// Those of the moment: a migration can change them.
    Migrating(Migrating),
}

/// The tables, and the call that uses them.
#[derive(Clone)]
struct Db {
    call: CallRef,
    tables: Source,
    /// The transaction that it was given for; without one it takes part in whatever is open.
    level: Option<u64>,
    attempt: Option<Attempt>,
}

impl Db {
    fn tables(&self) -> Arc<Tables> {
        match &self.tables {
            Source::Declared(tables) => Arc::clone(tables),
            Source::Migrating(migrating) => Arc::new(Tables::new(migrating.set())),
        }
    }

    /// What raw SQL may be about: a migration is the plugin's own, anything else needs a grant.
    fn scope(&self) -> mlua::Result<Scope<'_>> {
        match &self.tables {
            Source::Migrating(migrating) => Ok(Scope::Migration(migrating)),
            Source::Declared(tables) => {
                permission::sql(&self.call.get()?.generation)
                    .map_err(|error| Failure::new(error).into_lua_error())?;
                Ok(Scope::Call(tables))
            }
        }
    }

    async fn session(&self, lua: &Lua) -> mlua::Result<Session> {
        check_can_wait(lua, "ctx.db")?;
        let call = self.call.get()?;
        if self.level.is_some_and(|level| !call.work.is_open(level)) {
            return Err(Failure::misuse(
                "ctx.db: this transaction is over; use what ctx.db:transaction gives to its \
                 function, there",
            ));
        }
        call.work.session().await.map_err(failure)
    }
}

impl UserData for Db {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_method("from", |_, this, table: LuaString| {
            let query = this.tables().from(&table.to_str()?).map_err(failure)?;
            Ok(Rows { db: this.clone(), query })
        });
        registry.add_async_method("insert", |lua, this, (table, row): (LuaString, Value)| {
            let db = this.clone();
            async move {
                let row = map(&row, "the row")?;
                let session = db.session(&lua).await?;
                let made = db.tables().insert(&session, &table.to_str()?, &row).await;
                row_to_lua(&lua, &made.map_err(failure)?)
            }
        });
        registry.add_async_method("insertMany", |lua, this, (table, many): (LuaString, Value)| {
            let db = this.clone();
            async move {
                let many = rows(&many)?;
                let session = db.session(&lua).await?;
                let made = db.tables().insert_many(&session, &table.to_str()?, &many).await;
                rows_to_lua(&lua, &made.map_err(failure)?)
            }
        });
        type UpsertArgs = (LuaString, Value, Value);
        registry.add_async_method("upsert", |lua, this, (table, row, key): UpsertArgs| {
            let db = this.clone();
            async move {
                let row = map(&row, "the row")?;
                let key = names(&[key], "upsert, by which a row is found,")?;
                let session = db.session(&lua).await?;
                let made = db.tables().upsert(&session, &table.to_str()?, &row, &key).await;
                row_to_lua(&lua, &made.map_err(failure)?)
            }
        });
        type UpdateArgs = (LuaString, Value, Value, Value);
        registry.add_async_method("update", |lua, this, args: UpdateArgs| {
            let db = this.clone();
            async move {
                let (table, changes, filter, options) = args;
                let table = table.to_str()?;
                let (changes, filter) = (map(&changes, "the changes")?, condition(&filter)?);
                let session = db.session(&lua).await?;
                if returning(&options)? {
                    let rows =
                        db.tables().update_returning(&session, &table, &changes, &filter).await;
                    return rows_to_lua(&lua, &rows.map_err(failure)?);
                }
                let count = db.tables().update(&session, &table, &changes, &filter).await;
                Ok(Value::Number(count.map_err(failure)? as f64))
            }
        });
        type DeleteArgs = (LuaString, Value, Value);
        registry.add_async_method("delete", |lua, this, args: DeleteArgs| {
            let db = this.clone();
            async move {
                let (table, filter, options) = args;
                let table = table.to_str()?;
                let filter = condition(&filter)?;
                let session = db.session(&lua).await?;
                if returning(&options)? {
                    let rows = db.tables().delete_returning(&session, &table, &filter).await;
                    return rows_to_lua(&lua, &rows.map_err(failure)?);
                }
                let count = db.tables().delete(&session, &table, &filter).await;
                Ok(Value::Number(count.map_err(failure)? as f64))
            }
        });
        registry.add_async_method("query", |lua, this, (text, values): (LuaString, Value)| {
            let db = this.clone();
            async move {
                let values = parameters(&values)?;
                let session = db.session(&lua).await?;
                let rows = sql::query(&session, db.scope()?, &text.to_str()?, &values).await;
                rows_to_lua(&lua, &rows.map_err(failure)?)
            }
        });
        registry.add_async_method("execute", |lua, this, (text, values): (LuaString, Value)| {
            let db = this.clone();
            async move {
                let values = parameters(&values)?;
                let session = db.session(&lua).await?;
                let count = sql::execute(&session, db.scope()?, &text.to_str()?, &values).await;
                Ok(count.map_err(failure)? as f64)
            }
        });
        registry.add_field("transaction", sandbox::Made(transaction::make));
    }
}
