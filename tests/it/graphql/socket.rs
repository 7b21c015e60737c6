//! A client of graphql-transport-ws that says exactly what tests want.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::TestHost;

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// A connection on which nothing has been said. Without a protocol the header is left out.
    pub async fn connect(host: &TestHost, protocol: Option<&str>) -> Socket {
        let url = format!("{}/graphql", host.url.replace("http", "ws"));
        let mut request = url.into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        Socket(connect_async(request).await.unwrap().0)
    }

    /// A connection with the protocol.
    pub async fn open(host: &TestHost) -> Socket {
        Socket::connect(host, Some("graphql-transport-ws")).await
    }

    /// A connection that is initialized, as `token` if there is one.
    pub async fn ready(host: &TestHost, token: Option<&str>) -> Socket {
        let mut socket = Socket::open(host).await;
        let payload = token.map(|token| json!({ "Authorization": format!("Bearer {token}") }));
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }

    pub async fn send(&mut self, message: Value) {
        self.raw(Message::text(message.to_string())).await;
    }

    pub async fn raw(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// Begins an operation, and lets a moment pass in which it does.
    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "id": id, "type": "subscribe", "payload": { "query": query } })).await;
        // Answered after what was sent before has been read; the operation's begin is not waited for.
        self.send(json!({ "type": "ping" })).await;
    }

    /// The next message. Frames that are no messages, and pongs, are passed over.
    pub async fn next(&mut self) -> Value {
        loop {
            match self.frame().await {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["type"] != "pong" {
                        return message;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    pub async fn frame(&mut self) -> Message {
        let frame = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await;
        frame.expect("a frame in time").expect("a frame").unwrap()
    }

    /// The code and reason with which the server closes, whatever it says before.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.frame().await {
                let frame = frame.expect("a code");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }

    /// Whether the connection ends without another message.
    pub async fn ended(&mut self) -> bool {
        loop {
            match tokio::time::timeout(Duration::from_secs(10), self.0.next()).await {
                Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => return true,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                _ => return false,
            }
        }
    }

    pub async fn close(mut self) {
        let _ = self.0.close(None).await;
    }
}
