//! `ctx.config`: the plugin's configuration.

use mlua::{Lua, Table, UserDataFields, UserDataRegistry, Value};

use super::Ctx;
use crate::lua::bridge;
use crate::plugin::generation::Generation;

/// Where a VM keeps the table: it belongs to one generation, whose configuration does not change.
const KEPT: &str = "moondock.config";

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("config", |lua, this| {
        let call = this.call()?;
        match lua.named_registry_value::<Option<Table>>(KEPT)? {
            Some(table) => Ok(Value::Table(table)),
            None => table(lua, &call.generation),
        }
    });
}

fn table(lua: &Lua, generation: &Generation) -> mlua::Result<Value> {
    let config = bridge::to_lua(lua, generation.config())?;
    freeze(&config)?;
    lua.set_named_registry_value(KEPT, &config)?;
    Ok(config)
}

/// All calls in a VM share the table, so none may change it.
fn freeze(value: &Value) -> mlua::Result<()> {
    let Value::Table(table) = value else { return Ok(()) };
    table.for_each(|_: Value, inner: Value| freeze(&inner))?;
    table.set_readonly(true);
    Ok(())
}
