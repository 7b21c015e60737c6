//! The server over real sockets.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::serve::accept;
use super::*;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<io::Result<()>>,
}

async fn start(grace: Duration) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let router = server().await.router;
    let ended = tokio::spawn(super::super::serve(listener, router, shutdown.clone(), grace));
    Running { address, shutdown, ended }
}

impl Running {
    fn url(&self) -> String {
        format!("http://{}/graphql", self.address)
    }

    /// Ends the server and tells how long that took.
    async fn end(self) -> Duration {
        let started = Instant::now();
        self.shutdown.cancel();
        self.ended.await.unwrap().unwrap();
        started.elapsed()
    }
}

#[tokio::test]
async fn clients_are_served_and_seen() {
    let running = start(Duration::from_secs(5)).await;
    let client = crate::http::new();
    for _ in 0..3 {
        let body = json!({ "query": "{ request }" });
        let reply = client.post(running.url()).json(&body).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let body: Json = reply.json().await.unwrap();
        assert_eq!(body["data"]["request"]["ip"], "127.0.0.1");
    }
    // An idle connection keeps nothing waiting.
    assert!(running.end().await < Duration::from_secs(2));
}

#[tokio::test]
async fn a_refusal_reaches_clients_that_send_everything_first() {
    let running = start(Duration::from_secs(5)).await;
    let length = 8 * 1024 * 1024;
    for (header, status) in [
        ("content-type: application/json", "413"),
        ("content-type: text/plain", "415"),
        ("accept: text/plain", "406"),
        ("authorization: Bearer wrong", "401"),
    ] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-length: {length}\r\n{header}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..8 {
            stream.write_all(&vec![b' '; length / 8]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")), "{reply}");
    }
}

#[tokio::test]
async fn requests_under_way_finish() {
    let running = start(Duration::from_secs(5)).await;
    // One that has sent nothing, as browsers open in advance.
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let url = running.url();
    let request = tokio::spawn(async move {
        let body = json!({ "query": "{ slow(ms: 300) }" });
        crate::http::new().post(url).json(&body).send().await.unwrap().text().await.unwrap()
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let address = running.address;
    running.end().await;
    assert_eq!(request.await.unwrap(), r#"{"data":{"slow":300}}"#);
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err(), "it accepts no more");
}

#[tokio::test]
async fn requests_that_take_too_long_are_given_up() {
    let running = start(Duration::from_millis(100)).await;
    let url = running.url();
    let request = tokio::spawn(async move {
        let body = json!({ "query": "{ slow(ms: 20000) }" });
        crate::http::new().post(url).json(&body).send().await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(running.end().await < Duration::from_secs(2));
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn nonsense_ends_only_its_own_connection() {
    let running = start(Duration::from_secs(1)).await;
    for nonsense in [&b"\x16\x03\x01\x00\xff"[..], b"GET\r\n\r\n", &[b'a'; 100_000]] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(nonsense).await;
        let _ = stream.shutdown().await;
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        assert!(reply.is_empty() || reply.starts_with(b"HTTP/1.1 4"), "{reply:?}");
    }
    let url = format!("http://{}/healthz", running.address);
    assert_eq!(crate::http::new().get(url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = server().await.router;
    tokio::spawn(accept(
        listener,
        router,
        CancellationToken::new(),
        Duration::from_secs(5),
        Duration::from_millis(50),
    ));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-slow: ").await.unwrap();
    let mut reply = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply));
    read.await.expect("it is closed").unwrap();
    assert!(reply.is_empty() || reply.starts_with(b"HTTP/1.1 408"), "{reply:?}");
}
