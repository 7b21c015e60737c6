//! `configSchema`: what a plugin's configuration must be, as JSON Schema 2020-12.
//!
//! A schema is complete in itself: references lead to places within it, and nothing is fetched.
//! Patterns are those of the crate `regex`, which matches in linear time.

mod walk;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value as Json;

use self::walk::{Walker, subschemas};
use super::check::{Check, Fields, Node};
use super::document::child_path;
use crate::value::{Map, Value};

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// How many issues of one configuration are reported.
const MAX_ISSUES: usize = 100;

/// The only version of JSON Schema there is here.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A compiled schema; clones share it.
#[derive(Clone)]
pub struct ConfigSchema(Arc<Compiled>);

struct Compiled {
    schema: Json,
    validator: Validator,
}

/// One thing that is wrong with a configuration. The message does not quote the value, which may be
/// a secret.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigIssue {
    /// Keys and list positions (from 0) that lead to it.
    pub path: Vec<Value>,
    pub message: String,
}

impl fmt::Display for ConfigIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.iter().fold("config".to_owned(), |path, step| match step {
            Value::String(key) => child_path(&path, key),
            index => format!("{path}[{}]", index.excerpt()),
        });
        write!(f, "{path}: {}", self.message)
    }
}

impl fmt::Debug for ConfigSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigSchema")
    }
}

impl ConfigSchema {
    /// Everything that is wrong with a configuration, once defaults are filled in.
    pub fn issues(&self, config: &Value) -> Vec<ConfigIssue> {
        if !matches!(config, Value::Map(_)) {
            let message = "the configuration must be an object".to_owned();
            return vec![ConfigIssue { path: Vec::new(), message }];
        }
        let json = self.filled(config);
        self.0.validator.iter_errors(&json).take(MAX_ISSUES).map(issue).collect()
    }

    /// The configuration with the schema's defaults where it has nothing. An object that is not
    /// there is made if defaults give it all that it requires.
    pub fn complete(&self, config: &Value) -> Value {
        Value::from(&self.filled(config))
    }

    /// The configuration without what is `writeOnly`, under whatever condition.
    pub fn visible(&self, config: &Value) -> Value {
        let visible = Walker::new(&self.0.schema).visible(&json(config));
        visible.as_ref().map(Value::from).unwrap_or_default()
    }

    fn filled(&self, config: &Value) -> Json {
        let mut json = json(config);
        Walker::new(&self.0.schema).fill(&mut json);
        json
    }

    fn compile(schema: &Json) -> Result<Self, Vec<(String, String)>> {
        let meta = jsonschema::draft202012::meta::validator();
        let wrong: BTreeSet<_> =
            meta.iter_errors(schema).map(|e| (shown(e.instance_path()), e.to_string())).collect();
        // The meta-schema consists of several, each of which says the same of what is no schema.
        let wrong: Vec<_> = wrong.into_iter().collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let wrong = inner_only(schema);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let validator = jsonschema::draft202012::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN))
            .build(schema)
            .map_err(|e| vec![(shown(e.instance_path()), e.to_string())])?;
        Ok(ConfigSchema(Arc::new(Compiled { schema: schema.clone(), validator })))
    }
}

impl super::Manifest {
    /// What the plugin sees as its configuration when `stored` is what was set: always an object,
    /// with defaults, and empty for a plugin that has no schema.
    pub fn config(&self, stored: Option<&Value>) -> Value {
        let Some(schema) = &self.config_schema else { return Value::Map(Map::new()) };
        schema.complete(stored.unwrap_or(&Value::Map(Map::new())))
    }
}

/// Reads `configSchema`.
pub(super) fn read(check: &mut Check<'_>, node: &Node<'_>) -> Option<ConfigSchema> {
    let before = check.problems.len();
    common_mistakes(check, node);
    if check.problems.len() > before {
        return None;
    }
    match ConfigSchema::compile(node.json) {
        Ok(schema) => Some(schema),
        Err(wrong) => {
            for (path, message) in wrong {
                check.problem(&path, message);
            }
            None
        }
    }
}

/// Looks at the parts of the schema that are wrong most often, for messages that say more.
fn common_mistakes(check: &mut Check<'_>, node: &Node<'_>) {
    let Some(schema) = check.map(node) else { return };
    if let Some(draft) = schema.get("$schema") {
        check.string_where(&draft, &format!("{DRAFT:?}"), |s| s.trim_end_matches('#') == DRAFT);
    }
    if let Some(kind) = schema.get("type") {
        check.one_of(&kind, &[("object", ())]);
    }
    if let Some(required) = schema.get("required") {
        check.strings(&required, "the name of a property", |_| true);
    }
    let properties = schema.get("properties").and_then(|node| check.map(&node));
    for (_, property) in properties.iter().flat_map(Fields::entries) {
        // `true` and `false` are schemas too: anything, and nothing.
        if property.json.is_boolean() {
            continue;
        }
        let Some(property) = check.map(&property) else { continue };
        let types = ["string", "integer", "number", "boolean", "object", "array", "null"];
        match property.get("type") {
            Some(kind) if kind.json.is_array() => {
                check.strings(&kind, "the name of a JSON type", |s| types.contains(&s));
            }
            Some(kind) => {
                check.one_of(&kind, &types.map(|name| (name, ())));
            }
            None => {}
        }
        property.flag(check, "writeOnly", false);
    }
}

/// Finds references that do not lead to a place within the schema, and what would change where
/// they lead to.
fn inner_only(schema: &Json) -> Vec<(String, String)> {
    let walker = Walker::new(schema);
    let mut wrong = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![("configSchema".to_owned(), schema)];
    while let Some((path, current)) = open.pop() {
        if !seen.insert(std::ptr::from_ref(current)) {
            continue;
        }
        if !std::ptr::eq(current, schema) && current.get("$id").is_some() {
            let message = "a schema within the schema cannot have an \"$id\"".to_owned();
            wrong.push((child_path(&path, "$id"), message));
        }
        for key in ["$ref", "$dynamicRef"] {
            let Some(reference) = current.get(key).and_then(Json::as_str) else { continue };
            let at = child_path(&path, key);
            match walker.resolve(reference) {
                Some(target) => open.push((at, target)),
                None => wrong.push((
                    at,
                    format!(
                        "expected a reference within the schema, such as \"#/$defs/name\", found \
                         {reference:?}"
                    ),
                )),
            }
        }
        open.extend(subschemas(current).into_iter().map(|(steps, inner)| {
            let path = steps.iter().fold(path.clone(), |path, step| match step.parse::<usize>() {
                Ok(index) if current.get(&steps[0]).is_some_and(Json::is_array) => {
                    format!("{path}[{index}]")
                }
                _ => child_path(&path, step),
            });
            (path, inner)
        }));
    }
    wrong.sort();
    wrong
}

/// A place in the schema as manifest problems show it.
fn shown(place: &Location) -> String {
    place.segments().fold("configSchema".to_owned(), |path, segment| match segment {
        LocationSegment::Property(key) => child_path(&path, &key),
        LocationSegment::Index(index) => format!("{path}[{index}]"),
    })
}

fn issue(error: ValidationError<'_>) -> ConfigIssue {
    let mut path: Vec<Value> = error
        .instance_path()
        .segments()
        .map(|segment| match segment {
            LocationSegment::Property(key) => Value::from(&*key),
            LocationSegment::Index(index) => Value::Int(i64::try_from(index).unwrap_or(i64::MAX)),
        })
        .collect();
    // What is missing is more to the point than where it is missing.
    if let ValidationErrorKind::Required { property } = error.kind() {
        path.push(Value::from(property));
    }
    ConfigIssue { path, message: error.masked_with("the value").to_string() }
}

/// What JSON cannot hold does not come in through GraphQL or the database; it would fail validation
/// as a null.
fn json(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}
