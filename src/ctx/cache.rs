//! `ctx.cache`: what a plugin remembers in memory, for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use mlua::{
    LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value,
};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Store;

use super::kv::lifetime;
use super::{CallRef, Ctx};
use crate::lua::{Failure, bridge};
use crate::value::Value as HostValue;

/// The most that one plugin's cache holds, in bytes.
const CAPACITY: u64 = 16 * 1024 * 1024;
/// About how many entries there are.
const ENTRIES: usize = 10_000;
/// The longest key, in bytes.
const MAX_KEY: usize = 512;

/// The caches of all plugins. They outlive generations, and go with the plugin.
#[derive(Debug, Default)]
pub struct Caches(Mutex<HashMap<String, Arc<PluginCache>>>);

type PluginCache = Store<String, Entry, Weight>;

#[derive(Debug, Clone)]
struct Entry {
    value: Arc<HostValue>,
    bytes: u64,
    until: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<String, Entry> for Weight {
    fn weight(&self, key: &String, entry: &Entry) -> u64 {
        key.len() as u64 + entry.bytes
    }
}

impl Caches {
    fn of(&self, plugin_id: &str) -> Arc<PluginCache> {
        let mut caches = self.0.lock();
        if let Some(cache) = caches.get(plugin_id) {
            return Arc::clone(cache);
        }
        let cache = Arc::new(Store::with_weighter(ENTRIES, CAPACITY, Weight));
        caches.insert(plugin_id.to_owned(), Arc::clone(&cache));
        cache
    }

    /// Forgets what a plugin has remembered.
    pub fn forget(&self, plugin_id: &str) {
        self.0.lock().remove(plugin_id);
    }
}

#[derive(Clone)]
struct Cache(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("cache", |_, this| {
        this.call()?;
        Ok(Cache(this.0.clone()))
    });
}

impl Cache {
    fn open(&self) -> mlua::Result<Arc<PluginCache>> {
        let call = self.0.get()?;
        Ok(call.generation.services.caches.of(call.generation.plugin_id()))
    }
}

impl UserData for Cache {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_method("get", |lua, this, key: LuaString| {
            let (cache, key) = (this.open()?, checked(&key)?);
            let Some(entry) = cache.get(&key) else { return Ok(Value::Nil) };
            if entry.until.is_some_and(|until| until <= Instant::now()) {
                cache.remove(&key);
                return Ok(Value::Nil);
            }
            bridge::to_lua(lua, &entry.value)
        });
        type SetArgs = (LuaString, Value, Value);
        registry.add_method("set", |_, this, (key, value, options): SetArgs| {
            let (cache, key) = (this.open()?, checked(&key)?);
            let until = lifetime(&options)?.map(|lifetime| Instant::now() + lifetime);
            let value = bridge::from_lua(&value)
                .map_err(|error| Failure::misuse(format!("ctx.cache: the value: {error}")))?;
            let bytes = size(&value);
            if bytes > CAPACITY / 4 {
                let message = format!("ctx.cache: a value has at most {} bytes", CAPACITY / 4);
                return Err(Failure::misuse(message));
            }
            match value.is_null() {
                true => drop(cache.remove(&key)),
                false => cache.insert(key, Entry { value: Arc::new(value), bytes, until }),
            }
            Ok(())
        });
        registry.add_method("delete", |_, this, key: LuaString| {
            Ok(this.open()?.remove(&checked(&key)?).is_some())
        });
        registry.add_method("clear", |_, this, ()| {
            this.open()?.clear();
            Ok(())
        });
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.cache"));
    }
}

fn checked(key: &LuaString) -> mlua::Result<String> {
    let key = key.to_str()?;
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Failure::misuse(format!("ctx.cache: a key is a text of 1 to {MAX_KEY} bytes")));
    }
    Ok(key.to_owned())
}

/// About how many bytes a value takes.
fn size(value: &HostValue) -> u64 {
    const EACH: u64 = size_of::<HostValue>() as u64;
    EACH + match value {
        HostValue::String(text) => text.len() as u64,
        HostValue::Bytes(bytes) => bytes.len() as u64,
        HostValue::List(list) => list.iter().map(size).sum(),
        HostValue::Map(map) => {
            map.iter().map(|(key, value)| 40 + key.len() as u64 + size(value)).sum()
        }
        HostValue::Null | HostValue::Bool(_) | HostValue::Int(_) | HostValue::Float(_) => 0,
    }
}
