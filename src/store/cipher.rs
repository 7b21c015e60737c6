//! Encryption of what plugins keep secret in their tables, with the host's key.
//!
//! XChaCha20-Poly1305 with a random nonce for every value: the same text is never stored as the same
//! bytes twice, and a value that was changed in the database is refused. The plugin's id is bound to
//! it, so that one plugin cannot read what was copied from another's table.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

/// What every stored value begins with; another method would begin otherwise.
const VERSION: &str = "v1.";
const NONCE_LENGTH: usize = 24;

/// A new secret text for [`Cipher::new`].
pub fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(XChaCha20Poly1305::generate_key(&mut OsRng))
}

/// The host's key, ready to be used, and the one before it, if the host is changing it.
#[derive(Clone)]
pub struct Cipher {
    current: XChaCha20Poly1305,
    previous: Option<XChaCha20Poly1305>,
}

impl Cipher {
    /// The cipher of a secret text with enough randomness in it: its SHA-256 is the key.
    pub fn new(secret: &str) -> Self {
        Cipher { current: with_key(secret), previous: None }
    }

    /// Opens what was sealed with another secret text, too.
    pub fn after(mut self, previous: &str) -> Self {
        self.previous = Some(with_key(previous));
        self
    }

    /// A cipher of a key that nobody knows, for what lives no longer than the process.
    pub fn random() -> Self {
        Cipher::new(&random_secret())
    }

    /// Encrypts `text` for `owner`.
    pub fn seal(&self, owner: &str, text: &str) -> String {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload { msg: text.as_bytes(), aad: owner.as_bytes() };
        // It fails for texts of more than 256 GB alone, which no value is.
        let sealed = self.current.encrypt(&nonce, payload).unwrap_or_default();
        let bytes: Vec<u8> = nonce.iter().chain(&sealed).copied().collect();
        format!("{VERSION}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The text that was sealed for `owner`; `None` if it was sealed with another key, for another
    /// owner or not at all.
    pub fn open(&self, owner: &str, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(VERSION)?).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = || Payload { msg: sealed, aad: owner.as_bytes() };
        let open = |key: &XChaCha20Poly1305| key.decrypt(&XNonce::from(*nonce), payload()).ok();
        let text = open(&self.current).or_else(|| open(self.previous.as_ref()?))?;
        String::from_utf8(text).ok()
    }
}

fn with_key(secret: &str) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Sha256::digest(secret.as_bytes()))
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_and_the_owner_open_a_value() {
        let cipher = Cipher::new("a secret of thirty-two characters");
        for text in ["", "sk_live_é", &"x".repeat(100_000)] {
            let sealed = cipher.seal("polls", text);
            assert_ne!(sealed, cipher.seal("polls", text), "every value has its own nonce");
            assert!(text.is_empty() || !sealed.contains(text));
            assert_eq!(cipher.open("polls", &sealed).as_deref(), Some(text));
            assert_eq!(cipher.open("other", &sealed), None);
            assert_eq!(Cipher::random().open("polls", &sealed), None);
        }
        let sealed = cipher.seal("polls", "text");
        let next = Cipher::new("another secret of many characters")
            .after("a secret of thirty-two characters");
        assert_eq!(next.open("polls", &sealed).as_deref(), Some("text"));
        assert_eq!(cipher.open("polls", &next.seal("polls", "text")), None);
        for i in VERSION.len()..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(cipher.open("polls", &changed), None, "at {i}");
        }
        for wrong in ["", "v1.", "v1.AAAA", "v2.AAAA", "text"] {
            assert_eq!(cipher.open("polls", wrong), None, "{wrong}");
        }
    }
}
