//! The server's end of the control channel.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::{ControlHandler, ControlReply, ControlRequest, Operation, socket_path};
use crate::error::Error;

/// Opens the socket. The caller holds the data dir's lock, so a socket that is there already was
/// left behind by a server that was killed.
pub fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    let path = socket_path(data_dir);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers on the socket until `shutdown`, then finishes what is under way.
pub async fn serve(
    listener: UnixListener,
    handler: Arc<dyn ControlHandler>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = Router::new().route("/plugins/{operation}", post(operate)).with_state(handler);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
}

async fn operate(
    State(handler): State<Arc<dyn ControlHandler>>,
    UrlPath(operation): UrlPath<String>,
    body: Bytes,
) -> Response {
    let operation = match operation.parse::<Operation>() {
        Ok(operation) => operation,
        Err(error) => return answer(StatusCode::NOT_FOUND, &ControlReply::from(error)),
    };
    let request = match serde_json::from_slice::<ControlRequest>(&body) {
        Ok(request) => request,
        Err(e) => {
            let error = Error::invalid_argument(&[], format!("the body is not a request: {e}"));
            return answer(StatusCode::BAD_REQUEST, &ControlReply::from(error));
        }
    };
    if operation.is_about_plugin() && request.plugin_id.is_none() {
        let error = Error::invalid_argument(&["pluginId"], "pluginId is missing");
        return answer(StatusCode::BAD_REQUEST, &ControlReply::from(error));
    }
    answer(StatusCode::OK, &handler.handle(operation, request).await)
}

fn answer(status: StatusCode, reply: &ControlReply) -> Response {
    match serde_json::to_vec(reply) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
