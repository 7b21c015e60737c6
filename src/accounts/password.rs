//! Passwords, kept as Argon2id hashes.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// How many are hashed at a time: each takes 19 MiB and a processor.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// What is checked when there is no account, so that it takes as long as if there were one.
static NOBODYS: LazyLock<Option<String>> =
    LazyLock::new(|| hash_now("the password of nobody at all").ok());

/// Argon2id with 19 MiB, two passes and one lane, as the OWASP password storage cheat sheet says.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

fn hash_now(password: &str) -> Result<String> {
    let hash: PasswordHash = argon2()
        .hash_password(password.as_bytes())
        .map_err(|error| Error::unexpected(format!("a password cannot be hashed: {error}")))?;
    Ok(hash.to_string())
}

/// The hash of a password, in the PHC format with its salt.
///
/// # Errors
/// When the system has no randomness or memory for it.
pub async fn hash(password: String) -> Result<String> {
    in_turn(move || hash_now(&password)).await?
}

/// Whether a password is the one of this hash. Without a hash it takes as long and is none.
///
/// # Errors
/// When the system cannot compute it.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    in_turn(move || {
        let nobody = hash.is_none();
        let Some(hash) = hash.or_else(|| NOBODYS.clone()) else { return false };
        let Ok(hash) = PasswordHash::new(&hash) else { return false };
        argon2().verify_password(password.as_bytes(), &hash).is_ok() && !nobody
    })
    .await
}

async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = TURNS.acquire().await.map_err(Error::unexpected)?;
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    done.await.map_err(Error::unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_fits_its_password_only() {
        let made = hash("correct horse".into()).await.unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        assert_ne!(made, hash("correct horse".into()).await.unwrap(), "the salt is random");
        assert!(verify("correct horse".into(), Some(made.clone())).await.unwrap());
        assert!(!verify("correct horsf".into(), Some(made)).await.unwrap());
        assert!(!verify("correct horse".into(), Some("no hash".into())).await.unwrap());
        assert!(!verify("the password of nobody at all".into(), None).await.unwrap());
    }
}
