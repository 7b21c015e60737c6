//! The health routes, for whatever watches over the process. They ignore credentials.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::store::Store;

/// How long the database may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Health {
    store: Arc<Store>,
    ready: Arc<AtomicBool>,
}

/// `/healthz` and `/readyz`.
pub(super) fn routes(store: Arc<Store>, ready: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(readiness))
        .with_state(Health { store, ready })
}

/// That the process answers is all there is to know.
async fn alive() -> Response {
    reply(StatusCode::OK, &json!({ "status": "ok" }))
}

async fn readiness(State(health): State<Health>) -> Response {
    let database = match tokio::time::timeout(PING_TIMEOUT, health.store.ping()).await {
        Ok(Ok(())) => "ok",
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database fails");
            "failed"
        }
        Err(_) => {
            tracing::warn!("not ready: the database does not answer");
            "timeout"
        }
    };
    let plugins = if health.ready.load(Ordering::Acquire) { "ok" } else { "loading" };
    let (status, summary) = match (database, plugins) {
        ("ok", "ok") => (StatusCode::OK, "ok"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let checks = json!({ "database": database, "plugins": plugins });
    reply(status, &json!({ "status": summary, "checks": checks }))
}

fn reply(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
