//! Whether a request is from who it should be: signatures as senders of webhooks make them.
//!
//! - `standard-webhooks`: <https://github.com/standard-webhooks/standard-webhooks>. HMAC-SHA256 over
//!   `id.timestamp.body`, in base64 after `v1,`, with a secret in base64 after `whsec_`.
//! - `stripe`: <https://docs.stripe.com/webhooks/signature>. HMAC-SHA256 over `timestamp.body`, in hex in the
//!   `v1` items of one header that also has the timestamp.
//! - `github`: <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
//!   HMAC-SHA256 over the body, in hex after `sha256=`.
//! - `hmac-sha256`: over the body, in the header and encoding that the manifest says.

use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::plugin::manifest::{SignatureEncoding, Verify, VerifyScheme};

/// How far the time in a signature may be from now, both ways.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// The most signatures of one request that are looked at: senders send a few while they change secrets.
const MAX_SIGNATURES: usize = 16;

/// Why a request is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It has no signature, or not all that belongs to one.
    Missing(String),
    /// The signature is wrong, or too old. To the sender it is all the same.
    Refused,
    /// There is no secret to compare with.
    NoSecret(String),
}

/// A request that is from who it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The sender's own name for the message, the same when it is sent again.
    pub message_id: Option<String>,
}

/// Checks a request's signature with each of `secrets`.
///
/// # Errors
/// Why it is not let through.
pub fn verify(
    declared: &Verify,
    secrets: &[String],
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Result<Verified, Refusal> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Refusal::Missing(format!("The header \"{name}\" is missing.")))
    };
    let signature_header = |default| header(declared.header.as_deref().unwrap_or(default));
    match declared.scheme {
        VerifyScheme::StandardWebhooks => {
            let id = header("webhook-id")?;
            let timestamp = header("webhook-timestamp")?;
            let sent = signature_header("webhook-signature")?;
            check_time(timestamp, now)?;
            let signatures = sent.split(' ').filter_map(|one| one.strip_prefix("v1,"));
            let signatures = signatures.filter_map(|one| STANDARD.decode(one).ok());
            let keys = secrets.iter().map(|secret| standard_key(secret));
            let keys = keys.collect::<Result<Vec<_>, _>>()?;
            let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
            compare(&keys, &parts, signatures)?;
            Ok(Verified { message_id: Some(id.to_owned()) })
        }
        VerifyScheme::Stripe => {
            let sent = signature_header("stripe-signature")?;
            let items = || sent.split(',').filter_map(|item| item.trim().split_once('='));
            let timestamp = items().find_map(|(key, value)| (key == "t").then_some(value));
            let timestamp = timestamp.ok_or_else(|| {
                Refusal::Missing("The signature has no timestamp (\"t=\").".to_owned())
            })?;
            let of_v1 = items().filter_map(|(key, value)| (key == "v1").then_some(value));
            if of_v1.clone().next().is_none() {
                return Err(Refusal::Missing("There is no signature (\"v1=\").".to_owned()));
            }
            check_time(timestamp, now)?;
            let keys: Vec<_> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
            let parts = [timestamp.as_bytes(), b".", body];
            compare(&keys, &parts, of_v1.filter_map(|sent| hex::decode(sent).ok()))?;
            // The event is the same when it is sent again, the signature is not.
            let event: Option<serde_json::Value> = serde_json::from_slice(body).ok();
            let id = event.as_ref().and_then(|event| event.get("id")?.as_str());
            Ok(Verified { message_id: Some(id.unwrap_or(sent).to_owned()) })
        }
        VerifyScheme::Github => {
            let sent = signature_header("x-hub-signature-256")?;
            let signature = sent.strip_prefix("sha256=").and_then(|sent| hex::decode(sent).ok());
            let keys: Vec<_> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
            compare(&keys, &[body], signature.into_iter())?;
            Ok(Verified { message_id: header("x-github-delivery").ok().map(str::to_owned) })
        }
        VerifyScheme::HmacSha256 => {
            let sent = signature_header("x-signature")?;
            let signature =
                sent.strip_prefix(&*declared.prefix).and_then(|sent| match declared.encoding {
                    SignatureEncoding::Hex => hex::decode(sent).ok(),
                    SignatureEncoding::Base64 => STANDARD.decode(sent).ok(),
                });
            let keys: Vec<_> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
            compare(&keys, &[body], signature.into_iter())?;
            Ok(Verified { message_id: None })
        }
    }
}

/// Whether one of `signatures` is one of the message's. Each comparison takes the same time whatever is
/// wrong.
fn compare(
    keys: &[Vec<u8>],
    message: &[&[u8]],
    signatures: impl Iterator<Item = Vec<u8>>,
) -> Result<(), Refusal> {
    if keys.iter().all(Vec::is_empty) {
        return Err(Refusal::NoSecret("there is no secret to check signatures with".to_owned()));
    }
    let signatures: Vec<_> = signatures.take(MAX_SIGNATURES).collect();
    let mut is_right = false;
    for key in keys.iter().filter(|key| !key.is_empty()) {
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { continue };
        for part in message {
            mac.update(part);
        }
        for signature in &signatures {
            is_right |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if is_right { Ok(()) } else { Err(Refusal::Refused) }
}

/// Whether a time in seconds since 1970 is about now.
fn check_time(seconds: &str, now: SystemTime) -> Result<(), Refusal> {
    // Digits only: what was signed is the text, which may be written in one way.
    if seconds.is_empty() || seconds.len() > 12 || !seconds.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::Refused);
    }
    let sent = seconds.parse().map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let Ok(sent) = sent else { return Err(Refusal::Refused) };
    let apart = match now.duration_since(sent) {
        Ok(age) => age,
        Err(ahead) => ahead.duration(),
    };
    if apart <= TOLERANCE { Ok(()) } else { Err(Refusal::Refused) }
}

/// The key that a secret of Standard Webhooks stands for: base64, after `whsec_` or alone.
fn standard_key(secret: &str) -> Result<Vec<u8>, Refusal> {
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    STANDARD.decode(text).map_err(|_| {
        Refusal::NoSecret("the secret is not base64, as Standard Webhooks wants it".to_owned())
    })
}
