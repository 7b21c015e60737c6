//! `ctx.request`: the HTTP request that led to the call.

use mlua::{UserDataFields, UserDataRegistry};

use super::Ctx;

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("request", |lua, this| {
        let call = this.call()?;
        let Some(request) = call.request.as_ref() else { return Ok(None) };
        let info = &request.info;
        let headers = lua.create_table_with_capacity(0, info.headers.len())?;
        for (name, value) in info.headers.iter() {
            headers.raw_set(name, &*value)?;
        }
        let table = lua.create_table_with_capacity(0, 5)?;
        table.raw_set("id", info.id.as_str())?;
        table.raw_set("method", info.method.as_str())?;
        table.raw_set("path", info.path.as_str())?;
        table.raw_set("headers", headers)?;
        table.raw_set("ip", info.ip.map(|ip| ip.to_string()))?;
        Ok(Some(table))
    });
}
