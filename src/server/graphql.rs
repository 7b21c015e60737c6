//! The GraphQL endpoint: GraphQL over HTTP, and GraphiQL for browsers.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::{Authenticator, Caller};
use super::body::Rejection;
use super::drain::drain;
use super::graphql_request::{Asked, Parameters};
use super::media_type::MediaType;
use super::operations::Operations;
use super::{event_stream, graphiql, multipart, reply, request_info, websocket};
use crate::error::code;
use crate::extension::graphql::{
    GraphqlError, Mode, Outcome, Request as GraphqlRequest, Response as Answer, Schema,
};
use crate::request::{Credentials, RequestContext, RequestInfo, User};
use crate::services::Services;
use crate::settings::graphql::GraphqlSettings;

/// What the endpoint works with.
pub(super) struct Endpoint {
    pub services: Arc<Services>,
    pub authenticator: Arc<dyn Authenticator>,
    pub body_limit: usize,
    pub settings: GraphqlSettings,
    pub operations: Operations,
    pub stop: CancellationToken,
    pub connections: TaskTracker,
}

impl Endpoint {
    /// The schema and context of a request that is executed now: in the World that is current when all of
    /// it has arrived, so that a slow client keeps no old World alive.
    pub(super) fn context(
        &self,
        info: Arc<RequestInfo>,
        user: Option<Arc<User>>,
    ) -> Result<(Arc<Schema>, RequestContext), Rejection> {
        let world = self.services.world.load_full();
        let Some(schema) = world.part::<Schema>() else {
            let message = "The schema is not ready yet.";
            return Err(Rejection::new(StatusCode::SERVICE_UNAVAILABLE, code::UNEXPECTED, message));
        };
        Ok((schema, RequestContext { info, user, world }))
    }

    fn is_subscription(&self, request: &GraphqlRequest) -> bool {
        let schema = self.services.world.load().part::<Schema>();
        schema.is_some_and(|schema| schema.is_subscription(request))
    }
}

/// Handles any method on `/graphql`.
pub(super) async fn answer(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if websocket::is_wanted(&parts) {
        return websocket::accept(endpoint, parts).await;
    }
    let takes_events = MediaType::wants_events(&parts.headers);
    let json = MediaType::wanted(&parts.headers);
    let asked = match parts.method {
        Method::POST => None,
        Method::GET => {
            // Read first, because a browser's visit and a browser's query differ in it.
            let url = Parameters::of_url(&parts.uri);
            if let Ok(parameters) = &url
                && parameters.is_nothing()
                && graphiql::wants_page(&parts.headers)
            {
                return graphiql::page();
            }
            Some(url.map(Asked::One))
        }
        _ => return method_not_allowed(&parts.method),
    };
    let Some(media) = json.or(takes_events.then_some(MediaType::Json)) else {
        drain(body);
        let message = "Only application/json, application/graphql-response+json and, for \
                       subscriptions, text/event-stream are offered.";
        return reply::error(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message);
    };
    let (mode, asked) = match asked {
        Some(asked) => (Mode::QueryOnly, asked),
        None => (Mode::AnyOperation, receive(&endpoint, &parts.headers, body).await),
    };
    let user = parts.extensions.get::<Caller>().and_then(|caller| caller.0.clone());
    let info = Arc::new(request_info::of(&mut parts, Credentials::Hidden));
    let asked = match asked {
        Ok(asked) => asked,
        Err(rejection) => return refuse(&rejection, media),
    };
    match asked {
        Asked::One(parameters) => {
            let request = match endpoint.operations.request(parameters) {
                Ok(request) => request,
                Err(rejection) => return refuse(&rejection, media),
            };
            // Some clients take whatever there is: JSON does for what is answered once.
            if takes_events && (json.is_none() || endpoint.is_subscription(&request)) {
                return event_stream::answer(&endpoint, request, mode, info, user).await;
            }
            let limit = endpoint.settings.limits.response;
            match execute(&endpoint, &request, mode, info.clone(), user).await {
                Ok(answer) => encode(&answer, media, &info.id, limit),
                Err(rejection) => refuse(&rejection, media),
            }
        }
        Asked::Batch(all) => batch(&endpoint, all, info, user, media).await,
    }
}

async fn receive(endpoint: &Endpoint, headers: &HeaderMap, body: Body) -> Result<Asked, Rejection> {
    let batch = endpoint.settings.batch_limit;
    let Some(boundary) = multipart::boundary(headers) else {
        return Asked::of_body(headers, body, endpoint.body_limit, batch).await;
    };
    if is_of_another_site(headers) {
        drain(body);
        let message =
            "A multipart request from another web site must have an Authorization header.";
        return Err(Rejection::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    let limits = multipart::Limits {
        whole: endpoint.settings.upload_limit,
        json: endpoint.body_limit,
        batch,
    };
    multipart::receive(body, boundary, limits).await
}

/// Whether a page of another site sends this, which browsers let it do for a form without asking.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(origin) = text(ORIGIN) else { return false };
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    !headers.contains_key(AUTHORIZATION) && text(HOST) != Some(host)
}

/// Executes one request.
async fn execute(
    endpoint: &Endpoint,
    request: &GraphqlRequest,
    mode: Mode,
    info: Arc<RequestInfo>,
    user: Option<Arc<User>>,
) -> Result<Answer, Rejection> {
    let (schema, cx) = endpoint.context(info, user)?;
    Ok(schema.execute(request, mode, &cx).await)
}

/// Executes requests one after another, so that a batch gets no more at once than others.
async fn batch(
    endpoint: &Endpoint,
    all: Vec<Parameters>,
    info: Arc<RequestInfo>,
    user: Option<Arc<User>>,
    media: MediaType,
) -> Response {
    let mut answers = Vec::with_capacity(all.len());
    for parameters in all {
        let (info, user) = (info.clone(), user.clone());
        let answer = match endpoint.operations.request(parameters) {
            Ok(request) => execute(endpoint, &request, Mode::AnyOperation, info, user).await,
            Err(rejection) => Err(rejection),
        };
        answers.push(answer.unwrap_or_else(Rejection::into_answer));
    }
    match written(&answers, endpoint.settings.limits.response) {
        Ok(bytes) => respond(StatusCode::OK, media, bytes),
        Err(error) => failed_to_write(error, media, &info.id),
    }
}

/// The status of a response. A client that asks for `application/json` reads 200 as "this is a
/// GraphQL response", so it gets that for request errors too.
fn status(outcome: Outcome, media: MediaType) -> StatusCode {
    match (outcome, media) {
        (Outcome::Executed, _) => StatusCode::OK,
        (Outcome::OperationNotAllowed, _) => StatusCode::METHOD_NOT_ALLOWED,
        (
            Outcome::ParseFailed | Outcome::ValidationFailed | Outcome::InvalidVariables,
            MediaType::Json,
        ) => StatusCode::OK,
        (
            Outcome::ParseFailed | Outcome::ValidationFailed | Outcome::InvalidVariables,
            MediaType::GraphqlResponse,
        ) => StatusCode::BAD_REQUEST,
    }
}

pub(super) fn encode(
    answer: &Answer,
    media: MediaType,
    request_id: &str,
    limit: usize,
) -> Response {
    let mut response = match written(answer, limit) {
        Ok(bytes) => respond(status(answer.outcome, media), media, bytes),
        Err(error) => failed_to_write(error, media, request_id),
    };
    if answer.outcome == Outcome::OperationNotAllowed {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// A response that is larger than it may be.
struct TooLarge {
    limit: usize,
}

impl From<TooLarge> for GraphqlError {
    fn from(TooLarge { limit }: TooLarge) -> Self {
        let message = format!(
            "The response is larger than {limit} bytes (graphql-max-response); ask for less of it."
        );
        let allowed = i64::try_from(limit).unwrap_or(i64::MAX);
        GraphqlError::new(code::GRAPHQL_LIMIT_EXCEEDED, message)
            .with("limit", "response")
            .with("allowed", allowed)
    }
}

/// Why a response is not written.
enum Unwritten {
    TooLarge(TooLarge),
    Failed(serde_json::Error),
}

/// A response as JSON, or an error of it in its place.
pub(super) fn message(answer: &Answer, limit: usize) -> Vec<u8> {
    let error = match written(answer, limit) {
        Ok(bytes) => return bytes,
        Err(Unwritten::TooLarge(error)) => error.into(),
        Err(Unwritten::Failed(error)) => {
            tracing::error!(%error, "the response cannot be written as JSON");
            GraphqlError::new(code::UNEXPECTED, "An unexpected error occurred.")
        }
    };
    let body = json!({ "errors": [error] });
    body.to_string().into_bytes()
}

fn written<T: Serialize>(answer: &T, limit: usize) -> Result<Vec<u8>, Unwritten> {
    /// Writes no more than it may.
    struct Bounded {
        bytes: Vec<u8>,
        limit: usize,
    }
    impl io::Write for Bounded {
        fn write(&mut self, more: &[u8]) -> io::Result<usize> {
            if self.bytes.len() + more.len() > self.limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.bytes.extend_from_slice(more);
            Ok(more.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Bounded { bytes: Vec::with_capacity(128), limit };
    match serde_json::to_writer(&mut writer, answer) {
        Ok(()) => Ok(writer.bytes),
        Err(error) if error.is_io() => Err(Unwritten::TooLarge(TooLarge { limit })),
        Err(error) => Err(Unwritten::Failed(error)),
    }
}

fn failed_to_write(error: Unwritten, media: MediaType, request_id: &str) -> Response {
    match error {
        Unwritten::TooLarge(error) => {
            let body = json!({ "errors": [GraphqlError::from(error)], "data": null });
            respond(StatusCode::OK, media, body.to_string().into_bytes())
        }
        Unwritten::Failed(error) => {
            tracing::error!(%error, "the response cannot be written as JSON");
            let extensions = json!({ "code": code::UNEXPECTED, "requestId": request_id });
            let message = "An unexpected error occurred.";
            failed(StatusCode::INTERNAL_SERVER_ERROR, media, message, &extensions)
        }
    }
}

fn refuse(rejection: &Rejection, media: MediaType) -> Response {
    let extensions = json!({ "code": rejection.code });
    failed(rejection.status, media, &rejection.message, &extensions)
}

/// A response with one error and no data, in the form that GraphQL clients read.
fn failed(
    status: StatusCode,
    media: MediaType,
    message: &str,
    extensions: &serde_json::Value,
) -> Response {
    let body = json!({ "errors": [{ "message": message, "extensions": extensions }] });
    respond(status, media, body.to_string().into_bytes())
}

fn respond(status: StatusCode, media: MediaType, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, media.content_type());
    response
}

fn method_not_allowed(method: &Method) -> Response {
    let message = format!("/graphql allows GET and POST, not {method}.");
    let mut response = reply::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    response
}
