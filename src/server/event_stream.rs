//! GraphQL over server-sent events, each operation over a connection of its own
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>, "distinct connections mode").

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures_util::stream;

use super::body::Rejection;
use super::graphql::{Endpoint, message};
use super::running::{Event, Running};
use crate::error::code;
use crate::extension::graphql::{GraphqlError, Mode, Outcome, Request, Response as Answer};
use crate::request::{RequestInfo, User};
use crate::settings::Secret;

/// How often a quiet stream shows that it is there, for what lies in between, and how often it is looked
/// whether the client's credentials still hold.
const BEAT: Duration = Duration::from_secs(5);

/// What an operation has come to.
enum State {
    /// The answer of a query, a mutation, or one that was refused.
    Answered(Answer),
    Running(Box<Running>),
    Complete,
    Over,
}

/// Executes an operation and streams what it comes to.
pub(super) async fn answer(
    endpoint: &Arc<Endpoint>,
    request: Request,
    mode: Mode,
    info: Arc<RequestInfo>,
    user: Option<Arc<User>>,
) -> Response {
    let bearer = info.bearer.clone();
    let state = match begin(endpoint, request, mode, info, user).await {
        Ok(state) => state,
        Err(rejection) => State::Answered(rejection.into_answer()),
    };
    let limit = endpoint.settings.limits.response;
    let stop = endpoint.stop.clone();
    let endpoint = Arc::clone(endpoint);
    let events =
        stream::unfold((state, stop, Instant::now()), move |(mut state, stop, mut checked)| {
            let (endpoint, bearer) = (Arc::clone(&endpoint), bearer.clone());
            async move {
                let (text, next) = match &mut state {
                    State::Answered(answer) => {
                        (event("next", &message(answer, limit)), State::Complete)
                    }
                    State::Complete => {
                        (Bytes::from_static(b"event: complete\ndata:\n\n"), State::Over)
                    }
                    State::Over => return None,
                    State::Running(_)
                        if checked.elapsed() >= BEAT && !holds(&endpoint, &bearer).await =>
                    {
                        let message_text =
                            "The subscription has ended: the token is invalid or expired.";
                        let error = GraphqlError::new(code::UNAUTHENTICATED, message_text);
                        let answer =
                            Answer { data: None, errors: vec![error], outcome: Outcome::Executed };
                        (event("next", &message(&answer, limit)), State::Complete)
                    }
                    State::Running(running) => {
                        if checked.elapsed() >= BEAT {
                            checked = Instant::now();
                        }
                        let next = tokio::select! {
                            biased;
                            // Without "complete", so that clients subscribe again.
                            () = stop.cancelled() => return None,
                            next = running.next(Some(BEAT)) => next,
                        };
                        match next {
                            Some(Event::Quiet) => (Bytes::from_static(b":\n\n"), state),
                            Some(Event::Next(answer)) => {
                                (event("next", &message(&answer, limit)), state)
                            }
                            Some(Event::Failed(errors)) => {
                                let outcome = Outcome::Executed;
                                let answer = Answer { data: None, errors, outcome };
                                (event("next", &message(&answer, limit)), State::Complete)
                            }
                            None => {
                                (Bytes::from_static(b"event: complete\ndata:\n\n"), State::Over)
                            }
                        }
                    }
                };
                Some((Ok::<_, std::convert::Infallible>(text), (next, stop, checked)))
            }
        });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would wait for more.
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    response
}

async fn begin(
    endpoint: &Arc<Endpoint>,
    request: Request,
    mode: Mode,
    info: Arc<RequestInfo>,
    user: Option<Arc<User>>,
) -> Result<State, Rejection> {
    let (schema, cx) = endpoint.context(info, user)?;
    if !schema.is_subscription(&request) {
        return Ok(State::Answered(schema.execute(&request, mode, &cx).await));
    }
    Ok(match Running::begin(&endpoint.services, schema, &request, cx).await {
        Ok(running) => State::Running(Box::new(running)),
        Err(answer) => State::Answered(answer),
    })
}

/// Whether a token is still somebody's. If that cannot be told, it is looked again later.
async fn holds(endpoint: &Endpoint, bearer: &Option<Secret>) -> bool {
    match bearer {
        None => true,
        Some(bearer) => {
            !matches!(endpoint.authenticator.authenticate(bearer.expose()).await, Ok(None))
        }
    }
}

/// JSON has no line breaks in it.
fn event(name: &str, json: &[u8]) -> Bytes {
    let mut text = format!("event: {name}\ndata: ").into_bytes();
    text.extend_from_slice(json);
    text.extend_from_slice(b"\n\n");
    text.into()
}
