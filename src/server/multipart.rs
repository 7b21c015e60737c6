//! Requests with files, by the GraphQL multipart request specification
//! (<https://github.com/jaydenseric/graphql-multipart-request-spec>).

use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use indexmap::IndexMap;
use multer::{Constraints, Multipart, SizeLimit};

use super::body::Rejection;
use super::drain::drain;
use super::graphql_request::{Asked, Parameters};
use crate::value::{Map, Value};

/// The most files of a request, and the most variables that they are given to.
const MAX_FILES: usize = 20;

/// How long a request may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How large a request may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// With everything.
    pub whole: usize,
    /// The JSON in it.
    pub json: usize,
    /// Requests in a batch.
    pub batch: usize,
}

/// The boundary between the parts, if this is such a request.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    multer::parse_boundary(value).ok()
}

/// Receives the request.
///
/// # Errors
/// When it is malformed, too large or too slow.
pub(super) async fn receive(
    body: Body,
    boundary: String,
    limits: Limits,
) -> Result<Asked, Rejection> {
    let parts = Constraints::new().size_limit(
        SizeLimit::new()
            .whole_stream(limits.whole as u64)
            .for_field("operations", limits.json as u64)
            .for_field("map", limits.json as u64),
    );
    let announced = axum::body::HttpBody::size_hint(&body).lower();
    if announced > limits.whole as u64 {
        drain(body);
        return Err(too_large(limits));
    }
    let multipart = Multipart::with_constraints(body.into_data_stream(), boundary, parts);
    match tokio::time::timeout(TIMEOUT, read(multipart, limits)).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("The request took longer than {TIMEOUT:?}.");
            Err(Rejection::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message))
        }
    }
}

fn too_large(limits: Limits) -> Rejection {
    let message = format!(
        "The request is larger than {} bytes (upload-limit), or the JSON in it than {}.",
        limits.whole, limits.json
    );
    Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
}

async fn read(mut multipart: Multipart<'_>, limits: Limits) -> Result<Asked, Rejection> {
    let failed = |error: multer::Error| match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            too_large(limits)
        }
        error => Rejection::malformed(format!("The multipart request cannot be read: {error}.")),
    };
    let mut json = Vec::new();
    for expected in ["operations", "map"] {
        let field = multipart.next_field().await.map_err(failed)?;
        let Some(field) = field.filter(|field| field.name() == Some(expected)) else {
            let message = format!(
                "A multipart request begins with the fields \"operations\" and \"map\"; {expected:?} is \
                 missing."
            );
            return Err(Rejection::malformed(message));
        };
        json.push(field.bytes().await.map_err(failed)?);
    }
    let mut asked = Asked::of_json(&json[0], limits.batch, "\"operations\"")?;
    let map: IndexMap<String, Vec<String>> = serde_json::from_slice(&json[1]).map_err(|error| {
        Rejection::malformed(format!(
            "\"map\" must be lists of paths by the names of files: {error}."
        ))
    })?;
    if map.values().map(Vec::len).sum::<usize>().max(map.len()) > MAX_FILES {
        let message = format!("A request may have at most {MAX_FILES} files.");
        return Err(Rejection::malformed(message));
    }
    let mut left = map;
    let mut held = 0;
    while let Some(field) = multipart.next_field().await.map_err(failed)? {
        let name = field.name().unwrap_or_default().to_owned();
        let Some(paths) = left.shift_remove(&name) else {
            let message = format!("The file {name:?} is not in \"map\", or comes twice.");
            return Err(Rejection::malformed(message));
        };
        let filename = field.file_name().map(str::to_owned);
        let content_type = field.content_type().map(ToString::to_string);
        let content = field.bytes().await.map_err(failed)?;
        // Each path gets a copy.
        held += content.len().saturating_mul(paths.len());
        if held > limits.whole {
            return Err(too_large(limits));
        }
        let mut file = Map::new();
        file.insert("filename".to_owned(), filename.into());
        file.insert("contentType".to_owned(), content_type.into());
        file.insert(
            "size".to_owned(),
            Value::Int(i64::try_from(content.len()).unwrap_or(i64::MAX)),
        );
        file.insert("content".to_owned(), Value::Bytes(content.to_vec()));
        for path in paths {
            put(&mut asked, &path, &file).ok_or_else(|| {
                let message =
                    format!("\"map\" names {path:?}, where \"operations\" has no null variable.");
                Rejection::malformed(message)
            })?;
        }
    }
    match left.keys().next() {
        None => Ok(asked),
        Some(name) => Err(Rejection::malformed(format!("The file {name:?} is missing."))),
    }
}

/// Puts a file into the variable at a path such as `variables.files.0`, or `1.variables.file` in a batch.
fn put(asked: &mut Asked, path: &str, file: &Map) -> Option<()> {
    let mut steps = path.split('.');
    let parameters: &mut Parameters = match asked {
        Asked::One(parameters) => parameters,
        Asked::Batch(all) => all.get_mut(steps.next()?.parse::<usize>().ok()?)?,
    };
    if steps.next()? != "variables" {
        return None;
    }
    let mut at = parameters.variables.as_mut()?.get_mut(steps.next()?)?;
    for step in steps {
        at = match at {
            Value::Map(map) => map.get_mut(step)?,
            Value::List(list) => list.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    at.is_null().then(|| *at = Value::Map(file.clone()))
}
