//! `ctx.services`: where the plugin's own containers are, and how they are.

use mlua::{
    Lua, LuaString, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, UserDataRegistry,
};

use super::{CallRef, Ctx};
use crate::containers::ServiceState;
use crate::extension::services::declared;
use crate::nearest;

#[derive(Clone)]
struct Services(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("services", |_, this| {
        this.call()?;
        Ok(Services(this.0.clone()))
    });
}

impl UserData for Services {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_meta_method(MetaMethod::Index, |lua, this, name: LuaString| {
            let (call, name) = (this.0.get()?, name.to_str()?);
            let generation = &call.generation;
            let containers = &generation.services.containers;
            if let Some(state) = containers.service(generation.plugin_id(), &name) {
                return table(lua, &state);
            }
            let declared = declared(generation);
            let names: Vec<&str> = declared
                .iter()
                .flat_map(|declared| declared.project.services.keys().map(String::as_str))
                .collect();
            if names.contains(&&*name) {
                return table(lua, &ServiceState { name: name.to_owned(), ..Default::default() });
            }
            let hint = nearest::hint(&name, names.iter().copied());
            let known = match names.as_slice() {
                [] => "the plugin has no services: its manifest has no \"docker\" that is enabled"
                    .to_owned(),
                names => {
                    format!("the plugin has no service \"{name}\"; it has {}", names.join(", "))
                }
            };
            Err(mlua::Error::runtime(format!("{known}.{hint}")))
        });
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.services"));
    }
}

fn table(lua: &Lua, state: &ServiceState) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("name", state.name.as_str())?;
    table.set("url", state.url())?;
    table.set("host", state.host.as_deref())?;
    table.set("port", state.port)?;
    table.set("health", state.health.as_str())?;
    table.set("state", state.state.as_str().to_lowercase())?;
    table.set_readonly(true);
    Ok(table)
}
