//! `moondock.toml`.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::SettingsError;
use super::parse::Found;
use crate::nearest::nearest;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "moondock.toml";

/// One setting, as it is named in the file and, with dashes in front, on the command line.
pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
}

/// Every setting.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(super::graphql::KEYS).chain(super::docker::KEYS)
}

/// The settings that are not about one part of the host.
const KEYS: &[Key] = &[
    Key { name: "listen", kind: Kind::Text },
    Key { name: "plugins", kind: Kind::Text },
    Key { name: "data-dir", kind: Kind::Text },
    Key { name: "database-url", kind: Kind::Text },
    Key { name: "database-connections", kind: Kind::Number },
    Key { name: "database-wait-ms", kind: Kind::Number },
    Key { name: "statement-timeout-ms", kind: Kind::Number },
    Key { name: "secret-key", kind: Kind::Text },
    Key { name: "previous-secret-key", kind: Kind::Text },
    Key { name: "log", kind: Kind::Text },
    Key { name: "log-level", kind: Kind::Text },
    Key { name: "hot-reload", kind: Kind::Flag },
    Key { name: "admin-token", kind: Kind::Text },
    Key { name: "sign-up", kind: Kind::Flag },
    Key { name: "token-lifetime-hours", kind: Kind::Number },
    Key { name: "auth-jwt-secret", kind: Kind::Text },
    Key { name: "auth-jwt-jwks", kind: Kind::Text },
    Key { name: "auth-jwt-issuer", kind: Kind::Text },
    Key { name: "auth-jwt-audience", kind: Kind::Text },
    Key { name: "auth-jwt-role-claim", kind: Kind::Text },
    Key { name: "auth-jwt-administrator", kind: Kind::Text },
    Key { name: "body-limit", kind: Kind::Number },
    Key { name: "webhook-rate", kind: Kind::Number },
    Key { name: "webhook-plugin-rate", kind: Kind::Number },
    Key { name: "max-memory-mb", kind: Kind::Number },
    Key { name: "max-timeout-ms", kind: Kind::Number },
    Key { name: "shutdown-grace-ms", kind: Kind::Number },
    Key { name: "document-cache", kind: Kind::Flag },
];

/// Reads the named file, or the default one if it exists.
pub(super) fn read(named: Option<&Path>) -> Result<HashMap<&'static str, Found>, SettingsError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(e) if named.is_none() && e.kind() == io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(e) => {
            let message = format!("cannot read the configuration file {}: {e}", path.display());
            Err(SettingsError(message))
        }
    }
}

fn parse(text: &str, path: &Path) -> Result<HashMap<&'static str, Found>, SettingsError> {
    let file = path.display();
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.bytes().filter(|byte| *byte == b'\n').count() + 1);
        let message = e.message().lines().collect::<Vec<_>>().join(" ");
        SettingsError(format!("{file}:{line}: {message}"))
    })?;
    let mut found = HashMap::new();
    for (name, value) in flattened(table) {
        let Some(key) = keys().find(|key| key.name == name) else {
            let names = keys().map(|key| key.name);
            let hint = match nearest(&name, names) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => String::new(),
            };
            return Err(SettingsError(format!("{file}: unknown key {name:?}{hint}")));
        };
        let (text, expected) = match (key.kind, &value) {
            (Kind::Text, toml::Value::String(text)) => (Some(text.clone()), ""),
            (Kind::Number, toml::Value::Integer(number)) => (Some(number.to_string()), ""),
            (Kind::Flag, toml::Value::Boolean(flag)) => (Some(flag.to_string()), ""),
            (Kind::Text, _) => (None, "a string"),
            (Kind::Number, _) => (None, "a whole number"),
            (Kind::Flag, _) => (None, "true or false"),
        };
        let Some(text) = text else {
            let kind = value.type_str();
            let message =
                format!("{file}: {name}: expected {expected}, found a value of type {kind}");
            return Err(SettingsError(message));
        };
        let base = path.parent().map(Path::to_owned);
        found.insert(key.name, Found { text, origin: file.to_string(), base });
    }
    Ok(found)
}

/// The keys of tables with those of the tables before them: `[auth.jwt]` and `secret` are
/// `auth-jwt-secret`.
fn flattened(table: toml::Table) -> Vec<(String, toml::Value)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) if !KEYS.iter().any(|key| key.name == name) => {
                let inner = flattened(inner).into_iter();
                flat.extend(inner.map(|(key, value)| (format!("{name}-{key}"), value)));
            }
            value => flat.push((name, value)),
        }
    }
    flat
}
