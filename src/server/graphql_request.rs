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
use crate::extension::graphql::Request;
use crate::value::{Map, Value};

/// The parameters of a request. Those that are null are absent.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub query: Option<String>,
    operation_name: Option<String>,
    variables: Option<Map>,
}

impl Parameters {
    /// Reads the query component of a `GET`'s URL. An empty parameter is an absent one.
    pub(super) fn of_url(uri: &Uri) -> Result<Self, Rejection> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Rejection::malformed(format!("The URL cannot be read: {error}.")))?;
        let [mut query, mut operation_name, mut variables, mut extensions] = [const { None }; 4];
        for (name, value) in pairs {
            let parameter = match name.as_str() {
                "query" => &mut query,
                "operationName" => &mut operation_name,
                "variables" => &mut variables,
                "extensions" => &mut extensions,
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
        // Nothing uses extensions, but wrong ones are wrong.
        object("extensions", extensions)?;
        Ok(Parameters {
            query: query.filter(|query| !query.is_empty()),
            operation_name,
            variables: object("variables", variables)?,
        })
    }

    /// Reads the body of a `POST`.
    pub(super) async fn of_body(
        headers: &HeaderMap,
        body: Body,
        limit: usize,
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
        read(&bytes, ParametersVisitor).map_err(|error| {
            Rejection::malformed(match error.is_data() {
                true => format!("The request body is not a GraphQL request: {error}."),
                false => format!("The request body is not JSON: {error}."),
            })
        })
    }

    /// The request, if there is a query.
    pub(super) fn into_request(self) -> Result<Request, Rejection> {
        let Some(query) = self.query else {
            return Err(Rejection::malformed("The parameter \"query\" is missing."));
        };
        Ok(Request {
            query,
            // No operation has an empty name, but some clients send one when they mean none.
            operation_name: self.operation_name.filter(|name| !name.is_empty()),
            variables: self.variables.unwrap_or_default(),
        })
    }
}

fn read<'de, S: DeserializeSeed<'de>>(json: &'de [u8], seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct ParametersVisitor;

impl<'de> DeserializeSeed<'de> for ParametersVisitor {
    type Value = Parameters;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Parameters, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ParametersVisitor {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with a \"query\"")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Parameters, A::Error> {
        Err(A::Error::custom("batches are not supported, send one request at a time"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
        let mut parameters = Parameters::default();
        let mut seen = [false; 4];
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
                    map.next_value_seed(Object(once(3, "extensions")?))?;
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
