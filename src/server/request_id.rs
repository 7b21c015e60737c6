//! The id of a request: in every response, every log line and every masked error.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde_json::json;
use tracing::Instrument;
use uuid::Uuid;

use crate::error::code;

/// The header that brings and returns the id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a request.
const MAX_LENGTH: usize = 128;

/// The id of a request, in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id that the request brought, if it is fit to be written into logs; else a new one.
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok()) {
            Some(id) if is_sane(id) => RequestId(Arc::from(id)),
            _ => {
                let mut text = Uuid::encode_buffer();
                RequestId(Arc::from(&*Uuid::now_v7().hyphenated().encode_lower(&mut text)))
            }
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_sane(id: &str) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Middleware, the outermost: names the request, spans everything that is logged about it, logs its
/// end and sets the response's header. A panic within it is a response too.
pub async fn request_id(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    let method = request.method();
    // Only the path: a query may hold secrets.
    let path = request.uri().path();
    let span = tracing::info_span!("request", id = id.as_str(), %method, path);
    request.extensions_mut().insert(id.clone());
    async move {
        // Nothing that a handler shares is left half changed by a panic: no lock is held across
        // code of others, and a World is never changed.
        let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => panicked(&*panic, &id),
        };
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        // The arguments are computed only if the line is written.
        tracing::info!(status = response.status().as_u16(), ms = ms_since(started), "answered");
        response
    }
    .instrument(span)
    .await
}

/// In milliseconds. Microseconds are as fine as the number is worth reading.
fn ms_since(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// The response for a handler that panicked. What it says is for the log only.
fn panicked(panic: &(dyn Any + Send), id: &RequestId) -> Response {
    let panic = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(panic, "a handler panicked");
    let body = json!({
        "error": code::UNEXPECTED,
        "message": "An unexpected error occurred.",
        "requestId": id.as_str(),
    });
    let headers = [(CONTENT_TYPE, "application/json")];
    (StatusCode::INTERNAL_SERVER_ERROR, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Extension;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(sent: Option<&str>) -> (String, String) {
        let app = Router::new()
            .route("/", get(|Extension(id): Extension<RequestId>| async move { id.0.to_string() }))
            .layer(axum::middleware::from_fn(request_id));
        let mut request = Request::get("/");
        if let Some(sent) = sent {
            request = request.header(X_REQUEST_ID, sent);
        }
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let header = response.headers()[X_REQUEST_ID].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        (header, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_sane_id_is_kept_and_any_other_replaced() {
        let (header, seen) = ask(Some("abc-1.2_3")).await;
        assert_eq!((header.as_str(), seen.as_str()), ("abc-1.2_3", "abc-1.2_3"));
        let long = "a".repeat(129);
        for sent in [None, Some(""), Some("a b"), Some("a\"b"), Some(long.as_str())] {
            let (header, seen) = ask(sent).await;
            assert_eq!(header, seen);
            let id: Uuid = header.parse().unwrap();
            assert_eq!(id.get_version_num(), 7);
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_with_the_id() {
        async fn panics() {
            panic!("secret")
        }
        let app =
            Router::new().route("/", get(panics)).layer(axum::middleware::from_fn(request_id));
        let request = Request::get("/").header(X_REQUEST_ID, "r1").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[X_REQUEST_ID], "r1");
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        let expected =
            r#"{"error":"unexpected","message":"An unexpected error occurred.","requestId":"r1"}"#;
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn responses_of_no_handler_have_an_id_too() {
        let app = Router::new().layer(axum::middleware::from_fn(request_id));
        let request = Request::get("/none").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 404);
        assert!(response.headers().contains_key(X_REQUEST_ID));
    }
}
