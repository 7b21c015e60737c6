//! The shell's end of the control channel.

use std::io;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::control::{ControlReply, ControlRequest, Operation, socket_path};
use crate::error::Error;

/// The longest answer that is read.
const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// Asks the server that uses the data dir. `None`: no server is listening there.
pub async fn send(
    data_dir: &Path,
    operation: Operation,
    request: ControlRequest,
) -> Result<Option<ControlReply>, Error> {
    let path = socket_path(data_dir);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        // No socket, one that a killed server left behind, or a path too long for a socket.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::InvalidInput
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(failure(&path, &e)),
    };
    exchange(stream, operation, &request).await.map(Some).map_err(|e| failure(&path, &*e))
}

async fn exchange(
    stream: UnixStream,
    operation: Operation,
    request: &ControlRequest,
) -> Result<ControlReply, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post(format!("/plugins/{operation}"))
        .header(HOST, "moondock")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(request)?)))?;
    let response = sender.send_request(request).await?;
    let body = Limited::new(response.into_body(), MAX_REPLY_BYTES).collect().await?.to_bytes();
    connection.abort();
    Ok(serde_json::from_slice(&body)?)
}

fn failure(path: &Path, error: &dyn std::error::Error) -> Error {
    Error::unexpected(format!("cannot talk to the server at {}: {error}", path.display()))
}
