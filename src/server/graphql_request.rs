//! From an HTTP request to a GraphQL request, or to the reason why it is none.

use std::fmt;

use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::body::{Rejection, receive};
use super::drain::drain;
use super::media_type::check_json;
use crate::value::{Map, Value};

/// The parameters of a request. Those that are null are absent.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub query: Option<String>,
    pub operation_name: Option<String>,
    pub variables: Option<Map>,
    pub extensions: Option<Map>,
    /// The id of an operation that the server knows.
    pub document_id: Option<String>,
}

/// What a body asks for.
#[derive(Debug)]
pub(super) enum Asked {
    One(Parameters),
    /// Several, to be answered together.
    Batch(Vec<Parameters>),
}

impl Parameters {
    /// Reads the query component of a `GET`'s URL. An empty parameter is an absent one.
    pub(super) fn of_url(uri: &Uri) -> Result<Self, Rejection> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Rejection::malformed(format!("The URL cannot be read: {error}.")))?;
        let [mut query, mut operation_name, mut variables, mut extensions, mut document_id] =
            [const { None }; 5];
        for (name, value) in pairs {
            let parameter = match name.as_str() {
                "query" => &mut query,
                "operationName" => &mut operation_name,
                "variables" => &mut variables,
                "extensions" => &mut extensions,
                "documentId" => &mut document_id,
                _ => continue,
            };
            if parameter.replace(value).is_some() {
                return Err(Rejection::malformed(format!("The parameter {name:?} is repeated.")));
            }
        }
        let object = |name, text: Option<String>| match text.filter(|text| !text.is_empty()) {
            Some(text) => read(text.as_bytes(), Object(name)).map_err(|e| {
                Rejection::malformed(format!("The parameter {name:?} is wrong: {e}."))
            }),
            None => Ok(None),
        };
        Ok(Parameters {
            query: query.filter(|query| !query.is_empty()),
            operation_name,
            variables: object("variables", variables)?,
            extensions: object("extensions", extensions)?,
            document_id: document_id.filter(|id| !id.is_empty()),
        })
    }

    /// Whether nothing is asked for.
    pub(super) fn is_nothing(&self) -> bool {
        self.query.is_none() && self.extensions.is_none() && self.document_id.is_none()
    }

    /// Reads one request, such as the payload of a message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of_json(json: &[u8]) -> serde_json::Result<Self> {
        read(json, One)
    }
}

impl Asked {
    /// Reads the body of a `POST`, which is JSON. A batch may have `batch_limit` requests.
    pub(super) async fn of_body(
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        batch_limit: usize,
    ) -> Result<Self, Rejection> {
        if let Err(message) = check_json(headers) {
            drain(body);
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Rejection::new(status, "unsupported_media_type", message));
        }
        let bytes = receive(body, limit).await?;
        if bytes.is_empty() {
            return Err(Rejection::malformed("The request body is empty."));
        }
        Asked::of_json(&bytes, batch_limit, "The request body")
    }

    /// Reads one request or a batch. `what` names the text for messages.
    pub(super) fn of_json(json: &[u8], batch_limit: usize, what: &str) -> Result<Self, Rejection> {
        read(json, AskedVisitor { batch_limit }).map_err(|error| {
            Rejection::malformed(match error.is_data() {
                true => format!("{what} is not a GraphQL request: {error}."),
                false => format!("{what} is not JSON: {error}."),
            })
        })
    }
}

fn read<'de, S: DeserializeSeed<'de>>(json: &'de [u8], seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A request.
struct One;

impl<'de> DeserializeSeed<'de> for One {
    type Value = Parameters;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parameters, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// A request, or a list of them.
struct AskedVisitor {
    batch_limit: usize,
}

impl<'de> DeserializeSeed<'de> for AskedVisitor {
    type Value = Asked;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Asked, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AskedVisitor {
    type Value = Asked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with a \"query\"")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Asked, A::Error> {
        if self.batch_limit == 0 {
            return Err(A::Error::custom("batches are not supported, send one request at a time"));
        }
        let mut all = Vec::new();
        while let Some(one) = seq.next_element_seed(One)? {
            if all.len() == self.batch_limit {
                return Err(A::Error::custom(format!(
                    "the batch has more requests than graphql-batch-limit, which is {}",
                    self.batch_limit
                )));
            }
            all.push(one);
        }
        match all.is_empty() {
            true => Err(A::Error::custom("the batch is empty")),
            false => Ok(Asked::Batch(all)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Asked, A::Error> {
        One.visit_map(map).map(Asked::One)
    }
}

impl<'de> Visitor<'de> for One {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with a \"query\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
        let mut parameters = Parameters::default();
        let mut seen = [false; 5];
        let mut once = |i: usize, name: &'static str| match std::mem::replace(&mut seen[i], true) {
            true => Err(A::Error::duplicate_field(name)),
            false => Ok(name),
        };
        while let Some(key) = map.next_key_seed(Key)? {
            match key {
                Parameter::Query => {
                    parameters.query = map.next_value_seed(Text(once(0, "query")?))?;
                }
                Parameter::OperationName => {
                    let seed = Text(once(1, "operationName")?);
                    parameters.operation_name = map.next_value_seed(seed)?;
                }
                Parameter::Variables => {
                    parameters.variables = map.next_value_seed(Object(once(2, "variables")?))?;
                }
                Parameter::Extensions => {
                    let seed = Object(once(3, "extensions")?);
                    parameters.extensions = map.next_value_seed(seed)?;
                }
                Parameter::DocumentId => {
                    let seed = Text(once(4, "documentId")?);
                    parameters.document_id = map.next_value_seed(seed)?;
                }
                Parameter::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(parameters)
    }
}

enum Parameter {
    Query,
    OperationName,
    Variables,
    Extensions,
    DocumentId,
    /// To be ignored, says the specification.
    Unknown,
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Parameter;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parameter, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Parameter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a parameter")
    }

    fn visit_str<E>(self, name: &str) -> Result<Parameter, E> {
        Ok(match name {
            "query" => Parameter::Query,
            "operationName" => Parameter::OperationName,
            "variables" => Parameter::Variables,
            "extensions" => Parameter::Extensions,
            "documentId" => Parameter::DocumentId,
            _ => Parameter::Unknown,
        })
    }
}

/// A parameter of this name that is a string or null.
struct Text(&'static str);

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to be a string", self.0)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }
}

/// A parameter of this name that is an object or null.
struct Object(&'static str);

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Option<Map>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Option<Map>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to be an object", self.0)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        match Value::deserialize(MapAccessDeserializer::new(map))? {
            Value::Map(map) => Ok(Some(map)),
            other => {
                Err(A::Error::custom(format!("expected an object, found {}", other.type_name())))
            }
        }
    }
}
