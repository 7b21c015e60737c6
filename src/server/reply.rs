//! The body of errors outside GraphQL: `{ "error", "message" }`.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error response. `error` is a stable code, `message` is for people.
pub fn error(status: StatusCode, error: &str, message: &str) -> Response {
    let body = json!({ "error": error, "message": message }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
