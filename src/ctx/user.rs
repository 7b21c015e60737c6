//! `ctx.user`: on whose behalf.

use mlua::{UserDataFields, UserDataRegistry};

use super::Ctx;

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("user", |lua, this| {
        let call = this.call()?;
        let Some(user) = call.request.as_ref().and_then(|request| request.user.as_ref()) else {
            return Ok(None);
        };
        let table = lua.create_table_with_capacity(0, 4)?;
        table.raw_set("id", user.id.as_str())?;
        table.raw_set("name", user.name.as_str())?;
        table.raw_set("emailAddress", user.email_address.as_str())?;
        table.raw_set("role", user.role.as_str())?;
        Ok(Some(table))
    });
}
