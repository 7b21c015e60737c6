//! Tokens that stand for a user who has signed in.

use sha2::{Digest as _, Sha256};

use crate::store::random_secret;

/// A new token: 256 random bits.
pub fn new() -> String {
    random_secret()
}

/// What is kept of a token. A token is random, so one pass of a fast hash is enough; and as the digest
/// is looked up, and not the token, comparing tells nothing of use.
pub fn digest(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
