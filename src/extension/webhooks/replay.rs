//! Messages that were handled before are not handled again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::Webhook;
use crate::plugin::generation::Generation;
use crate::store::webhook_messages::{self, Known};
use crate::store::{DbError, Session};

/// How long a message is remembered. Senders try for some days at most.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// After so many messages the old ones are forgotten.
const ROUND: u64 = 1_000;

/// A sender's message that this request may handle.
#[derive(Debug, Clone)]
pub struct Claim {
    plugin_id: String,
    /// Names the message, of this webhook.
    id: String,
}

/// Takes a message on, if nobody has. The claim of a host that dies while it handles it is over after
/// `limit`, so that the sender's next attempt gets through.
///
/// # Errors
/// Those of the database.
pub async fn claim(
    session: &Session,
    generation: &Arc<Generation>,
    webhook: &Webhook,
    message_id: &str,
    limit: Duration,
) -> Result<Result<Claim, Known>, DbError> {
    // Two webhooks of one plugin may get the same message, and a sender's id may have any length.
    let mut hash = Sha256::new();
    for part in [&*webhook.method, &*webhook.path, message_id] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let id = hex::encode(hash.finalize());
    let plugin_id = generation.plugin_id().to_owned();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if COUNT.fetch_add(1, Ordering::Relaxed).is_multiple_of(ROUND) {
        webhook_messages::prune(session, REMEMBERED).await?;
    }
    let known = webhook_messages::claim(session, &plugin_id, &id, limit).await?;
    Ok(match known {
        None => Ok(Claim { plugin_id, id }),
        Some(known) => Err(known),
    })
}

/// Says how it went: a message that was handled is not handled again, one that was not may come again.
///
/// # Errors
/// Those of the database.
pub async fn settle(session: &Session, claim: &Claim, handled: bool) -> Result<(), DbError> {
    let Claim { plugin_id, id } = claim;
    match handled {
        true => webhook_messages::finish(session, plugin_id, id).await,
        false => webhook_messages::release(session, plugin_id, id).await,
    }
}
