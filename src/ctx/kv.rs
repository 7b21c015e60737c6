//! `ctx.kv`: what a plugin keeps under keys, across restarts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mlua::{
    Lua, LuaString, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, UserDataRegistry,
    Value,
};

use super::db::failure;
use super::{CallRef, Ctx};
use crate::lua::waiting::check_can_wait;
use crate::lua::{Failure, bridge};
use crate::store::Session;
use crate::store::kv::{self, Kept};
use crate::value::{MAX_SAFE_INTEGER, Value as HostValue};

/// The longest key, in bytes.
const MAX_KEY: usize = 512;
/// The longest value, in bytes of JSON.
const MAX_VALUE: usize = 1024 * 1024;
const LISTED: u64 = 100;
const MAX_LISTED: f64 = 1_000.0;
/// After so many writes, what is over is removed.
const ROUND: u64 = 1_000;

#[derive(Clone)]
struct Kv(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("kv", |_, this| {
        this.call()?;
        Ok(Kv(this.0.clone()))
    });
}

impl Kv {
    async fn open(&self, lua: &Lua) -> mlua::Result<(Session, String)> {
        check_can_wait(lua, "ctx.kv")?;
        let call = self.0.get()?;
        let session = call.work.session().await.map_err(failure)?;
        Ok((session, call.generation.plugin_id().to_owned()))
    }
}

impl UserData for Kv {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_async_method("get", |lua, this, key: LuaString| {
            let this = this.clone();
            async move {
                let (session, plugin) = this.open(&lua).await?;
                let kept = kv::get(&session, &plugin, &checked(&key)?).await.map_err(failure)?;
                kept.map_or(Ok(Value::Nil), |kept| to_lua(&lua, kept))
            }
        });
        type SetArgs = (LuaString, Value, Value);
        registry.add_async_method("set", |lua, this, (key, value, options): SetArgs| {
            let this = this.clone();
            async move {
                let (key, lifetime) = (checked(&key)?, lifetime(&options)?);
                let kept = kept(&value)?;
                let (session, plugin) = this.open(&lua).await?;
                prune(&session).await?;
                kv::set(&session, &plugin, &key, kept, lifetime).await.map_err(failure)
            }
        });
        type IncrArgs = (LuaString, Option<f64>, Value);
        registry.add_async_method("incr", |lua, this, (key, by, options): IncrArgs| {
            let this = this.clone();
            async move {
                let (key, lifetime) = (checked(&key)?, lifetime(&options)?);
                let by = by.unwrap_or(1.0);
                if by.fract() != 0.0 || by.abs() > MAX_SAFE_INTEGER as f64 {
                    return Err(wrong("incr counts by a whole number"));
                }
                let (session, plugin) = this.open(&lua).await?;
                prune(&session).await?;
                let number = kv::increment(&session, &plugin, &key, by as i64, lifetime);
                match number.await.map_err(failure)? {
                    Some(number) => Ok(number as f64),
                    None => Err(wrong(format!("what is kept under \"{key}\" is no whole number"))),
                }
            }
        });
        registry.add_async_method("delete", |lua, this, key: LuaString| {
            let this = this.clone();
            async move {
                let (session, plugin) = this.open(&lua).await?;
                kv::delete(&session, &plugin, &checked(&key)?).await.map_err(failure)
            }
        });
        type ListArgs = (Option<LuaString>, Value);
        registry.add_async_method("list", |lua, this, (prefix, options): ListArgs| {
            let this = this.clone();
            async move {
                let prefix = match prefix {
                    Some(prefix) => prefix.to_str()?.to_owned(),
                    None => String::new(),
                };
                let (after, limit) = page(&options)?;
                let (session, plugin) = this.open(&lua).await?;
                let found = kv::list(&session, &plugin, &prefix, after.as_deref(), limit).await;
                entries(&lua, found.map_err(failure)?)
            }
        });
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.kv"));
    }
}

fn wrong(message: impl std::fmt::Display) -> mlua::Error {
    Failure::misuse(format!("ctx.kv: {message}"))
}

async fn prune(session: &Session) -> mlua::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    if !WRITES.fetch_add(1, Ordering::Relaxed).is_multiple_of(ROUND) {
        return Ok(());
    }
    kv::prune(session).await.map_err(failure)
}

fn checked(key: &LuaString) -> mlua::Result<String> {
    let key = key.to_str()?;
    if key.is_empty() || key.len() > MAX_KEY || key.contains('\0') {
        return Err(wrong(format!("a key is a text of 1 to {MAX_KEY} bytes")));
    }
    Ok(key.to_owned())
}

fn kept(value: &Value) -> mlua::Result<Kept> {
    match bridge::from_lua(value).map_err(|error| wrong(format!("the value: {error}")))? {
        HostValue::Null => Err(wrong("nothing cannot be kept; delete removes a key")),
        HostValue::Int(number) => Ok(Kept::Number(number)),
        value => {
            let json = serde_json::to_string(&value)
                .map_err(|error| wrong(format!("the value: {error}")))?;
            if json.len() > MAX_VALUE {
                return Err(wrong(format!("a value has at most {MAX_VALUE} bytes as JSON")));
            }
            Ok(Kept::Json(json))
        }
    }
}

fn to_lua(lua: &Lua, kept: Kept) -> mlua::Result<Value> {
    let value = match kept {
        Kept::Number(number) => HostValue::Int(number),
        Kept::Json(json) => serde_json::from_str(&json)
            .map_err(|error| mlua::Error::runtime(format!("ctx.kv: cannot read: {error}")))?,
    };
    bridge::to_lua(lua, &value)
}

/// A list of `{ key, value }`.
fn entries(lua: &Lua, found: Vec<(String, Kept)>) -> mlua::Result<Table> {
    let list = lua.create_table_with_capacity(found.len(), 0)?;
    for (key, kept) in found {
        let entry = lua.create_table_with_capacity(0, 2)?;
        entry.raw_set("key", key)?;
        entry.raw_set("value", to_lua(lua, kept)?)?;
        list.raw_push(entry)?;
    }
    Ok(list)
}

/// `{ ttl = seconds }`.
pub(super) fn lifetime(options: &Value) -> mlua::Result<Option<Duration>> {
    let usage = || Failure::misuse("the options are a table, such as { ttl = 60 }, in seconds");
    let Value::Table(table) = options else {
        return if options.is_nil() { Ok(None) } else { Err(usage()) };
    };
    for pair in table.pairs::<Value, Value>() {
        if pair?.0.as_string().is_none_or(|key| key.as_bytes() != *b"ttl") {
            return Err(usage());
        }
    }
    match table.raw_get::<Option<f64>>("ttl").map_err(|_| usage())? {
        None => Ok(None),
        Some(seconds) if seconds > 0.0 && seconds < 1e10 => {
            Ok(Some(Duration::from_secs_f64(seconds)))
        }
        Some(_) => Err(usage()),
    }
}

/// `{ after = key, limit = 100 }`.
fn page(options: &Value) -> mlua::Result<(Option<String>, u64)> {
    let Value::Table(table) = options else { return Ok((None, LISTED)) };
    let after = table.raw_get::<Option<String>>("after")?;
    let limit = match table.raw_get::<Option<f64>>("limit")? {
        None => LISTED,
        Some(limit) if limit.fract() == 0.0 && (1.0..=MAX_LISTED).contains(&limit) => limit as u64,
        Some(_) => return Err(wrong(format!("limit is a whole number from 1 to {MAX_LISTED}"))),
    };
    Ok((after, limit))
}
