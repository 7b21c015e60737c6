//! The result of an execution: a tree that is written as JSON with its keys in selection order.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::value::{MAX_SAFE_INTEGER, Value};

/// A completed value.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Null,
    Bool(bool),
    Int(i64),
    /// Always finite.
    Float(f64),
    Str(String),
    /// A text that belongs to the schema: a type's name.
    Name(Arc<str>),
    /// A value of the `JSON` scalar, checked to have a JSON notation.
    Json(Value),
    List(Vec<Output>),
    /// Response keys and values, in selection order.
    Object(Vec<(Arc<str>, Output)>),
}

impl Output {
    /// The value under a response key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Output> {
        match self {
            Output::Object(entries) => {
                entries.iter().find(|(name, _)| &**name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

impl Serialize for Output {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Output::Null => serializer.serialize_unit(),
            Output::Bool(b) => serializer.serialize_bool(*b),
            Output::Int(i) => serializer.serialize_i64(*i),
            Output::Float(f) if f.fract() == 0.0 && f.abs() <= MAX_SAFE_INTEGER as f64 => {
                serializer.serialize_i64(*f as i64)
            }
            Output::Float(f) => serializer.serialize_f64(*f),
            Output::Str(s) => serializer.serialize_str(s),
            Output::Name(s) => serializer.serialize_str(s),
            Output::Json(value) => value.serialize(serializer),
            Output::List(list) => serializer.collect_seq(list),
            Output::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&**key, value)?;
                }
                map.end()
            }
        }
    }
}
