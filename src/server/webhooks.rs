//! Requests to the webhooks of plugins.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::body::{Rejection, receive};
use super::drain::drain;
use super::rates::Rates;
use super::request_id::RequestId;
use super::{reply, request_info};
use crate::ctx::CallContext;
use crate::error::{Error, code};
use crate::extension::webhooks::verify::{Refusal, verify};
use crate::extension::webhooks::{
    Answer, Claim, Content, Found, Incoming, Verification, Webhook, WebhookTable, answer_of, claim,
    query, settle,
};
use crate::lua::{ScriptError, ScriptErrorKind};
use crate::plugin::generation::{Arg, Generation};
use crate::plugin::manifest::SecretSource;
use crate::plugin::world::World;
use crate::request::{Credentials, RequestContext};
use crate::services::Services;
use crate::store::webhook_messages::Known;
use crate::value::Value;

/// Where the paths of all plugins are.
pub(super) const ROUTE: &str = "/api/plugins/{*rest}";
const PREFIX: &str = "/api/plugins/";
const WEBHOOK: &str = "webhook";

/// What the routes work with.
pub(super) struct Webhooks {
    pub services: Arc<Services>,
    pub body_limit: usize,
    pub rates: Rates,
}

/// Handles any method below `/api/plugins/`.
pub(super) async fn answer(State(server): State<Arc<Webhooks>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let uri = parts.uri.clone();
    let world = server.services.world.load_full();
    let Some(table) = world.part::<WebhookTable>() else {
        drain(body);
        return reply::error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "Not ready yet.");
    };
    let path = uri.path();
    let Some((plugin_id, path)) = split(path) else {
        drain(body);
        return reply::error(
            StatusCode::NOT_FOUND,
            "not_found",
            &format!("There is nothing at {path}."),
        );
    };
    let (generation, webhook, params) = match table.find(plugin_id, parts.method.as_str(), path) {
        Found::Webhook { generation, webhook, params } => (generation, webhook, params),
        found => {
            drain(body);
            return nothing(&found, plugin_id, path, &parts.method);
        }
    };
    if generation.is_overloaded() {
        drain(body);
        let message = "The plugin has too much to do.";
        return retry_later(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message, 1);
    }
    if let Err(wait) = server.rates.check(plugin_id, &webhook.path) {
        drain(body);
        let message = "There are too many requests to this webhook.";
        let seconds = wait.as_secs() + 1;
        return retry_later(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message, seconds);
    }
    let bytes = match receive(body, server.body_limit).await {
        Ok(bytes) => bytes,
        Err(rejection) => return refused(&rejection),
    };
    let services = &server.services;
    let call = Call { services, generation, webhook, path, params: &params, bytes };
    call.answer(parts, &world).await
}

/// The plugin and the path from `/` that a path below the prefix means. A slash at the end makes no
/// difference.
fn split(path: &str) -> Option<(&str, &str)> {
    let (plugin_id, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
    match rest.strip_prefix(WEBHOOK)? {
        "" => Some((plugin_id, "/")),
        path => {
            let path = match path.strip_suffix('/') {
                // A slash after a slash is not at the end of anything.
                Some("" | "/") | None => path,
                Some(path) => path,
            };
            path.starts_with('/').then_some((plugin_id, path))
        }
    }
}

fn nothing(found: &Found<'_>, plugin_id: &str, path: &str, method: &Method) -> Response {
    match found {
        Found::OtherMethods(allowed) => {
            let mut response = if method == Method::OPTIONS {
                reply::empty(StatusCode::NO_CONTENT)
            } else {
                let message = format!("The webhook {path} does not allow {method}.");
                reply::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message)
            };
            if let Ok(value) = HeaderValue::try_from(allowed) {
                response.headers_mut().insert(ALLOW, value);
            }
            response
        }
        Found::NoPlugin => {
            let message = format!("There is no active plugin \"{plugin_id}\".");
            reply::error(StatusCode::NOT_FOUND, "not_found", &message)
        }
        Found::Webhook { .. } | Found::NoPath => {
            let message = format!("The plugin \"{plugin_id}\" has no webhook {path}.");
            reply::error(StatusCode::NOT_FOUND, "not_found", &message)
        }
    }
}

fn refused(rejection: &Rejection) -> Response {
    reply::error(rejection.status, rejection.code, &rejection.message)
}

fn retry_later(status: StatusCode, code: &str, message: &str, seconds: u64) -> Response {
    let mut response = reply::error(status, code, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// A request that has a webhook and has arrived.
struct Call<'a> {
    services: &'a Arc<Services>,
    generation: &'a Arc<Generation>,
    webhook: &'a Webhook,
    /// After `/webhook`, without a slash at its end.
    path: &'a str,
    params: &'a [(&'a str, String)],
    bytes: Bytes,
}

impl Call<'_> {
    async fn answer(self, mut parts: Parts, world: &Arc<World>) -> Response {
        let request_id = parts.extensions.get::<RequestId>().cloned();
        let request_id = request_id.as_ref().map_or("", RequestId::as_str);
        let query = query(&parts.uri);
        let verification = self.webhook.verify.as_ref();
        // Of what is not signed as it should be, nothing is read.
        let signed = match verification {
            Some(verification) if verification.secret_handler.is_none() => {
                let secrets = self.configured(verification);
                match self.verify(&parts.headers, verification, &secrets, request_id) {
                    Ok(signed) => Some(signed),
                    Err(response) => return response,
                }
            }
            _ => None,
        };
        let body = Content::of(&parts.headers, &self.bytes);
        let headers = verification
            .filter(|verification| verification.secret_handler.is_some())
            .map(|_| parts.headers.clone());
        let info = Arc::new(request_info::of(&mut parts, Credentials::Shown));
        let cx = RequestContext { info: Arc::clone(&info), user: None, world: Arc::clone(world) };
        let incoming = Incoming {
            info: &info,
            path: self.path,
            params: self.params,
            query: &query,
            body,
            raw_body: &self.bytes,
            malformed: OnceLock::new(),
        };
        let signed = match (verification, headers) {
            (Some(verification), Some(headers)) => {
                let secrets = match self.asked(verification, &incoming, &cx).await {
                    Ok(secrets) => secrets,
                    Err(error) => {
                        return malformed(&incoming).unwrap_or_else(|| {
                            self.failed("secretHandler of webhook", &error, request_id)
                        });
                    }
                };
                match self.verify(&headers, verification, &secrets, request_id) {
                    Ok(signed) => Some(signed),
                    Err(response) => return response,
                }
            }
            _ => signed,
        };
        let claim = match signed.flatten() {
            Some(message_id) => match self.claim(&message_id, request_id).await {
                Ok(claim) => Some(claim),
                Err(response) => return response,
            },
            None => None,
        };
        let make = |lua: &mlua::Lua| incoming.to_lua(lua);
        let context = CallContext::within(self.generation, &cx);
        let handler = &self.webhook.handler;
        let result =
            self.generation.call_and_take(handler, &[Arg::Made(&make)], context, answer_of).await;
        if let Some(claim) = claim {
            let handled = result
                .as_ref()
                .is_ok_and(|answer| answer.status.is_success() || answer.status.is_redirection());
            if let Err(error) = settle(&self.services.store.session(), &claim, handled).await {
                // It comes again, or is taken for handled, once the claim is over.
                tracing::warn!("cannot note whether a webhook's message was handled: {error}");
            }
        }
        match result {
            Ok(answer) => sent(answer),
            Err(error) => {
                malformed(&incoming).unwrap_or_else(|| self.failed("webhook", &error, request_id))
            }
        }
    }

    /// The secrets in the plugin's configuration: one, or several while it changes.
    fn configured(&self, verification: &Verification) -> Vec<String> {
        match &verification.declared.secret {
            SecretSource::Config(key) => secrets(self.generation.config().get(key)),
            SecretSource::Handler(_) => Vec::new(),
        }
    }

    /// The secrets that the plugin says belong to a request.
    async fn asked(
        &self,
        verification: &Verification,
        incoming: &Incoming<'_>,
        cx: &RequestContext,
    ) -> Result<Vec<String>, ScriptError> {
        let Some(handler) = &verification.secret_handler else { return Ok(Vec::new()) };
        let make = |lua: &mlua::Lua| incoming.to_lua(lua);
        let context = CallContext::within(self.generation, cx);
        let given = self.generation.call(handler, &[Arg::Made(&make)], context).await?;
        Ok(secrets(Some(&given)))
    }

    /// Checks the signature; gives the sender's name for the message, if there is one.
    fn verify(
        &self,
        headers: &HeaderMap,
        verification: &Verification,
        secrets: &[String],
        request_id: &str,
    ) -> Result<Option<String>, Response> {
        let declared = &verification.declared;
        match verify(declared, secrets, headers, &self.bytes, SystemTime::now()) {
            Ok(verified) => Ok(verified.message_id),
            Err(Refusal::Missing(message)) => {
                Err(reply::error(StatusCode::BAD_REQUEST, "signature_missing", &message))
            }
            Err(Refusal::Refused) => Err(signature_refused()),
            Err(Refusal::NoSecret(why)) => Err(match &declared.secret {
                SecretSource::Handler(_) => {
                    // The plugin knows no such sender.
                    tracing::debug!(plugin = self.generation.plugin_id(), "{why}");
                    signature_refused()
                }
                SecretSource::Config(key) => {
                    let message = format!("config.{key}: {why}");
                    let error = ScriptError::new(ScriptErrorKind::Runtime(message));
                    self.failed("verification of webhook", &error, request_id)
                }
            }),
        }
    }

    async fn claim(&self, message_id: &str, request_id: &str) -> Result<Claim, Response> {
        let session = self.services.store.session();
        let limit = self.generation.time_limit() * 2;
        match claim(&session, self.generation, self.webhook, message_id, limit).await {
            Ok(Ok(claim)) => Ok(claim),
            Ok(Err(Known::Handled)) => {
                Err(reply::json(StatusCode::OK, &json!({ "duplicate": true })))
            }
            Ok(Err(Known::InProgress)) => {
                let message = "The message is being handled.";
                Err(retry_later(StatusCode::CONFLICT, "in_progress", message, 5))
            }
            Err(error) => {
                tracing::error!("cannot look up a webhook's message: {error}");
                Err(unexpected(StatusCode::INTERNAL_SERVER_ERROR, request_id))
            }
        }
    }

    /// The response of a call that failed.
    fn failed(&self, what: &str, error: &ScriptError, request_id: &str) -> Response {
        if let ScriptErrorKind::Failed(failure) = &error.kind
            && failure.error.is_for_clients()
        {
            return wanted(&failure.error);
        }
        let what = format!("{what} {} {}", self.webhook.method, self.webhook.path);
        self.services.failures.record(self.generation, &what, error);
        let status = match error.kind {
            ScriptErrorKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        unexpected(status, request_id)
    }
}

/// The response to a body that is not what it says: then the function was not called.
fn malformed(incoming: &Incoming<'_>) -> Option<Response> {
    let malformed = incoming.malformed.get()?;
    Some(reply::error(StatusCode::BAD_REQUEST, "malformed_body", &malformed.0))
}

/// One secret, or a list of them.
fn secrets(given: Option<&Value>) -> Vec<String> {
    match given {
        Some(Value::String(secret)) => vec![secret.clone()],
        Some(Value::List(list)) => {
            list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

fn sent(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn signature_refused() -> Response {
    let message = "The signature is not valid.";
    reply::error(StatusCode::UNAUTHORIZED, "signature_refused", message)
}

/// What went wrong is in the log, under the request's id.
fn unexpected(status: StatusCode, request_id: &str) -> Response {
    let message = match status {
        StatusCode::GATEWAY_TIMEOUT => "The plugin took too long.",
        _ => "An unexpected error occurred.",
    };
    let body = json!({ "error": code::UNEXPECTED, "message": message, "requestId": request_id });
    reply::json(status, &body)
}

/// An error that the plugin wants its sender to see.
fn wanted(error: &Error) -> Response {
    let status = match &*error.code {
        code::UNAUTHENTICATED => StatusCode::UNAUTHORIZED,
        code::UNAUTHORIZED_ACTION | "forbidden" => StatusCode::FORBIDDEN,
        code::NOT_FOUND | "not_found" => StatusCode::NOT_FOUND,
        code::FORBIDDEN_ON_ARGUMENTS | "conflict" => StatusCode::CONFLICT,
        "too_many_requests" => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut body = json!({ "error": error.code, "message": error.message });
    if !error.extensions.is_empty() {
        // Only what is not UTF-8 has no JSON; the code and the message are what matters.
        body["extensions"] = serde_json::to_value(&error.extensions).unwrap_or_default();
    }
    reply::json(status, &body)
}
