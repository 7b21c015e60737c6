//! Operations that clients name instead of writing them out: those that an administrator has registered,
//! and those that clients have sent before (automatic persisted queries, as Apollo defined them).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::body::Rejection;
use super::graphql_request::Parameters;
use crate::error::{Error, Result};
use crate::extension::graphql::Request;
use crate::value::{Map, Value};

/// How many bytes of texts that clients have sent are kept.
const KEPT: u64 = 4 * 1024 * 1024;

/// The codes and messages that clients of automatic persisted queries look for.
const NOT_FOUND: (&str, &str) = ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound");
const NOT_SUPPORTED: (&str, &str) = ("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported");

#[derive(Debug, Clone)]
struct Length;

impl Weighter<String, Arc<str>> for Length {
    fn weight(&self, hash: &String, text: &Arc<str>) -> u64 {
        (hash.len() + text.len()) as u64
    }
}

/// The operations that the server knows by an id.
pub struct Operations {
    /// If there are any, nothing else is executed.
    registered: Option<HashMap<String, Arc<str>>>,
    /// By the hash of their text.
    sent: Cache<String, Arc<str>, Length>,
}

impl Default for Operations {
    fn default() -> Self {
        Operations { registered: None, sent: Cache::with_weighter(1_000, KEPT, Length) }
    }
}

impl Operations {
    /// Reads the file of registered operations: a JSON object of texts by their ids. Without a file
    /// every operation is executed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Operations> {
        let Some(file) = file else { return Ok(Operations::default()) };
        let failed = |why: String| {
            Error::unexpected(format!("registered-operations: {}: {why}", file.display()))
        };
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let all: HashMap<String, Arc<str>> = serde_json::from_str(&text).map_err(|error| {
            failed(format!("expected an object of texts by their ids: {error}"))
        })?;
        for (id, text) in &all {
            async_graphql::parser::parse_query(text)
                .map_err(|error| failed(format!("{id:?} is no GraphQL: {error}")))?;
        }
        // Clients may send the text itself, and hashes of it.
        let hashes: Vec<_> = all.values().map(|text| (hash(text), Arc::clone(text))).collect();
        let registered = all.into_iter().chain(hashes).collect();
        Ok(Operations { registered: Some(registered), ..Operations::default() })
    }

    /// The request that parameters stand for.
    ///
    /// # Errors
    /// When they name an operation that the server does not know, or none, or one that is not
    /// registered.
    pub(super) fn request(
        &self,
        parameters: Parameters,
    ) -> std::result::Result<Request, Rejection> {
        let Parameters { query, operation_name, variables, extensions, document_id } = parameters;
        let persisted = match extensions.as_ref().and_then(|e| e.get("persistedQuery")) {
            Some(Value::Map(persisted)) => Some(persisted_hash(persisted)?),
            _ => None,
        };
        let query = match (&self.registered, query) {
            (Some(registered), query) => {
                let id = document_id.as_deref().map(|id| id.trim_start_matches("sha256:"));
                let id = id.map(str::to_owned).or(persisted);
                let id = id.or_else(|| query.as_deref().map(hash));
                let found = id.as_ref().and_then(|id| registered.get(id));
                found.ok_or_else(not_registered)?.to_string()
            }
            (None, Some(query)) => {
                if let Some(expected) = persisted {
                    if hash(&query) != expected {
                        let message = "The query does not have the hash that was sent with it.";
                        return Err(Rejection::malformed(message));
                    }
                    self.sent.insert(expected, query.as_str().into());
                }
                query
            }
            (None, None) => match persisted.or(document_id) {
                Some(id) => {
                    let found = self.sent.get(id.trim_start_matches("sha256:"));
                    found.ok_or_else(|| told(NOT_FOUND))?.to_string()
                }
                None => return Err(Rejection::malformed("The parameter \"query\" is missing.")),
            },
        };
        Ok(Request {
            query,
            // No operation has an empty name, but some clients send one when they mean none.
            operation_name: operation_name.filter(|name| !name.is_empty()),
            variables: variables.unwrap_or_default(),
        })
    }
}

fn persisted_hash(persisted: &Map) -> std::result::Result<String, Rejection> {
    match (persisted.get("version"), persisted.get("sha256Hash")) {
        (Some(Value::Int(1)), Some(Value::String(hash))) => Ok(hash.to_ascii_lowercase()),
        (Some(Value::Int(1)), _) => {
            Err(Rejection::malformed("\"persistedQuery\" needs a \"sha256Hash\"."))
        }
        _ => Err(told(NOT_SUPPORTED)),
    }
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// What clients of automatic persisted queries are told, which is no failure of HTTP.
fn told((code, message): (&'static str, &'static str)) -> Rejection {
    Rejection::new(StatusCode::OK, code, message)
}

fn not_registered() -> Rejection {
    let message = "Only registered operations are executed here, and this is none.";
    Rejection::new(StatusCode::FORBIDDEN, "operation_not_registered", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(operations: &Operations, json: &str) -> std::result::Result<String, String> {
        let parameters = Parameters::of_json(json.as_bytes()).unwrap();
        match operations.request(parameters) {
            Ok(request) => Ok(request.query),
            Err(rejection) => Err(format!("{} {}", rejection.status.as_u16(), rejection.message)),
        }
    }

    #[test]
    fn a_query_that_was_sent_with_its_hash_is_known_by_it() {
        let operations = Operations::default();
        let hash = hash("{ a }");
        let by = |hash: &str, query: &str| {
            format!(
                r#"{{{query}"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}}}"#
            )
        };
        assert_eq!(ask(&operations, &by(&hash, "")).unwrap_err(), "200 PersistedQueryNotFound");
        let query = r#""query":"{ a }","#;
        let wrong = ask(&operations, &by("00", query)).unwrap_err();
        assert_eq!(wrong, "400 The query does not have the hash that was sent with it.");
        assert_eq!(ask(&operations, &by(&hash, query)).unwrap(), "{ a }");
        assert_eq!(ask(&operations, &by(&hash, "")).unwrap(), "{ a }");
        assert_eq!(
            ask(&operations, &format!(r#"{{"documentId":"sha256:{hash}"}}"#)).unwrap(),
            "{ a }"
        );
        let future = r#"{"extensions":{"persistedQuery":{"version":2,"sha256Hash":"00"}}}"#;
        assert_eq!(ask(&operations, future).unwrap_err(), "200 PersistedQueryNotSupported");
        assert_eq!(ask(&operations, "{}").unwrap_err(), "400 The parameter \"query\" is missing.");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let operations = Operations::default();
        for i in 0..10_000 {
            let text = format!("{{ a{i} }} #{}", "x".repeat(1_000));
            operations.sent.insert(hash(&text), text.into());
        }
        assert!(operations.sent.weight() <= KEPT);
    }

    #[test]
    fn only_registered_operations_are_executed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("operations.json");
        std::fs::write(&file, r#"{"a": "{ a }", "b": "query B { b }"}"#).unwrap();
        let operations = Operations::load(Some(&file)).unwrap();
        assert_eq!(ask(&operations, r#"{"documentId": "a"}"#).unwrap(), "{ a }");
        assert_eq!(ask(&operations, r#"{"query": "query B { b }"}"#).unwrap(), "query B { b }");
        for other in [r#"{"query": "{ b }"}"#, r#"{"documentId": "c"}"#, "{}"] {
            assert!(
                ask(&operations, other).unwrap_err().starts_with("403 Only registered"),
                "{other}"
            );
        }
        // An id is what counts, whatever text comes with it.
        let both = r#"{"documentId": "a", "query": "{ secret }"}"#;
        assert_eq!(ask(&operations, both).unwrap(), "{ a }");
        std::fs::write(&file, r#"{"a": "{ a"}"#).unwrap();
        let error = Operations::load(Some(&file)).err().unwrap().to_string();
        assert!(error.contains("operations.json: \"a\" is no GraphQL"), "{error}");
    }
}
