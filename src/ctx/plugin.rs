//! `ctx.plugin`: who is running.

use mlua::{UserDataFields, UserDataRegistry};

use super::Ctx;

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("plugin", |lua, this| {
        let call = this.call()?;
        let manifest = call.generation.manifest();
        let table = lua.create_table_with_capacity(0, 3)?;
        table.raw_set("id", manifest.plugin_id.as_str())?;
        table.raw_set("version", manifest.version.to_string())?;
        table.raw_set("name", manifest.name.as_str())?;
        Ok(table)
    });
}
