//! `ctx:reply`: what a webhook answers, in full.

use mlua::{UserDataMethods, UserDataRegistry, Value};

use super::Ctx;
use crate::extension::webhooks::Reply;

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_method("reply", |_, this, (status, body, headers): (f64, Value, Value)| {
        this.call()?;
        Reply::new(status, &body, &headers)
    });
}
