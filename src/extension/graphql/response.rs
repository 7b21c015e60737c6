//! Requests, responses and errors as clients see them.

use std::sync::Arc;

use async_graphql::Pos;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::output::Output;
use crate::error::Error;
use crate::value::{Map, Value};

/// A GraphQL request, whatever carried it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    pub query: String,
    /// Which operation of the document to execute; needed if it has several.
    pub operation_name: Option<String>,
    pub variables: Map,
}

impl Request {
    /// A request with no variables.
    pub fn new(query: impl Into<String>) -> Self {
        Request { query: query.into(), ..Default::default() }
    }
}

/// Which operations a transport allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Queries and mutations.
    AnyOperation,
    /// For `GET`, which must not change anything.
    QueryOnly,
    Subscription,
}

/// How far a request got. All but `Executed` are request errors (specification, section 7.1.2):
/// the response has no `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The document is not GraphQL.
    ParseFailed,
    /// The document does not fit the schema, or the operation to execute is not in it.
    ValidationFailed,
    /// The transport does not allow this kind of operation.
    OperationNotAllowed,
    /// The variables do not fit their types.
    InvalidVariables,
    /// The operation was executed, perhaps with field errors.
    Executed,
}

/// The answer to a [`Request`]. Serializes to the response map of the specification (section 7.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// `None` if nothing was executed. [`Output::Null`] if an error reached the root.
    pub data: Option<Output>,
    pub errors: Vec<GraphqlError>,
    pub outcome: Outcome,
}

impl Response {
    /// A request error.
    pub(super) fn refused(outcome: Outcome, errors: Vec<GraphqlError>) -> Self {
        Response { data: None, errors, outcome }
    }
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = usize::from(!self.errors.is_empty()) + usize::from(self.data.is_some());
        let mut map = serializer.serialize_map(Some(entries))?;
        if !self.errors.is_empty() {
            map.serialize_entry("errors", &self.errors)?;
        }
        if let Some(data) = &self.data {
            map.serialize_entry("data", data)?;
        }
        map.end()
    }
}

/// A place in the query text, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Location {
    pub line: usize,
    pub column: usize,
}

impl From<Pos> for Location {
    fn from(pos: Pos) -> Self {
        Location { line: pos.line, column: pos.column }
    }
}

/// One step of a path into the response, or into an argument.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum PathSegment {
    Key(Arc<str>),
    Index(usize),
}

impl From<&PathSegment> for Value {
    fn from(segment: &PathSegment) -> Self {
        match segment {
            PathSegment::Key(key) => Value::from(&**key),
            // A list that long does not fit into memory.
            PathSegment::Index(index) => Value::Int(i64::try_from(*index).unwrap_or(i64::MAX)),
        }
    }
}

/// Writes a path as `a.b[0].c`.
pub(super) fn path_text(path: &[PathSegment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            PathSegment::Key(key) if text.is_empty() => text.push_str(key),
            PathSegment::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            PathSegment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// An entry of `errors` (specification, section 7.1.2). Its code is in `extensions.code`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphqlError {
    pub message: String,
    pub locations: Vec<Location>,
    /// Empty for request errors.
    pub path: Vec<PathSegment>,
    pub extensions: Map,
}

impl GraphqlError {
    /// An error with a code and no place.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut extensions = Map::new();
        extensions.insert("code".to_owned(), code.into());
        GraphqlError {
            message: message.into(),
            locations: Vec::new(),
            path: Vec::new(),
            extensions,
        }
    }

    /// Adds a place in the query text.
    pub fn at(mut self, location: impl Into<Location>) -> Self {
        self.locations.push(location.into());
        self
    }

    /// Adds a key to `extensions`.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(key.to_owned(), value.into());
        self
    }

    /// Removes suggestions, which tell what is in the schema.
    pub(super) fn drop_hints(&mut self) {
        fn cut(message: &mut String) {
            if let Some(at) = message.find(" Did you mean") {
                message.truncate(at);
            }
        }
        cut(&mut self.message);
        if let Some(Value::List(issues)) = self.extensions.get_mut("issues") {
            for issue in issues {
                if let Value::Map(issue) = issue
                    && let Some(Value::String(message)) = issue.get_mut("message")
                {
                    cut(message);
                }
            }
        }
    }

    /// The code.
    pub fn code(&self) -> &str {
        self.extensions.get("code").and_then(Value::as_str).unwrap_or_default()
    }
}

impl From<Error> for GraphqlError {
    /// The error as written, without masking.
    fn from(error: Error) -> Self {
        let mut extensions = Map::with_capacity(error.extensions.len() + 1);
        extensions.insert("code".to_owned(), Value::String(error.code));
        // The code is the error's, whatever its extensions say.
        extensions.extend(error.extensions.into_iter().filter(|(key, _)| key != "code"));
        GraphqlError { message: error.message, locations: Vec::new(), path: Vec::new(), extensions }
    }
}

impl Serialize for GraphqlError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", &self.message)?;
        if !self.locations.is_empty() {
            map.serialize_entry("locations", &self.locations)?;
        }
        if !self.path.is_empty() {
            map.serialize_entry("path", &self.path)?;
        }
        if !self.extensions.is_empty() {
            map.serialize_entry("extensions", &self.extensions)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_errors_have_no_data_and_field_errors_have_it_even_if_null() {
        let error = GraphqlError::new("c", "m").at(Pos { line: 1, column: 2 });
        let refused = Response::refused(Outcome::ParseFailed, vec![error]);
        assert_eq!(
            serde_json::to_string(&refused).unwrap(),
            r#"{"errors":[{"message":"m","locations":[{"line":1,"column":2}],"extensions":{"code":"c"}}]}"#
        );
        let done =
            Response { data: Some(Output::Null), errors: vec![], outcome: Outcome::Executed };
        assert_eq!(serde_json::to_string(&done).unwrap(), r#"{"data":null}"#);
    }

    #[test]
    fn extensions_cannot_replace_the_code() {
        let error = Error::new("real", "m").with("code", "fake").with("more", 1);
        let error = GraphqlError::from(error);
        assert_eq!(error.code(), "real");
        assert_eq!(error.extensions.get("more"), Some(&Value::Int(1)));
    }
}
