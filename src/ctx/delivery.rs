//! `ctx.delivery`: what a post hook, a job or a schedule is called for.

use mlua::{UserDataFields, UserDataRegistry};

use super::Ctx;
use crate::store::deliveries::{Delivery, Kind};

/// What a call is for, if it was owed to the plugin.
#[derive(Debug)]
pub struct DeliveryInfo {
    id: String,
    kind: Kind,
    name: String,
    attempt: u32,
    key: Option<String>,
    emitted_at: String,
}

impl DeliveryInfo {
    /// What is known of a delivery that is about to be made.
    pub fn of(delivery: &Delivery) -> Self {
        let key = match delivery.kind {
            Kind::Event => &delivery.ordering_key,
            Kind::Job => &delivery.unique_key,
            Kind::Schedule => &None,
        };
        DeliveryInfo {
            id: delivery.id.clone(),
            kind: delivery.kind,
            name: delivery.name.clone(),
            attempt: delivery.attempt,
            key: key.clone(),
            emitted_at: delivery.emitted_at.clone(),
        }
    }
}

pub fn register(registry: &mut UserDataRegistry<Ctx>) {
    registry.add_field_method_get("delivery", |lua, this| {
        let call = this.call()?;
        let Some(delivery) = &call.delivery else { return Ok(None) };
        let table = lua.create_table_with_capacity(0, 5)?;
        table.raw_set("id", delivery.id.as_str())?;
        let name = match delivery.kind {
            Kind::Event => "event",
            Kind::Job => "job",
            Kind::Schedule => "schedule",
        };
        table.raw_set(name, delivery.name.as_str())?;
        table.raw_set("attempt", delivery.attempt)?;
        table.raw_set("key", delivery.key.as_deref())?;
        table.raw_set("emittedAt", delivery.emitted_at.as_str())?;
        Ok(Some(table))
    });
}
