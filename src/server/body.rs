//! Receiving the bodies of requests.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use futures_util::poll;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::drain::drain;
use crate::extension::graphql::{GraphqlError, Outcome, Response};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request is not executed.
#[derive(Debug)]
pub(super) struct Rejection {
    pub status: StatusCode,
    /// For `extensions.code`.
    pub code: &'static str,
    pub message: String,
}

impl Rejection {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Rejection { status, code, message: message.into() }
    }

    /// As the answer to a GraphQL request among others.
    pub(super) fn into_answer(self) -> Response {
        let error = GraphqlError::new(self.code, self.message);
        Response { data: None, errors: vec![error], outcome: Outcome::ValidationFailed }
    }

    /// A request that is wrong in itself.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Rejection::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
}

/// Receives a body of at most `limit` bytes.
///
/// # Errors
/// When it is larger, does not arrive in time, or ends early.
pub(super) async fn receive(body: Body, limit: usize) -> Result<Bytes, Rejection> {
    receive_within(body, limit, BODY_TIMEOUT).await
}

async fn receive_within(
    mut body: Body,
    limit: usize,
    timeout: Duration,
) -> Result<Bytes, Rejection> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = || {
        let message = format!("The request body is larger than {limit} bytes.");
        Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
    };
    // What the client announces need not be received.
    if body.size_hint().lower() > limit as u64 {
        drain(body);
        return Err(too_large());
    }
    let mut collected = pin!(Limited::new(&mut body, limit).collect());
    // Most have arrived with their head, and need no timer.
    let received = match poll!(collected.as_mut()) {
        Poll::Ready(received) => Ok(received),
        Poll::Pending => tokio::time::timeout(timeout, collected.as_mut()).await,
    };
    match received {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            drain(body);
            Err(too_large())
        }
        Ok(Err(_)) => Err(Rejection::malformed("The request body ended early.")),
        Err(_) => {
            let message = format!("The request body took longer than {timeout:?}.");
            Err(Rejection::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_given_up() {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let body = Body::from_stream(never);
        let rejection = receive_within(body, 100, Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(rejection.status, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(rejection.message, "The request body took longer than 10ms.");
    }
}
