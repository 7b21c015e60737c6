//! GraphQL over server-sent events.

use std::time::Duration;

use serde_json::{Value, json};

use super::news;
use crate::support::{ADA, TestHost};

async fn stream(host: &TestHost, query: &str) -> reqwest::Response {
    let request = host.client.post(format!("{}/graphql", host.url));
    let request = request.header("accept", "text/event-stream").json(&json!({ "query": query }));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    response
}

/// The events in a text: names and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split("\n\n").filter(|block| block.starts_with("event: "));
    blocks
        .map(|block| {
            let (name, data) = block.trim_start_matches("event: ").split_once('\n').unwrap();
            let data = data.trim_start_matches("data:").trim();
            (name.to_owned(), serde_json::from_str(data).unwrap_or(Value::Null))
        })
        .collect()
}

#[tokio::test]
async fn a_query_is_one_event_and_the_end() {
    let host = news().await;
    let complete = ("complete".to_owned(), Value::Null);
    let next = |data: Value| ("next".to_owned(), data);
    let text = stream(&host, "{ news_ping }").await.text().await.unwrap();
    assert_eq!(events(&text), [next(json!({ "data": { "news_ping": "pong" } })), complete.clone()]);
    let text = stream(&host, "{ nothing }").await.text().await.unwrap();
    let found = events(&text);
    assert_eq!(found[0].1["errors"][0]["extensions"]["code"], "graphql_validation_failed");
    assert_eq!(found[1], complete);
    // GET is for what changes nothing.
    let url =
        format!("{}/graphql?query=mutation{{news_publish(topic:\"a\",from:1,to:1)}}", host.url);
    let request = host.client.get(url).header("accept", "text/event-stream");
    let found = events(&request.send().await.unwrap().text().await.unwrap());
    assert_eq!(found[0].1["errors"][0]["extensions"]["code"], "graphql_operation_not_allowed");
}

#[tokio::test]
async fn a_subscription_is_an_event_for_each_message() {
    let host = news().await;
    let mut response = stream(&host, "subscription { news_stories(topic: \"a\") { n } }").await;
    let mut text = String::new();
    let mut published = 0;
    while events(&text).len() < 3 {
        let publish = "mutation($n: Int!) { news_publish(topic: \"a\", from: $n, to: $n) }";
        published += 1;
        host.data(ADA, publish, json!({ "n": published })).await;
        if let Ok(chunk) = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await
        {
            text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
        }
    }
    let found: Vec<i64> = events(&text)
        .iter()
        .map(|(_, data)| data["data"]["news_stories"]["n"].as_i64().unwrap())
        .collect();
    assert!(found.windows(2).all(|pair| pair[1] == pair[0] + 1), "{found:?}");
    host.host.manager().deactivate("news", false).await.unwrap();
    let rest = response.text().await.unwrap();
    let found = events(&rest);
    assert_eq!(found[found.len() - 2].1["errors"][0]["extensions"]["code"], "plugin_deactivated");
    assert_eq!(found[found.len() - 1].0, "complete");
}

#[tokio::test]
async fn a_stream_ends_when_the_credentials_no_longer_hold() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let host = TestHost::with_accounts(dir, |_| ()).await;
    super::write_news(&host, super::NEWS).await;
    let sign_up = "mutation { signUp(input: { name: \"A\", emailAddress: \"a@example.com\", password: \"correct horse battery\" }) { authenticationToken } }";
    let answer = host.graphql(None, sign_up, json!({})).await;
    let token = answer["data"]["signUp"]["authenticationToken"].as_str().unwrap().to_owned();
    let query = json!({ "query": "subscription { news_mine(topic: \"a\") { n } }" });
    let request = host.client.post(format!("{}/graphql", host.url)).bearer_auth(&token);
    let response = request.header("accept", "text/event-stream").json(&query).send().await.unwrap();
    host.data(&token, "mutation { signOut }", json!({})).await;
    let text = tokio::time::timeout(Duration::from_secs(15), response.text()).await;
    let found = events(&text.expect("it ends").unwrap());
    assert_eq!(found[0].1["errors"][0]["extensions"]["code"], "unauthenticated");
    assert_eq!(found[1].0, "complete");
}

/// Quiet streams show that they are there every 5 seconds, which must not cost a message that takes longer.
#[tokio::test]
async fn a_message_that_takes_long_is_not_lost() {
    let host = news().await;
    let mut response = stream(&host, "subscription { news_slow(topic: \"a\") }").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    host.data(ADA, "mutation { news_publish(topic: \"a\", from: 7, to: 7) }", json!({})).await;
    let mut text = String::new();
    while events(&text).is_empty() {
        let chunk = tokio::time::timeout(Duration::from_secs(30), response.chunk()).await;
        text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap().unwrap()).unwrap());
    }
    assert_eq!(events(&text)[0].1, json!({ "data": { "news_slow": 7 } }));
    // And then it is quiet.
    let chunk = tokio::time::timeout(Duration::from_secs(10), response.chunk()).await;
    assert_eq!(&*chunk.unwrap().unwrap().unwrap(), b":\n\n");
}
