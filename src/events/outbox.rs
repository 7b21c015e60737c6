//! Who is to hear of an event.

use std::time::Duration;

use uuid::Uuid;

use super::Event;
use crate::extension::hooks::HookTable;
use crate::plugin::world::World;
use crate::store::DbError;
use crate::store::deliveries::{Kind, NewDelivery};
use crate::value::Value;

/// How often a post hook is tried. With the delays between the attempts that is for about nine hours.
pub const MAX_ATTEMPTS: u32 = 20;

/// The largest payload of an event or a job, in bytes of its JSON.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// A delivery for each post hook of the World that hears the event.
///
/// # Errors
/// `invalid` when somebody hears it and the payload cannot be kept.
pub fn addressed(world: &World, event: &Event) -> Result<Vec<NewDelivery>, DbError> {
    let Some(hooks) = world.part::<HookTable>() else { return Ok(Vec::new()) };
    let mut deliveries = Vec::new();
    let mut payload: Option<String> = None;
    for hook in hooks.post(&event.name) {
        let payload = match &payload {
            Some(written) => written.clone(),
            None => payload.insert(payload_json(&event.payload)?).clone(),
        };
        deliveries.push(NewDelivery {
            id: Uuid::now_v7().to_string(),
            kind: Kind::Event,
            plugin_id: hook.generation.plugin_id().to_owned(),
            name: event.name.to_string(),
            handler: hook.handler.to_string(),
            payload,
            ordering_key: event.key.clone(),
            unique_key: None,
            depth: event.depth,
            max_attempts: MAX_ATTEMPTS,
            delay: Duration::ZERO,
        });
    }
    Ok(deliveries)
}

/// A payload as it is kept.
///
/// # Errors
/// `invalid` for what JSON cannot hold, and for more than [`MAX_PAYLOAD_BYTES`].
pub fn payload_json(payload: &Value) -> Result<String, DbError> {
    let json = serde_json::to_string(payload)
        .map_err(|error| DbError::invalid(format!("the payload: {error}")))?;
    if json.len() > MAX_PAYLOAD_BYTES {
        return Err(DbError::invalid(format!(
            "the payload has {} bytes as JSON, and at most {MAX_PAYLOAD_BYTES} are allowed",
            json.len()
        )));
    }
    Ok(json)
}
