//! The HTTP server.

pub mod auth;
mod body;
mod drain;
mod event_stream;
pub mod graphiql;
mod graphql;
mod graphql_request;
mod health;
mod media_type;
mod multipart;
pub mod operations;
mod rates;
pub mod reply;
pub mod request_id;
mod request_info;
mod running;
mod serve;
#[cfg(test)]
mod tests;
mod webhooks;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;

pub use serve::serve;

use crate::services::Services;
use crate::settings::graphql::GraphqlSettings;
use auth::Authenticator;
use graphql::Endpoint;
use operations::Operations;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the server's routes work with.
pub struct ServerState {
    pub services: Arc<Services>,
    pub authenticator: Arc<dyn Authenticator>,
    /// Set by the host when all plugins that should be active are loaded.
    pub ready: Arc<AtomicBool>,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// Requests a second to a plugin's webhooks together, and to each; 0 for any number.
    pub webhook_rates: (u32, u32),
    pub graphql: GraphqlSettings,
    /// The operations that clients may name instead of writing them out.
    pub operations: Operations,
    /// Ends what lives longer than a request.
    pub stop: CancellationToken,
    /// What lives longer than a request.
    pub connections: TaskTracker,
}

/// All routes of the server.
pub fn router(state: ServerState) -> Router {
    let store = state.services.store.clone();
    let webhooks = Arc::new(webhooks::Webhooks {
        services: Arc::clone(&state.services),
        body_limit: state.body_limit,
        rates: rates::Rates::new(state.webhook_rates.0, state.webhook_rates.1),
    });
    // Their senders have credentials of their own, which are for the plugins.
    let webhooks = Router::new().route(webhooks::ROUTE, any(webhooks::answer)).with_state(webhooks);
    let endpoint = Arc::new(Endpoint {
        services: state.services,
        authenticator: Arc::clone(&state.authenticator),
        body_limit: state.body_limit,
        settings: state.graphql,
        operations: state.operations,
        stop: state.stop,
        connections: state.connections,
    });
    let identified = Router::new()
        .route("/graphql", any(graphql::answer))
        .with_state(endpoint)
        .route_layer(from_fn_with_state(state.authenticator, auth::authenticate));
    Router::new()
        .merge(identified)
        .merge(webhooks)
        .merge(health::routes(store, state.ready))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(request_id::request_id))
}

async fn not_found(uri: Uri) -> Response {
    let message = format!("There is nothing at {}.", uri.path());
    reply::error(StatusCode::NOT_FOUND, "not_found", &message)
}

/// The router adds the `Allow` header.
async fn method_not_allowed(method: Method, request: Request) -> Response {
    let message = format!("{} does not allow {method}.", request.uri().path());
    reply::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message)
}
