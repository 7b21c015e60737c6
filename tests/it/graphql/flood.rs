//! Many subscriptions, many messages, and clients that do not read them.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::news;
use super::socket::Socket;
use crate::support::{ADA, TestHost};

/// Over this many connections.
const SOCKETS: usize = 20;
const EACH: usize = 50;
const MESSAGES: i64 = 1_000;

async fn publish(host: &TestHost, from: i64, to: i64) {
    publish_padded(host, from, to, 0).await;
}

async fn publish_padded(host: &TestHost, from: i64, to: i64, pad: usize) {
    let publish = "mutation($a: Int!, $b: Int!, $pad: Int) { news_publish(topic: \"all\", from: $a, to: $b, pad: $pad) }";
    host.data(ADA, publish, json!({ "a": from, "b": to, "pad": pad })).await;
}

#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscriptions_hear_a_thousand_messages_in_order() {
    let host = news().await;
    let mut readers = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = Socket::ready(&host, None).await;
        for id in 0..EACH {
            let query = "subscription { news_stories(topic: \"all\") { n } }";
            let payload = json!({ "query": query });
            socket
                .send(json!({ "id": id.to_string(), "type": "subscribe", "payload": payload }))
                .await;
        }
        readers.push(tokio::spawn(async move {
            // The next number that each of them is to hear; the first is whatever comes first.
            let mut next: Vec<Option<i64>> = vec![None; EACH];
            let mut done = 0;
            while done < EACH {
                let message = socket.next().await;
                assert_eq!(message["type"], "next", "{message}");
                let id: usize = message["id"].as_str().unwrap().parse().unwrap();
                let n = message["payload"]["data"]["news_stories"]["n"].as_i64().unwrap();
                if n == 0 {
                    continue;
                }
                assert_eq!(n, next[id].unwrap_or(1), "subscription {id}");
                next[id] = Some(n + 1);
                done += usize::from(n == MESSAGES);
            }
        }));
    }
    // They have begun when they hear of something; ping and wait until the topic has all of them.
    tokio::time::sleep(Duration::from_millis(500)).await;
    publish(&host, 0, 0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    #[cfg(target_os = "linux")]
    let before = resident();
    let started = Instant::now();
    // Each published once, all at once.
    for from in (1..=MESSAGES).step_by(500) {
        publish(&host, from, from + 499).await;
    }
    for reader in readers {
        tokio::time::timeout(Duration::from_secs(120), reader).await.unwrap().unwrap();
    }
    eprintln!("a million messages in {:?}", started.elapsed());
    #[cfg(target_os = "linux")]
    {
        let grown = resident().saturating_sub(before);
        // What waits is shared by all who wait for it: 1,000 queues of 1,000 pointers, and what is on
        // its way in 20 sockets.
        assert!(grown < 256 << 20, "grew by {} MiB", grown >> 20);
    }
}

/// A handshake and a subscription, after which nothing is read.
async fn deaf(host: &TestHost) -> tokio::net::TcpStream {
    let address = host.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /graphql HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 1024];
    let mut seen = Vec::new();
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await.unwrap();
        seen.extend_from_slice(&buffer[..count]);
    }
    for message in [
        json!({ "type": "connection_init" }),
        json!({ "id": "1", "type": "subscribe",
                "payload": { "query": "subscription { news_stories(topic: \"all\") { n title } }" } }),
    ] {
        // A masked text frame; the mask is zero.
        let text = message.to_string();
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        stream.write_all(&frame).await.unwrap();
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_harm_no_one() {
    let host = news().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(deaf(&host).await);
    }
    let mut socket = Socket::ready(&host, None).await;
    socket.subscribe("1", "subscription { news_latest(topic: \"all\") { n } }").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    #[cfg(target_os = "linux")]
    let before = resident();
    // Far more than their sockets and buffers hold: 40 MB for each.
    for from in (1..=10_000).step_by(500) {
        publish_padded(&host, from, from + 499, 4_000).await;
        let started = Instant::now();
        host.data(ADA, "{ news_ping }", json!({})).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
    let last = loop {
        let n = socket.next().await["payload"]["data"]["news_latest"]["n"].as_i64().unwrap();
        if n == 10_000 {
            break n;
        }
    };
    assert_eq!(last, 10_000);
    #[cfg(target_os = "linux")]
    {
        let grown = resident().saturating_sub(before);
        assert!(grown < 256 << 20, "grew by {} MiB", grown >> 20);
    }
    drop(streams);
}
