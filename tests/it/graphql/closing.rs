//! Every close code of graphql-transport-ws.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::news;
use super::socket::Socket;
use crate::support::{ADA, TestHost, UNKNOWABLE};

async fn closed_after(host: &TestHost, messages: &[serde_json::Value]) -> (u16, String) {
    let mut socket = Socket::open(host).await;
    for message in messages {
        socket.send(message.clone()).await;
    }
    socket.closed().await
}

#[tokio::test]
async fn a_wrong_message_is_4400() {
    let host = news().await;
    let init = || json!({ "type": "connection_init" });
    let subscribe = |payload| json!({ "id": "1", "type": "subscribe", "payload": payload });
    let cases = [
        vec![json!([])],
        vec![json!({ "kind": "connection_init" })],
        vec![json!({ "type": "hello" })],
        vec![json!({ "type": "connection_ack" })],
        vec![json!({ "type": "connection_init", "payload": 5 })],
        vec![json!({ "type": "ping", "payload": "x" })],
        vec![init(), json!({ "type": "subscribe", "payload": { "query": "{ news_ping }" } })],
        vec![
            init(),
            json!({ "id": "", "type": "subscribe", "payload": { "query": "{ news_ping }" } }),
        ],
        vec![
            init(),
            json!({ "id": 1, "type": "subscribe", "payload": { "query": "{ news_ping }" } }),
        ],
        vec![init(), json!({ "id": "1", "type": "subscribe" })],
        vec![init(), subscribe(json!({}))],
        vec![init(), subscribe(json!({ "query": 5 }))],
        vec![init(), subscribe(json!({ "query": "{ news_ping }", "variables": [] }))],
        vec![init(), json!({ "type": "complete" })],
    ];
    for messages in cases {
        let (code, reason) = closed_after(&host, &messages).await;
        assert_eq!(code, 4400, "{messages:?}: {reason}");
        assert!(reason.starts_with("Invalid message: "), "{reason}");
    }
    for message in [Message::text("{"), Message::binary(b"{}".to_vec())] {
        let mut socket = Socket::open(&host).await;
        socket.raw(message).await;
        assert_eq!(socket.closed().await.0, 4400);
    }
}

#[tokio::test]
async fn subscribing_before_the_acknowledgement_is_4401() {
    let host = news().await;
    let subscribe =
        json!({ "id": "1", "type": "subscribe", "payload": { "query": "{ news_ping }" } });
    assert_eq!(closed_after(&host, &[subscribe]).await, (4401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn wrong_credentials_are_4403() {
    let host = news().await;
    for value in [json!("Bearer wrong"), json!("ada"), json!(5), json!("")] {
        let init = json!({ "type": "connection_init", "payload": { "authorization": value } });
        let (code, reason) = closed_after(&host, &[init]).await;
        assert_eq!(code, 4403, "{value}");
        assert!(reason.starts_with("Forbidden"), "{reason}");
    }
    Socket::ready(&host, Some(ADA)).await;
}

#[tokio::test]
async fn another_subprotocol_is_4406() {
    let host = news().await;
    let not_acceptable = (4406, "Subprotocol not acceptable".to_owned());
    let mut socket = Socket::connect(&host, None).await;
    assert_eq!(socket.closed().await, not_acceptable);
    // A client refuses a server that chooses none of its protocols, so the handshake is done by hand.
    let old = handshake(&host, "graphql-ws").await;
    assert!(old.contains("101 Switching Protocols"), "{old}");
    assert!(old.contains("Subprotocol not acceptable"), "{old}");
}

async fn handshake(host: &TestHost, protocol: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = host.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /graphql HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&seen).contains("acceptable") {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test]
async fn silence_before_the_init_is_4408() {
    let host = news().await;
    let mut socket = Socket::open(&host).await;
    let timeout = (4408, "Connection initialisation timeout".to_owned());
    assert_eq!(socket.closed().await, timeout);
}

#[tokio::test]
async fn an_id_that_is_in_use_is_4409_and_one_that_was_is_free() {
    let host = news().await;
    let mut socket = Socket::ready(&host, None).await;
    for _ in 0..3 {
        socket.subscribe("q", "{ news_ping }").await;
        assert_eq!(socket.next().await["type"], "next");
        assert_eq!(socket.next().await["type"], "complete");
        socket.subscribe("q", "{ nothing }").await;
        assert_eq!(socket.next().await["type"], "error");
    }
    let query = "subscription { news_stories(topic: \"a\") { n } }";
    socket.subscribe("s", query).await;
    socket.send(json!({ "id": "s", "type": "complete" })).await;
    socket.subscribe("s", query).await;
    socket.subscribe("s", query).await;
    assert_eq!(socket.closed().await, (4409, "Subscriber for s already exists".to_owned()));
}

#[tokio::test]
async fn a_second_init_is_4429() {
    let host = news().await;
    let init = || json!({ "type": "connection_init" });
    let too_many = (4429, "Too many initialisation requests".to_owned());
    assert_eq!(closed_after(&host, &[init(), init()]).await, too_many);
}

#[tokio::test]
async fn what_goes_wrong_here_is_4500() {
    let host = news().await;
    let payload = json!({ "Authorization": format!("Bearer {UNKNOWABLE}") });
    let init = json!({ "type": "connection_init", "payload": payload });
    assert_eq!(closed_after(&host, &[init]).await, (4500, "Internal server error".to_owned()));
}

#[tokio::test]
async fn credentials_that_no_longer_hold_are_4403() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let host = TestHost::with_accounts(dir, |_| ()).await;
    let sign_up = "mutation { signUp(input: { name: \"A\", emailAddress: \"a@example.com\", password: \"correct horse battery\" }) { authenticationToken } }";
    let answer = host.graphql(None, sign_up, json!({})).await;
    let token = answer["data"]["signUp"]["authenticationToken"].as_str().unwrap().to_owned();
    let mut socket = Socket::ready(&host, Some(&token)).await;
    socket.subscribe("1", "{ currentUser { name } }").await;
    assert_eq!(socket.next().await["payload"]["data"]["currentUser"]["name"], "A");
    host.data(&token, "mutation { signOut }", json!({})).await;
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &*reason), (4403, "Forbidden: the token is invalid or expired"));
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection() {
    let host = TestHost::start_with(|settings| settings.body_limit = 10_000).await;
    let mut socket = Socket::ready(&host, None).await;
    let query = format!("{{ __typename }} # {}", "x".repeat(20_000));
    let payload = json!({ "query": query });
    socket.send(json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
    assert!(socket.ended().await);
}

#[tokio::test]
async fn a_stop_is_1001() {
    let host = news().await;
    let mut socket = Socket::ready(&host, None).await;
    let stopping = tokio::spawn(host.stop());
    assert_eq!(socket.closed().await, (1001, "The server is stopping".to_owned()));
    socket.close().await;
    stopping.await.unwrap();
}
