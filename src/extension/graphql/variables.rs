//! The variables of a request, and the errors that clients see of input that does not fit.

use std::sync::Arc;

use async_graphql::Positioned;
use async_graphql::parser::types::VariableDefinition;

use super::coerce::{Coercer, CustomValue, Issue, Variables, type_ref};
use super::constraints;
use super::field::guarded;
use super::report::MASKED;
use super::response::{GraphqlError, PathSegment, path_text};
use super::tables::{Field, Types};
use crate::error::{Error, code};
use crate::request::RequestContext;
use crate::value::{Map, Value};

/// CoerceVariableValues (section 6.1.2). A variable that was not given and has no default is an
/// absent key.
///
/// # Errors
///
/// One error for each thing that is wrong, with the code `invalid_arguments`.
pub(super) async fn variables(
    types: &Types,
    definitions: &[Positioned<VariableDefinition>],
    given: &Map,
    cx: &RequestContext,
) -> Result<Map, Vec<GraphqlError>> {
    let mut out = Map::with_capacity(definitions.len());
    let mut errors = Vec::new();
    for definition in definitions {
        let name: Arc<str> = definition.node.name.node.as_str().into();
        let ty = type_ref(&definition.node.var_type.node);
        let mut coercer = Coercer::new(types);
        coercer.path.push(PathSegment::Key(name.clone()));
        let refused = |path: &[PathSegment], message: String| {
            variable_error(path, message).at(definition.pos)
        };
        match given.get(&*name) {
            None => {
                if let Some(default) = &definition.node.default_value {
                    let literal = default.node.clone().into_value();
                    let value = coercer.literal(&ty, &literal, Variables::Unknown(&[]));
                    out.insert(name.to_string(), value.unwrap_or_default());
                } else if ty.is_non_null() {
                    let message =
                        format!("Variable \"${name}\" of required type \"{ty}\" was not provided.");
                    errors.push(refused(&coercer.path, message));
                }
            }
            Some(Value::Null) if ty.is_non_null() => {
                let message =
                    format!("Variable \"${name}\" of non-null type \"{ty}\" must not be null.");
                errors.push(refused(&coercer.path, message));
            }
            Some(value) => {
                let value = coercer.value(&ty, value);
                out.insert(name.to_string(), value);
            }
        }
        if let (true, Some(value)) = (coercer.issues.is_empty(), out.get_mut(&*name)) {
            match read_custom(value, &coercer.custom, cx).await {
                Ok(issues) => coercer.issues = issues,
                Err(error) => {
                    tracing::error!(request_id = %cx.info.id, %error, "a scalar cannot be read");
                    let error = GraphqlError::new(code::UNEXPECTED, MASKED);
                    errors.push(error.with("requestId", cx.info.id.as_str()));
                }
            }
        }
        for issue in coercer.issues {
            let at = match issue.path.len() {
                0 | 1 => String::new(),
                _ => format!(" at \"{}\"", path_text(&issue.path)),
            };
            let message = format!(
                "Variable \"${name}\" got invalid value {}{at}; {}",
                issue.found, issue.message
            );
            errors.push(refused(&issue.path, message));
        }
    }
    match errors.is_empty() {
        true => Ok(out),
        false => Err(errors),
    }
}

/// Lets the owners of custom scalars read their values in `root`. Gives what is wrong with them.
///
/// # Errors
///
/// When an owner cannot tell.
pub(super) async fn read_custom(
    root: &mut Value,
    custom: &[CustomValue],
    cx: &RequestContext,
) -> Result<Vec<Issue>, Error> {
    let mut issues = Vec::new();
    for CustomValue { scalar, path, place } in custom {
        let Some(value) = place.iter().try_fold(&mut *root, |value, step| match (step, value) {
            (PathSegment::Key(key), Value::Map(map)) => map.get_mut(&**key),
            (PathSegment::Index(index), Value::List(list)) => list.get_mut(*index),
            _ => None,
        }) else {
            continue;
        };
        // A null in a literal, or a variable in one that has no value.
        if value.is_null() {
            continue;
        }
        match guarded(scalar.codec.parse(value, cx)).await? {
            Ok(read) => *value = read,
            Err(reason) => {
                let message = format!("Expected type \"{}\"; {reason}", scalar.name);
                issues.push(Issue { path: path.clone(), found: value.excerpt(), message });
            }
        }
    }
    Ok(issues)
}

fn variable_error(path: &[PathSegment], message: String) -> GraphqlError {
    let issue = issue_value(path, &message);
    GraphqlError::new(code::INVALID_ARGUMENTS, message).with("issues", vec![issue])
}

fn issue_value(path: &[PathSegment], message: &str) -> Value {
    let mut map = Map::new();
    map.insert("argumentPath".to_owned(), path.iter().map(Value::from).collect::<Vec<_>>().into());
    map.insert("message".to_owned(), message.into());
    Value::Map(map)
}

/// The field error for arguments that do not fit: `invalid_arguments` with all issues.
pub(super) fn arguments_error(issues: &[Issue]) -> Error {
    let message = issues
        .iter()
        .map(|issue| format!("Argument \"{}\": {}", path_text(&issue.path), issue.message))
        .collect::<Vec<_>>()
        .join(" ");
    let issues: Vec<Value> =
        issues.iter().map(|issue| issue_value(&issue.path, &issue.message)).collect();
    Error::new(code::INVALID_ARGUMENTS, message).with("issues", issues)
}

/// Checks a field's coerced arguments against their constraints.
///
/// # Errors
///
/// `invalid_arguments` with an issue for each that is not met.
pub(super) fn check_constraints(types: &Types, field: &Field, args: &Map) -> Result<(), Error> {
    if !field.constrained {
        return Ok(());
    }
    match constraints::check(types, &field.args, args).as_slice() {
        [] => Ok(()),
        issues => Err(arguments_error(issues)),
    }
}
