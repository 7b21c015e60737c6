//! Users of another identity provider, by the tokens that it signs (RFC 7519).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use parking_lot::Mutex;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::request::{Role, User};
use crate::settings::Secret;

/// The longest that fetching keys may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys are fetched again after this time, so that those that were withdrawn are not taken for ever.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// The least time between two fetches because of an unknown key, which anybody can name.
const PAUSE: Duration = Duration::from_secs(30);
/// The largest set of keys, in bytes.
const MAX_KEYS: usize = 1024 * 1024;

/// How tokens are checked and read.
#[derive(Debug, Clone, Default)]
pub struct JwtSettings {
    /// For HS256.
    pub secret: Option<Secret>,
    /// A file or an `http(s)` URL with a JSON Web Key Set.
    pub jwks: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must contain.
    pub audience: Option<String>,
    /// The claim that tells the role, and the value of it that makes an administrator.
    pub role_claim: Option<String>,
    pub administrator: Option<String>,
}

impl JwtSettings {
    /// Whether tokens of another provider are taken at all.
    pub fn is_set(&self) -> bool {
        self.secret.is_some() || self.jwks.is_some()
    }
}

/// Checks tokens.
pub struct Jwt {
    settings: JwtSettings,
    source: Source,
}

enum Source {
    Secret(DecodingKey),
    File(PathBuf, Mutex<Cached>),
    Url {
        url: String,
        client: reqwest::Client,
        cached: Mutex<Cached>,
        fetching: tokio::sync::Mutex<()>,
    },
}

#[derive(Default, Clone)]
struct Cached {
    keys: Option<Arc<JwkSet>>,
    at: Option<Instant>,
}

impl Jwt {
    /// # Errors
    /// When there is neither a secret nor a set of keys, or both; or the file cannot be read.
    pub fn new(settings: JwtSettings) -> Result<Self> {
        let source = match (&settings.secret, &settings.jwks) {
            (Some(secret), None) => {
                Source::Secret(DecodingKey::from_secret(secret.expose().as_bytes()))
            }
            (None, Some(url)) if url.starts_with("http://") || url.starts_with("https://") => {
                let client = crate::http::client()
                    .timeout(PATIENCE)
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(Error::unexpected)?;
                Source::Url {
                    url: url.clone(),
                    client,
                    cached: Mutex::default(),
                    fetching: tokio::sync::Mutex::new(()),
                }
            }
            (None, Some(file)) => {
                let file = PathBuf::from(file);
                let cached = read_file(&file)?;
                Source::File(file, Mutex::new(cached))
            }
            _ => {
                let message = "auth.jwt: expected either a secret or jwks";
                return Err(Error::unexpected(message));
            }
        };
        Ok(Jwt { settings, source })
    }

    /// The user of a token, or `None` if it is not valid.
    ///
    /// # Errors
    /// When the keys cannot be had at the moment.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Arc<User>>> {
        let Ok(header) = decode_header(token) else { return Ok(None) };
        let Some((key, algorithm)) = self.key(header.kid.as_deref(), header.alg).await? else {
            return Ok(None);
        };
        // Only the algorithm that the key is for, whatever the token says.
        let mut validation = Validation::new(algorithm);
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        if let Some(issuer) = &self.settings.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        match &self.settings.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.required_spec_claims.insert("aud".into());
            }
            None => validation.validate_aud = false,
        }
        match decode::<Json>(token, &key, &validation) {
            Ok(decoded) => Ok(self.user(&decoded.claims).map(Arc::new)),
            Err(error) => {
                tracing::debug!("a token was refused: {error}");
                Ok(None)
            }
        }
    }

    fn user(&self, claims: &Json) -> Option<User> {
        let text = |key: &str| claims.get(key).and_then(Json::as_str);
        let subject = text("sub").filter(|subject| !subject.is_empty())?;
        let id = Uuid::try_parse(subject).unwrap_or_else(|_| {
            // Ids are UUIDs: one that is always the same for the same person.
            let name = format!("{} {subject}", text("iss").unwrap_or_default());
            derived(&name)
        });
        // The automation user is nobody else.
        if id.is_nil() {
            return None;
        }
        let claim = self.settings.role_claim.as_deref().unwrap_or("role");
        let wanted = self.settings.administrator.as_deref().unwrap_or("administrator");
        let is_administrator = match claims.get(claim) {
            Some(Json::String(role)) => role == wanted,
            Some(Json::Array(roles)) => roles.iter().any(|role| role == wanted),
            _ => false,
        };
        let email = text("email").unwrap_or_default().to_owned();
        let name = text("name").or_else(|| text("preferred_username"));
        Some(User {
            id: id.to_string(),
            name: name.unwrap_or(&email).to_owned(),
            email_address: email,
            role: if is_administrator { Role::Administrator } else { Role::Regular },
        })
    }

    /// The key that a token names, and the algorithm that it is for.
    async fn key(
        &self,
        kid: Option<&str>,
        named: Algorithm,
    ) -> Result<Option<(DecodingKey, Algorithm)>> {
        match &self.source {
            Source::Secret(key) => Ok(Some((key.clone(), Algorithm::HS256))),
            Source::File(file, cached) => {
                let known = cached.lock().clone();
                let found = known.keys.as_deref().and_then(|keys| find(keys, kid, named));
                if found.is_some() || !known.is_older_than(PAUSE) {
                    return Ok(found);
                }
                let fresh = read_file(file)?;
                let found = fresh.keys.as_deref().and_then(|keys| find(keys, kid, named));
                *cached.lock() = fresh;
                Ok(found)
            }
            Source::Url { url, client, cached, fetching } => {
                let look = || {
                    let known = cached.lock().clone();
                    let found = known.keys.as_deref().and_then(|keys| find(keys, kid, named));
                    let limit = if found.is_some() { FRESH } else { PAUSE };
                    (!known.is_older_than(limit)).then_some(found)
                };
                if let Some(found) = look() {
                    return Ok(found);
                }
                let _fetching = fetching.lock().await;
                if let Some(found) = look() {
                    return Ok(found);
                }
                let fetched = fetch(client, url).await;
                let mut cached = cached.lock();
                cached.at = Some(Instant::now());
                match (fetched, &cached.keys) {
                    (Ok(keys), _) => cached.keys = Some(Arc::new(keys)),
                    (Err(error), None) => {
                        // Asked again at once, as nothing works without.
                        cached.at = None;
                        return Err(error);
                    }
                    (Err(error), Some(_)) => tracing::warn!("{error}; the known keys are used"),
                }
                Ok(cached.keys.as_deref().and_then(|keys| find(keys, kid, named)))
            }
        }
    }
}

impl Cached {
    fn is_older_than(&self, age: Duration) -> bool {
        self.at.is_none_or(|at| at.elapsed() > age)
    }
}

/// A UUID of version 8 (RFC 9562) from the SHA-256 of a name.
fn derived(name: &str) -> Uuid {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn find(keys: &JwkSet, kid: Option<&str>, named: Algorithm) -> Option<(DecodingKey, Algorithm)> {
    let fits = |jwk: &&jsonwebtoken::jwk::Jwk| match kid {
        Some(kid) => jwk.common.key_id.as_deref() == Some(kid),
        None => true,
    };
    keys.keys.iter().filter(fits).find_map(|jwk| {
        // A public key is no secret: a token that claims to be signed with it as one is refused.
        if matches!(named, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return None;
        }
        let declared: Option<Algorithm> =
            jwk.common.key_algorithm.and_then(|algorithm| algorithm.to_string().parse().ok());
        let algorithm = declared.unwrap_or(named);
        Some((DecodingKey::from_jwk(jwk).ok()?, algorithm))
    })
}

fn read_file(file: &std::path::Path) -> Result<Cached> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::unexpected(format!(
            "auth.jwt: the keys in {} cannot be read: {error}",
            file.display()
        ))
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let keys = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    Ok(Cached { keys: Some(Arc::new(keys)), at: Some(Instant::now()) })
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<JwkSet> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::unexpected(format!("auth.jwt: the keys at {url} cannot be fetched: {error}"))
    };
    let answer = client.get(url).send().await.map_err(|error| wrong(&error))?;
    let mut answer = answer.error_for_status().map_err(|error| wrong(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| wrong(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_KEYS {
            return Err(wrong(&"there is more than 1 MiB"));
        }
    }
    serde_json::from_slice(&body).map_err(|error| wrong(&error))
}
