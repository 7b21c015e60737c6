//! Requests that no well-meaning sender makes. None gets to a handler, and none is in others' way.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ask, count, hooks};
use crate::support::TestHost;

const WEBHOOKS: &str = r#"
    { "path": "/open", "handler": "take" },
    { "path": "/items/:id", "handler": "take" },
    { "path": "/signed", "handler": "take", "verify": { "scheme": "github", "secret": "config.key" } }"#;
const CONFIG: &str = r#", "configSchema": { "type": "object", "properties": {
    "key": { "type": "string", "default": "k" } } }"#;
const CODE: &str = "function M.take(request) table.insert(log, request.path) return {} end";

async fn started() -> TestHost {
    let host = TestHost::start().await;
    hooks(&host, WEBHOOKS, CONFIG, CODE).await;
    host
}

/// Sends bytes and gives the status of the answer; 0 if the connection is closed without one.
async fn raw(host: &TestHost, request: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(host.url.trim_start_matches("http://")).await.unwrap();
    // The server may have had enough before all is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "POST /api/plugins/hooks/webhook{path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
    );
    format!("{head}{headers}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn nothing_hostile_gets_through() {
    let host = started().await;
    let bomb: String = (0..2_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(1_000_000));
    for (what, request) in [
        ("two lengths", post("/open", "content-length: 1\r\ncontent-length: 2\r\n", "ab")),
        ("length and chunks", post("/open", "content-length: x\r\n", "a")),
        ("a negative length", post("/open", "content-length: -1\r\n", "")),
        ("a huge length", post("/open", "content-length: 99999999999999999999\r\n", "")),
        ("100 MB", post("/open", "content-length: 104857600\r\n", "x")),
        (
            "broken chunks",
            post("/open", "transfer-encoding: chunked\r\n", "zz\r\nhello\r\n0\r\n\r\n"),
        ),
        ("a huge chunk", post("/open", "transfer-encoding: chunked\r\n", "fffffffffffffffff\r\n")),
        ("header bomb", post("/open", &bomb, "")),
        ("long header", post("/open", &long, "")),
        ("a header split", post("/open", "x: a\nb\0: c\r\n", "")),
        ("no version", b"POST /api/plugins/hooks/webhook/open\r\n\r\n".to_vec()),
        ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("dots", post("/items/..", "content-length: 0\r\n", "")),
        ("dot", post("/items/.", "content-length: 0\r\n", "")),
        ("dots out", post("/../webhook/open", "content-length: 0\r\n", "")),
        ("encoded slash", post("%2Fopen", "content-length: 0\r\n", "")),
        ("encoded dots", post("/items/%2e%2e/open", "content-length: 0\r\n", "")),
        ("double slash", post("//open", "content-length: 0\r\n", "")),
        ("not UTF-8", post("/items/%ff", "content-length: 0\r\n", "")),
        ("backslash", post("/items\\7", "content-length: 0\r\n", "")),
        ("fragment", post("/none#/open", "content-length: 0\r\n", "")),
        ("no signature", post("/signed", "content-length: 2\r\n", "{}")),
        (
            "bad signature",
            post("/signed", "x-hub-signature-256: sha256=00\r\ncontent-length: 2\r\n", "{}"),
        ),
        (
            "not even text",
            [&post("/signed", "x-hub-signature-256: \u{1}\r\ncontent-length: 2\r\n", "{}")[..]]
                .concat(),
        ),
    ] {
        let status = raw(&host, &request).await;
        assert!(status == 0 || (400..500).contains(&status), "{what}: {status}");
        assert_eq!(count(&host).await, 0, "{what}");
    }
    // A parameter may hold what a path may not.
    assert_eq!(raw(&host, &post("/items/%2e%2e", "content-length: 0\r\n", "")).await, 200);
    assert_eq!(count(&host).await, 1);
    host.stop().await;
}

#[tokio::test]
async fn a_truncated_body_is_no_request() {
    let host = started().await;
    let mut stream = TcpStream::connect(host.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(&post("/open", "content-length: 10\r\n", "12345")).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"));
    assert_eq!(count(&host).await, 0);
    host.stop().await;
}

#[tokio::test]
async fn slow_senders_are_in_nobodys_way() {
    let host = started().await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(host.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(&post("/open", "content-length: 100000\r\n", "1")).await.unwrap();
        slow.push(stream);
    }
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(ask(&host, "POST", "/open", &[], "").await.status(), 200);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(count(&host).await, 20);
    drop(slow);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_refused_and_passes() {
    let host = TestHost::start().await;
    // It waits and does not compute: what computes is cut short by the time limit.
    let code = "function M.take(request, ctx) ctx.pubsub:subscribe('never'):receive(4) end\n\
                function M.quick() return {} end";
    let webhooks =
        r#"{ "path": "/slow", "handler": "take" }, { "path": "/quick", "handler": "quick" }"#;
    hooks(&host, webhooks, r#", "runtime": { "timeoutMs": 8000 }"#, code).await;
    let url = format!("{}/api/plugins/hooks/webhook/slow", host.url);
    let mut waiting = Vec::new();
    for n in 0..1_100 {
        let request = host.client.post(&url);
        waiting.push(tokio::spawn(async move {
            let response = request.send().await.unwrap();
            let after = response.headers().get("retry-after").cloned();
            (response.status().as_u16(), after)
        }));
        if n % 50 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let statuses = futures_util::future::join_all(waiting).await;
    let with = |status| statuses.iter().filter(|one| one.as_ref().unwrap().0 == status).count();
    assert!(with(503) > 20, "{} refused", with(503));
    assert_eq!(with(503) + with(204), 1_100);
    assert!(statuses.iter().map(|one| one.as_ref().unwrap()).all(|(status, after)| {
        *status != 503 || after.as_ref().is_some_and(|after| after == "1")
    }));
    let quick = ask(&host, "POST", "/quick", &[], "").await;
    assert_eq!(super::read(quick).await, (200, json!({})));
    host.stop().await;
}

#[tokio::test]
async fn rates_are_kept() {
    let host = TestHost::start_with(|settings| {
        settings.webhook_rate = 5;
        settings.webhook_plugin_rate = 8;
    })
    .await;
    hooks(&host, WEBHOOKS, CONFIG, CODE).await;
    let mut refused = 0;
    for n in 0..20 {
        let path = if n % 2 == 0 { "/open" } else { "/items/7" };
        let response = ask(&host, "POST", path, &[], "").await;
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
            assert_eq!(super::read(response).await.1["error"], "too_many_requests");
            refused += 1;
        }
    }
    // A second may have passed on a slow machine.
    assert!((1..=12).contains(&refused), "{refused}");
    assert_eq!(count(&host).await, 20 - refused);
    host.stop().await;
}
