//! The GraphQL endpoint: GraphQL over HTTP, and GraphiQL for browsers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::auth::Caller;
use super::body::Rejection;
use super::drain::drain;
use super::graphql_request::Parameters;
use super::media_type::MediaType;
use super::{graphiql, reply, request_info};
use crate::error::code;
use crate::extension::graphql::{Mode, Outcome, Response as Answer, Schema};
use crate::request::{Credentials, RequestContext, RequestInfo};
use crate::services::Services;

/// What the endpoint works with.
pub(super) struct Endpoint {
    pub services: Arc<Services>,
    pub body_limit: usize,
}

/// Handles any method on `/graphql`.
pub(super) async fn answer(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mode = match parts.method {
        Method::POST => Mode::AnyOperation,
        Method::GET => Mode::QueryOnly,
        _ => return method_not_allowed(&parts.method),
    };
    // Read first, because a browser's visit and a browser's query differ in it.
    let url = match mode {
        Mode::QueryOnly => Some(Parameters::of_url(&parts.uri)),
        Mode::AnyOperation => None,
    };
    if let Some(Ok(Parameters { query: None, .. })) = &url
        && graphiql::wants_page(&parts.headers)
    {
        return graphiql::page();
    }
    let Some(media) = MediaType::wanted(&parts.headers) else {
        drain(body);
        let message = "Only application/json and application/graphql-response+json are offered.";
        return reply::error(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message);
    };
    let parameters = match url {
        Some(parameters) => parameters,
        None => Parameters::of_body(&parts.headers, body, endpoint.body_limit).await,
    };
    match execute(&endpoint, parts, parameters, mode).await {
        Ok((answer, info)) => encode(&answer, media, &info.id),
        Err(rejection) => refuse(&rejection, media),
    }
}

/// Executes a request in the World that is current when all of it has arrived: a slow client keeps
/// no old World alive.
async fn execute(
    endpoint: &Endpoint,
    mut parts: Parts,
    parameters: Result<Parameters, Rejection>,
    mode: Mode,
) -> Result<(Answer, Arc<RequestInfo>), Rejection> {
    let request = parameters?.into_request()?;
    let world = endpoint.services.world.load_full();
    let Some(schema) = world.part::<Schema>() else {
        let message = "The schema is not ready yet.";
        return Err(Rejection::new(StatusCode::SERVICE_UNAVAILABLE, code::UNEXPECTED, message));
    };
    let user = parts.extensions.get::<Caller>().and_then(|caller| caller.0.clone());
    let info = Arc::new(request_info::of(&mut parts, Credentials::Hidden));
    let cx = RequestContext { info, user, world };
    let answer = schema.execute(&request, mode, &cx).await;
    Ok((answer, cx.info))
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

pub(super) fn encode(answer: &Answer, media: MediaType, request_id: &str) -> Response {
    let mut response = match serde_json::to_vec(answer) {
        Ok(bytes) => respond(status(answer.outcome, media), media, bytes),
        Err(error) => {
            tracing::error!(%error, "the response cannot be written as JSON");
            let extensions = json!({ "code": code::UNEXPECTED, "requestId": request_id });
            let message = "An unexpected error occurred.";
            failed(StatusCode::INTERNAL_SERVER_ERROR, media, message, &extensions)
        }
    };
    if answer.outcome == Outcome::OperationNotAllowed {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
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
