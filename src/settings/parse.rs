//! Judging single values.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{LogFormat, MIN_ADMIN_TOKEN, MIN_SECRET_KEY, Secret, Settings, SettingsError};
use crate::plugin::manifest::{MAX_MEMORY_MB, MAX_TIMEOUT_MS};
use crate::value::Value;

/// A value and where it was set.
#[derive(Clone)]
pub(super) struct Found {
    pub text: String,
    /// The flag, variable or file.
    pub origin: String,
    /// What relative paths in a file are relative to: the file's folder, so that a configuration
    /// means the same wherever it is used from.
    pub base: Option<PathBuf>,
}

/// Sets one setting.
pub(super) fn set(settings: &mut Settings, key: &str, found: &Found) -> Result<(), SettingsError> {
    let text = found.text.as_str();
    match key {
        "listen" if is_address(text) => settings.listen = text.to_owned(),
        "listen" => return wrong(key, found, "an address such as 127.0.0.1:8080"),
        "plugins" => settings.plugins = path(key, found)?,
        "data-dir" => settings.data_dir = path(key, found)?,
        "database-url" => settings.database_url = Some(database_url(key, found)?),
        "database-connections" => {
            settings.database_connections = Some(number(key, found, 1..=1_000)? as usize);
        }
        "database-wait-ms" => settings.database_wait = millis(key, found, 1..=600_000)?,
        "statement-timeout-ms" => settings.statement_timeout = millis(key, found, 1..=3_600_000)?,
        "secret-key" => settings.secret_key = Some(secret_key(key, found)?),
        "previous-secret-key" => {
            settings.previous_secret_key = Some(secret_key(key, found)?);
        }
        "log" => {
            settings.log = match text {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return wrong(key, found, "\"text\" or \"json\""),
            }
        }
        "log-level" if is_filter(text) => settings.log_level = text.to_owned(),
        "log-level" => {
            let expected = "error, warn, info, debug, trace, off or a filter such as \
                            \"info,moondock=debug\"";
            return wrong(key, found, expected);
        }
        "hot-reload" => settings.hot_reload = flag(key, found)?,
        "admin-token" => settings.admin_token = Some(admin_token(key, found)?),
        "sign-up" => settings.sign_up = flag(key, found)?,
        "token-lifetime-hours" => {
            let hours = number(key, found, 1..=24 * 366 * 10)?;
            settings.token_lifetime = Duration::from_secs(hours * 60 * 60);
        }
        "auth-jwt-secret" => settings.jwt.secret = Some(secret_key(key, found)?),
        "auth-jwt-jwks" if text.starts_with("http://") || text.starts_with("https://") => {
            settings.jwt.jwks = Some(text.to_owned());
        }
        "auth-jwt-jwks" => {
            settings.jwt.jwks = Some(path(key, found)?.to_string_lossy().into_owned());
        }
        "auth-jwt-issuer" => settings.jwt.issuer = Some(text.to_owned()),
        "auth-jwt-audience" => settings.jwt.audience = Some(text.to_owned()),
        "auth-jwt-role-claim" => settings.jwt.role_claim = Some(text.to_owned()),
        "auth-jwt-administrator" => settings.jwt.administrator = Some(text.to_owned()),
        // A body is held in memory, so the largest is far below what the type could hold.
        "body-limit" => settings.body_limit = number(key, found, 1_024..=1 << 30)? as usize,
        "webhook-rate" => settings.webhook_rate = number(key, found, 0..=1_000_000)? as u32,
        "webhook-plugin-rate" => {
            settings.webhook_plugin_rate = number(key, found, 0..=1_000_000)? as u32;
        }
        "max-memory-mb" => settings.max_memory_mb = number(key, found, 1..=MAX_MEMORY_MB)?,
        "max-timeout-ms" => settings.max_timeout_ms = number(key, found, 1..=MAX_TIMEOUT_MS)?,
        "shutdown-grace-ms" => {
            settings.shutdown_grace = millis(key, found, 0..=3_600_000)?;
        }
        "document-cache" => settings.document_cache = flag(key, found)?,
        _ if super::docker::set(&mut settings.docker, key, found)? => {}
        _ => super::graphql::set(&mut settings.graphql, key, found)?,
    }
    Ok(())
}

pub(super) fn wrong<T>(key: &str, found: &Found, expected: &str) -> Result<T, SettingsError> {
    let shown = Value::from(found.text.as_str()).excerpt();
    let origin = &found.origin;
    Err(SettingsError(format!("{key}: expected {expected}, found {shown} (from {origin})")))
}

/// As [`wrong`], without the value.
fn wrong_secret<T>(key: &str, found: &Found, expected: &str) -> Result<T, SettingsError> {
    Err(SettingsError(format!("{key}: expected {expected} (from {})", found.origin)))
}

fn is_address(text: &str) -> bool {
    if text.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && port.parse::<u16>().is_ok()
}

fn is_filter(text: &str) -> bool {
    // To the filter's parser a single unknown word is the name of a target, so that a misspelled
    // level would log nothing but that.
    let levels = ["error", "warn", "info", "debug", "trace", "off"];
    let is_words = text.split(',').all(|directive| {
        directive.contains('=') || levels.contains(&directive.trim().to_lowercase().as_str())
    });
    is_words && EnvFilter::try_new(text).is_ok()
}

pub(super) fn path(key: &str, found: &Found) -> Result<PathBuf, SettingsError> {
    if found.text.is_empty() || found.text.contains('\0') {
        return wrong(key, found, "the path of a folder");
    }
    let path = PathBuf::from(&found.text);
    Ok(match &found.base {
        Some(base) if !base.as_os_str().is_empty() => base.join(path),
        _ => path,
    })
}

fn database_url(key: &str, found: &Found) -> Result<Secret, SettingsError> {
    let schemes = ["sqlite:", "postgres://", "postgresql://"];
    if schemes.iter().any(|scheme| found.text.starts_with(scheme)) {
        return Ok(Secret::new(found.text.as_str()));
    }
    wrong_secret(key, found, "a URL that starts with sqlite: or postgres://")
}

fn admin_token(key: &str, found: &Found) -> Result<Secret, SettingsError> {
    if found.text.chars().count() < MIN_ADMIN_TOKEN {
        return wrong_secret(key, found, &format!("at least {MIN_ADMIN_TOKEN} characters"));
    }
    // It has to fit into an HTTP header as it is.
    if !found.text.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong_secret(key, found, "only printable ASCII characters, and no spaces");
    }
    Ok(Secret::new(found.text.as_str()))
}

fn secret_key(key: &str, found: &Found) -> Result<Secret, SettingsError> {
    if found.text.chars().count() < MIN_SECRET_KEY {
        return wrong_secret(key, found, &format!("at least {MIN_SECRET_KEY} characters"));
    }
    Ok(Secret::new(found.text.as_str()))
}

pub(super) fn millis(
    key: &str,
    found: &Found,
    range: RangeInclusive<u64>,
) -> Result<Duration, SettingsError> {
    Ok(Duration::from_millis(number(key, found, range)?))
}

fn flag(key: &str, found: &Found) -> Result<bool, SettingsError> {
    match found.text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => wrong(key, found, "true or false"),
    }
}

pub(super) fn number(
    key: &str,
    found: &Found,
    range: RangeInclusive<u64>,
) -> Result<u64, SettingsError> {
    match found.text.parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            wrong(key, found, &expected)
        }
    }
}
