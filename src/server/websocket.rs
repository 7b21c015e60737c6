//! GraphQL over WebSocket by the protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::header::UPGRADE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::auth::{Caller, Refusal, bearer_token};
use super::graphql::{Endpoint, message};
use super::graphql_request::Parameters;
use super::request_info;
use super::running::{Event, Running};
use crate::extension::graphql::{GraphqlError, Mode, Outcome, Response as Answer};
use crate::lua::bridge::boundary;
use crate::request::{Credentials, RequestInfo, User};
use crate::settings::Secret;

const PROTOCOL: &str = "graphql-transport-ws";

/// How long a client may take to begin with `connection_init`.
const INIT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a client may leave what was sent to it unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take to make room for the reason why it is disconnected.
const GOODBYE: Duration = Duration::from_secs(1);

/// How often a client is asked whether it is there; after three silent times it is not.
const PING: Duration = Duration::from_secs(20);

/// How often it is looked whether a client's credentials still hold.
const RECHECK: Duration = Duration::from_secs(5);

/// How many messages wait for the network. What comes to more waits in the buffers of subscriptions.
const OUTGOING: usize = 64;

/// The most operations of a connection at once.
const MAX_OPERATIONS: usize = 2_000;

/// Whether a request is to become a WebSocket.
pub(super) fn is_wanted(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(UPGRADE).map(|value| value.as_bytes());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
}

/// Makes a WebSocket of a request.
pub(super) async fn accept(endpoint: Arc<Endpoint>, mut parts: Parts) -> Response {
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let user = parts.extensions.get::<Caller>().and_then(|caller| caller.0.clone());
    let info = Arc::new(request_info::of(&mut parts, Credentials::Hidden));
    let limit = endpoint.body_limit;
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(limit).max_frame_size(limit);
    let is_ours = upgrade.selected_protocol().is_some();
    upgrade.on_upgrade(move |socket| {
        let connections = endpoint.connections.clone();
        connections.track_future(serve(endpoint, socket, info, user, is_ours))
    })
}

/// Why a connection is closed: a code of the protocol, and the reason.
#[derive(Debug, Clone, PartialEq)]
struct Close(u16, String);

impl Close {
    fn invalid(why: impl std::fmt::Display) -> Close {
        Close(4400, format!("Invalid message: {why}"))
    }
}

async fn serve(
    endpoint: Arc<Endpoint>,
    socket: WebSocket,
    info: Arc<RequestInfo>,
    user: Option<Arc<User>>,
    is_ours: bool,
) {
    let (sink, stream) = socket.split();
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let gone = CancellationToken::new();
    let writer = tokio::spawn(write(sink, outgoing, gone.clone()));
    let mut connection = Connection {
        endpoint,
        bearer: info.bearer.clone(),
        info,
        user,
        out,
        operations: Arc::default(),
        tasks: JoinSet::new(),
        is_initialized: false,
    };
    let close = match is_ours {
        false => Some(Close(4406, "Subprotocol not acceptable".to_owned())),
        true => tokio::select! {
            biased;
            () = gone.cancelled() => None,
            close = connection.read(stream) => close,
        },
    };
    connection.tasks.shutdown().await;
    if let Some(Close(code, mut reason)) = close {
        // A close frame has no room for more.
        reason.truncate(boundary(&reason, 123));
        let frame = CloseFrame { code, reason: reason.into() };
        // If the client does not read, it cannot be told either.
        let told = connection.out.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(GOODBYE, told).await;
    }
    drop(connection);
    let _ = writer.await;
}

/// Writes what the connection has to say until there is nothing more.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut outgoing: mpsc::Receiver<Message>,
    gone: CancellationToken,
) {
    let _gone = gone.drop_guard();
    while let Some(message) = outgoing.recv().await {
        let is_last = matches!(message, Message::Close(_));
        let written = async {
            sink.feed(message).await?;
            // Whatever else is there goes with it.
            if outgoing.is_empty() { sink.flush().await } else { Ok(()) }
        };
        match tokio::time::timeout(WRITE_TIMEOUT, written).await {
            Ok(Ok(())) if !is_last => {}
            _ => break,
        }
    }
    let _ = tokio::time::timeout(WRITE_TIMEOUT, sink.flush()).await;
}

struct Connection {
    endpoint: Arc<Endpoint>,
    info: Arc<RequestInfo>,
    user: Option<Arc<User>>,
    /// The user's token.
    bearer: Option<Secret>,
    out: mpsc::Sender<Message>,
    /// What ends each operation, by the client's id.
    operations: Operations,
    tasks: JoinSet<()>,
    is_initialized: bool,
}

type Operations = Arc<Mutex<HashMap<String, CancellationToken>>>;

/// A message of a client.
#[derive(Deserialize)]
struct Incoming {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    payload: Option<Box<RawValue>>,
}

impl Connection {
    /// Reads until the connection is to be closed, or is.
    async fn read(&mut self, mut stream: SplitStream<WebSocket>) -> Option<Close> {
        let began = Instant::now();
        let mut ping = tokio::time::interval_at((began + PING).into(), PING);
        let mut silent = 0;
        let mut recheck = tokio::time::interval_at((began + RECHECK).into(), RECHECK);
        let stop = self.endpoint.stop.clone();
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => {
                    return Some(Close(1001, "The server is stopping".to_owned()));
                }
                () = tokio::time::sleep_until((began + INIT_TIMEOUT).into()),
                    if !self.is_initialized =>
                {
                    return Some(Close(4408, "Connection initialisation timeout".to_owned()));
                }
                Some(ended) = self.tasks.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        return Some(Close(4500, "Internal server error".to_owned()));
                    }
                    continue;
                }
                _ = recheck.tick() => {
                    if let Some(bearer) = self.bearer.clone()
                        && let Err(close @ Close(4403, _)) = self.user_of(&bearer).await
                    {
                        return Some(close);
                    }
                    continue;
                }
                _ = ping.tick() => {
                    silent += 1;
                    if silent > 3 {
                        return Some(Close(1001, "The client is silent".to_owned()));
                    }
                    // If there is no room, something is on its way anyway.
                    let _ = self.out.try_send(Message::Ping(Default::default()));
                    continue;
                }
                received = stream.next() => received,
            };
            silent = 0;
            match received {
                Some(Ok(Message::Text(text))) => {
                    if let Err(close) = self.handle(&text).await {
                        return Some(close);
                    }
                }
                Some(Ok(Message::Binary(_))) => return Some(Close::invalid("it is not text")),
                // The library answers pings, and ends the stream after a close.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn handle(&mut self, text: &str) -> Result<(), Close> {
        let Incoming { kind, id, payload } = serde_json::from_str(text).map_err(Close::invalid)?;
        match kind.as_str() {
            "connection_init" => self.init(payload.as_deref()).await,
            "ping" => {
                let payload = object(payload.as_deref())?;
                let message = match payload {
                    Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
                    None => r#"{"type":"pong"}"#.to_owned(),
                };
                self.send(message).await;
                Ok(())
            }
            "pong" => object(payload.as_deref()).map(|_| ()),
            "subscribe" => {
                let id = id.filter(|id| !id.is_empty());
                let id = id.ok_or_else(|| Close::invalid("\"subscribe\" needs an \"id\""))?;
                let payload =
                    payload.ok_or_else(|| Close::invalid("\"subscribe\" needs a \"payload\""))?;
                self.subscribe(id, &payload)
            }
            "complete" => {
                let id = id.ok_or_else(|| Close::invalid("\"complete\" needs an \"id\""))?;
                if let Some(operation) = self.operations.lock().remove(&id) {
                    operation.cancel();
                }
                Ok(())
            }
            other => Err(Close::invalid(format!("the type {other:?} is not known"))),
        }
    }

    async fn init(&mut self, payload: Option<&RawValue>) -> Result<(), Close> {
        if self.is_initialized {
            return Err(Close(4429, "Too many initialisation requests".to_owned()));
        }
        if let Some(payload) = object(payload)? {
            let payload: HashMap<String, serde_json::Value> =
                serde_json::from_str(payload.get()).map_err(Close::invalid)?;
            let authorization =
                payload.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            match authorization.map(|(_, value)| value) {
                None | Some(serde_json::Value::Null) => {}
                Some(serde_json::Value::String(value)) => {
                    let forbidden = |refusal| Close(4403, format!("Forbidden: {refusal}"));
                    let token = bearer_token(value).map_err(|refusal| match refusal {
                        Refusal::Unauthenticated(why) => forbidden(why),
                        Refusal::Unavailable => forbidden("it cannot be checked"),
                    })?;
                    let bearer = Secret::new(token);
                    self.user = Some(self.user_of(&bearer).await?);
                    self.bearer = Some(bearer);
                }
                Some(_) => return Err(Close(4403, "Forbidden".to_owned())),
            }
        }
        self.is_initialized = true;
        self.send(r#"{"type":"connection_ack"}"#.to_owned()).await;
        Ok(())
    }

    async fn user_of(&self, bearer: &Secret) -> Result<Arc<User>, Close> {
        match self.endpoint.authenticator.authenticate(bearer.expose()).await {
            Ok(Some(user)) => Ok(user),
            Ok(None) => Err(Close(4403, "Forbidden: the token is invalid or expired".to_owned())),
            Err(error) => {
                tracing::error!(%error, "cannot check credentials");
                Err(Close(4500, "Internal server error".to_owned()))
            }
        }
    }

    fn subscribe(&mut self, id: String, payload: &RawValue) -> Result<(), Close> {
        if !self.is_initialized {
            return Err(Close(4401, "Unauthorized".to_owned()));
        }
        let parameters = Parameters::of_json(payload.get().as_bytes())
            .map_err(|error| Close::invalid(format!("the payload: {error}")))?;
        if parameters.is_nothing() {
            return Err(Close::invalid("the payload needs a \"query\""));
        }
        let end = CancellationToken::new();
        {
            let mut operations = self.operations.lock();
            if operations.contains_key(&id) {
                return Err(Close(4409, format!("Subscriber for {id} already exists")));
            }
            if operations.len() >= MAX_OPERATIONS {
                let reason = format!("More than {MAX_OPERATIONS} operations at once");
                return Err(Close(1008, reason));
            }
            operations.insert(id.clone(), end.clone());
        }
        let operation = Operation {
            endpoint: Arc::clone(&self.endpoint),
            info: Arc::clone(&self.info),
            user: self.user.clone(),
            out: self.out.clone(),
            operations: Arc::clone(&self.operations),
            id,
        };
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = end.cancelled() => {}
                () = operation.run(parameters) => {}
            }
        });
        Ok(())
    }

    async fn send(&self, message: String) {
        // If the connection is gone, reading it ends too.
        let _ = self.out.send(Message::Text(message.into())).await;
    }
}

/// A payload that has to be an object, if there is one.
fn object(payload: Option<&RawValue>) -> Result<Option<&RawValue>, Close> {
    match payload {
        None => Ok(None),
        Some(payload) if payload.get().starts_with('{') => Ok(Some(payload)),
        Some(payload) if payload.get() == "null" => Ok(None),
        Some(_) => Err(Close::invalid("the payload must be an object")),
    }
}

/// One operation of a client.
struct Operation {
    endpoint: Arc<Endpoint>,
    info: Arc<RequestInfo>,
    user: Option<Arc<User>>,
    out: mpsc::Sender<Message>,
    operations: Operations,
    id: String,
}

impl Operation {
    async fn run(self, parameters: Parameters) {
        let begun = self.endpoint.operations.request(parameters).and_then(|request| {
            let context = self.endpoint.context(self.info.clone(), self.user.clone())?;
            Ok((request, context))
        });
        let (request, (schema, cx)) = match begun {
            Ok(begun) => begun,
            Err(rejection) => return self.fail(&rejection.into_answer().errors).await,
        };
        if !schema.is_subscription(&request) {
            let answer = schema.execute(&request, Mode::AnyOperation, &cx).await;
            return match answer.outcome {
                Outcome::Executed => {
                    self.next(&answer).await;
                    self.complete().await;
                }
                _ => self.fail(&answer.errors).await,
            };
        }
        let mut running = match Running::begin(&self.endpoint.services, schema, &request, cx).await
        {
            Ok(running) => running,
            Err(answer) => return self.fail(&answer.errors).await,
        };
        loop {
            match running.next(None).await {
                Some(Event::Next(answer)) => self.next(&answer).await,
                Some(Event::Quiet) => {}
                Some(Event::Failed(errors)) => return self.fail(&errors).await,
                None => return self.complete().await,
            }
        }
    }

    async fn next(&self, answer: &Answer) {
        self.send("next", &message(answer, self.endpoint.settings.limits.response)).await;
    }

    /// The operation has ended with errors. The id is free before the client hears of it.
    async fn fail(&self, errors: &[GraphqlError]) {
        self.operations.lock().remove(&self.id);
        let json = serde_json::to_vec(errors).unwrap_or_else(|error| {
            tracing::error!(%error, "errors cannot be written as JSON");
            br#"[{"message":"An unexpected error occurred."}]"#.to_vec()
        });
        self.send("error", &json).await;
    }

    async fn complete(&self) {
        self.operations.lock().remove(&self.id);
        let id = serde_json::Value::from(self.id.as_str());
        self.text(format!(r#"{{"id":{id},"type":"complete"}}"#).into()).await;
    }

    async fn send(&self, kind: &str, payload: &[u8]) {
        let id = serde_json::Value::from(self.id.as_str());
        let mut text = format!(r#"{{"id":{id},"type":"{kind}","payload":"#).into_bytes();
        text.extend_from_slice(payload);
        text.push(b'}');
        match Utf8Bytes::try_from(text) {
            Ok(text) => self.text(text).await,
            Err(error) => tracing::error!(%error, "a response is not UTF-8"),
        }
    }

    async fn text(&self, text: Utf8Bytes) {
        // If the connection is gone, this operation is about to be.
        let _ = self.out.send(Message::Text(text)).await;
    }
}
