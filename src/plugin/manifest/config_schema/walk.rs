//! Walking a value along the schemas that apply to its parts.

use std::collections::HashSet;

use regex::RegexBuilder;
use serde_json::{Map as JsonMap, Value as Json};

use super::MAX_PATTERN;

/// How many values defaults may add to one configuration: schemas that refer to each other can
/// describe far more than they say.
const MAX_DEFAULTS: usize = 1_000;

/// How deep defaults may create values within each other.
const MAX_DEPTH: usize = 32;

const MAPS: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const SINGLES: [&str; 11] = [
    "items",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
];

/// The schemas directly within a schema, with the keys that lead to them.
pub(super) fn subschemas(schema: &Json) -> Vec<(Vec<String>, &Json)> {
    let mut found = Vec::new();
    for key in MAPS {
        for (name, inner) in schema.get(key).and_then(Json::as_object).into_iter().flatten() {
            found.push((vec![key.to_owned(), name.clone()], inner));
        }
    }
    for key in LISTS {
        let items = schema.get(key).and_then(Json::as_array).into_iter().flatten();
        for (index, inner) in items.enumerate() {
            found.push((vec![key.to_owned(), index.to_string()], inner));
        }
    }
    for key in SINGLES {
        if let Some(inner) = schema.get(key) {
            found.push((vec![key.to_owned()], inner));
        }
    }
    found
}

/// Which schemas that stand beside each other apply to one value.
#[derive(Clone, Copy, PartialEq)]
enum Which {
    /// Those that apply to every value.
    Certain,
    /// Also those that apply under a condition.
    Possible,
}

pub(super) struct Walker<'s> {
    root: &'s Json,
    /// How many values defaults have added.
    added: usize,
}

impl<'s> Walker<'s> {
    pub(super) fn new(root: &'s Json) -> Self {
        Walker { root, added: 0 }
    }

    /// Where a reference within the schema leads to: a pointer or an anchor.
    pub(super) fn resolve(&self, reference: &str) -> Option<&'s Json> {
        let fragment = reference.strip_prefix('#')?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.root.pointer(fragment);
        }
        let mut open = vec![self.root];
        while let Some(schema) = open.pop() {
            let named = |key| schema.get(key).and_then(Json::as_str) == Some(fragment);
            if named("$anchor") || named("$dynamicAnchor") {
                return Some(schema);
            }
            open.extend(subschemas(schema).into_iter().map(|(_, inner)| inner));
        }
        None
    }

    /// The schemas, and those that they say apply to the same value.
    fn expand(&self, schemas: &[&'s Json], which: Which) -> Vec<&'s Json> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        let mut open: Vec<&Json> = schemas.iter().rev().copied().collect();
        while let Some(schema) = open.pop() {
            if !seen.insert(std::ptr::from_ref(schema)) {
                continue;
            }
            all.push(schema);
            for key in ["$ref", "$dynamicRef"] {
                open.extend(schema.get(key).and_then(Json::as_str).and_then(|r| self.resolve(r)));
            }
            let list = |key| schema.get(key).and_then(Json::as_array).into_iter().flatten();
            open.extend(list("allOf"));
            if which == Which::Possible {
                open.extend(list("anyOf").chain(list("oneOf")));
                open.extend(["if", "then", "else"].into_iter().filter_map(|key| schema.get(key)));
                let dependent = schema.get("dependentSchemas").and_then(Json::as_object);
                open.extend(dependent.into_iter().flat_map(JsonMap::values));
            }
        }
        all
    }

    /// The value without what a schema calls `writeOnly`; nothing if that is all of it.
    pub(super) fn visible(&self, value: &Json) -> Option<Json> {
        self.visible_by(&[self.root], value)
    }

    fn visible_by(&self, schemas: &[&'s Json], value: &Json) -> Option<Json> {
        let which = Which::Possible;
        let all = self.expand(schemas, which);
        if all.iter().any(|schema| schema.get("writeOnly") == Some(&Json::Bool(true))) {
            return None;
        }
        Some(match value {
            Json::Object(map) => {
                let entries = map.iter().filter_map(|(key, value)| {
                    let schemas: Vec<_> =
                        all.iter().flat_map(|s| of_property(s, key, which)).collect();
                    Some((key.clone(), self.visible_by(&schemas, value)?))
                });
                Json::Object(entries.collect())
            }
            Json::Array(items) => {
                let items = items.iter().enumerate().filter_map(|(index, item)| {
                    let schemas: Vec<_> =
                        all.iter().flat_map(|s| of_item(s, index, which)).collect();
                    self.visible_by(&schemas, item)
                });
                Json::Array(items.collect())
            }
            other => other.clone(),
        })
    }

    /// Adds defaults where the value has nothing.
    pub(super) fn fill(&mut self, value: &mut Json) {
        self.fill_by(&[self.root], value, &mut Vec::new());
    }

    /// `above` are the schemas whose defaults are being made: one within itself has no end.
    fn fill_by(&mut self, schemas: &[&'s Json], value: &mut Json, above: &mut Vec<*const Json>) {
        let which = Which::Certain;
        let all = self.expand(schemas, which);
        match value {
            Json::Object(map) => {
                for (key, value) in map.iter_mut() {
                    let schemas: Vec<_> =
                        all.iter().flat_map(|s| of_property(s, key, which)).collect();
                    self.fill_by(&schemas, value, above);
                }
                let properties =
                    all.iter().filter_map(|s| s.get("properties").and_then(Json::as_object));
                for (key, schema) in properties.flatten() {
                    if !map.contains_key(key)
                        && let Some(value) = self.default_of(schema, above)
                    {
                        map.insert(key.clone(), value);
                    }
                }
            }
            Json::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let schemas: Vec<_> =
                        all.iter().flat_map(|s| of_item(s, index, which)).collect();
                    self.fill_by(&schemas, item, above);
                }
            }
            _ => {}
        }
    }

    /// What stands where there is nothing, if anything does.
    fn default_of(&mut self, schema: &'s Json, above: &mut Vec<*const Json>) -> Option<Json> {
        let address = std::ptr::from_ref(schema);
        if above.contains(&address) || above.len() == MAX_DEPTH || self.added == MAX_DEFAULTS {
            return None;
        }
        let all = self.expand(&[schema], Which::Certain);
        let own = all.iter().find_map(|schema| schema.get("default"));
        let is_object = |s: &&Json| s.get("type").and_then(Json::as_str) == Some("object");
        if own.is_none() && !all.iter().any(is_object) {
            return None;
        }
        let mut value = own.cloned().unwrap_or_else(|| Json::Object(JsonMap::new()));
        self.added += 1;
        above.push(address);
        self.fill_by(&[schema], &mut value, above);
        above.pop();
        if own.is_some() {
            return Some(value);
        }
        let made = value.as_object()?;
        let mut required = all
            .iter()
            .filter_map(|schema| schema.get("required").and_then(Json::as_array))
            .flatten()
            .filter_map(Json::as_str);
        let whole = !made.is_empty() && required.all(|key| made.contains_key(key));
        whole.then_some(value)
    }
}

/// The schemas that one schema has for the property of an object.
fn of_property<'s>(schema: &'s Json, key: &str, which: Which) -> Vec<&'s Json> {
    let named = schema.get("properties").and_then(|properties| properties.get(key));
    let patterns = schema.get("patternProperties").and_then(Json::as_object);
    let mut found: Vec<_> = patterns
        .into_iter()
        .flatten()
        .filter(|(pattern, _)| matches(pattern, key))
        .map(|(_, schema)| schema)
        .chain(named)
        .collect();
    if found.is_empty() {
        found.extend(schema.get("additionalProperties"));
        // Whether another schema has evaluated the property is not looked at.
        found.extend(schema.get("unevaluatedProperties").filter(|_| which == Which::Possible));
    }
    found
}

/// The schemas that one schema has for the item of a list.
fn of_item(schema: &Json, index: usize, which: Which) -> Vec<&Json> {
    let first = schema.get("prefixItems").and_then(|items| items.get(index));
    let mut found: Vec<_> = first.or_else(|| schema.get("items")).into_iter().collect();
    if which == Which::Possible {
        let some = ["contains", "unevaluatedItems"];
        found.extend(some.into_iter().filter_map(|key| schema.get(key)));
    }
    found
}

/// A pattern that cannot be read, which compiling the schema would have found, matches everything:
/// then more is hidden, not less.
fn matches(pattern: &str, key: &str) -> bool {
    let built = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
    built.map_or(true, |regex| regex.is_match(key))
}
