//! `ctx.env`: the environment variables that the plugin was granted.

use mlua::{LuaString, MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRegistry};

use super::{CallRef, Ctx};
use crate::permission;

#[derive(Clone)]
struct Env(CallRef);

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("env", |_, this| {
        this.call()?;
        Ok(Env(this.0.clone()))
    });
}

impl UserData for Env {
    fn register(registry: &mut UserDataRegistry<Self>) {
        registry.add_meta_method(MetaMethod::Index, |_, this, name: LuaString| {
            let (call, name) = (this.0.get()?, name.to_str()?);
            // One that is not granted looks as if it were not set.
            Ok(match permission::env(&call.generation, &name) {
                true => std::env::var(&*name).ok(),
                false => None,
            })
        });
        registry.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("ctx.env"));
    }
}
