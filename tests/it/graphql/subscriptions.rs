//! Subscriptions: what they hear, and when they end.

use std::time::Duration;

use serde_json::{Value, json};

use super::socket::Socket;
use super::{NEWS, news, write_news};
use crate::support::{ADA, ADMIN, TestHost, manifest, registering};

const PUBLISH: &str = "mutation($topic: String!, $from: Int!, $to: Int!) { news_publish(topic: $topic, from: $from, to: $to) }";

async fn publish(host: &TestHost, topic: &str, from: i64, to: i64) {
    host.data(ADA, PUBLISH, json!({ "topic": topic, "from": from, "to": to })).await;
}

/// Subscribes, and waits until the subscription hears what is published.
async fn hearing(
    host: &TestHost,
    socket: &mut Socket,
    id: &str,
    query: &str,
    topic: &str,
) -> Value {
    socket.subscribe(id, query).await;
    for _ in 0..200 {
        publish(host, topic, 0, 0).await;
        let next = tokio::time::timeout(Duration::from_millis(50), socket.next()).await;
        if let Ok(next) = next {
            // What was published while it was waited for.
            while tokio::time::timeout(Duration::from_millis(50), socket.next()).await.is_ok() {}
            return next;
        }
    }
    panic!("nothing is heard of {topic}");
}

#[tokio::test]
async fn messages_become_responses_in_order() {
    let host = news().await;
    let mut socket = Socket::ready(&host, None).await;
    let query = "subscription { news_stories(topic: \"a\") { n title double } }";
    let first = hearing(&host, &mut socket, "1", query, "a").await;
    assert_eq!(
        first,
        json!({ "id": "1", "type": "next",
                "payload": { "data": { "news_stories": { "n": 0, "title": "story 0", "double": 0 } } } })
    );
    publish(&host, "other", 1, 5).await;
    publish(&host, "a", 1, 300).await;
    for n in 1..=300 {
        assert_eq!(socket.next().await["payload"]["data"]["news_stories"]["n"], n);
    }
    socket.send(json!({ "id": "1", "type": "complete" })).await;
    socket.subscribe("2", "{ news_ping }").await;
    assert_eq!(socket.next().await["id"], "2");
}

#[tokio::test]
async fn a_subscription_filters_and_maps_in_lua() {
    let host = news().await;
    let mut socket = Socket::ready(&host, None).await;
    let query = "subscription { news_even(topic: \"a\", by: 2) }";
    hearing(&host, &mut socket, "1", query, "a").await;
    publish(&host, "a", 1, 8).await;
    for n in [2, 4] {
        let next = socket.next().await;
        assert_eq!(next["payload"], json!({ "data": { "news_even": format!("news {n}") } }));
    }
    // An error is the response to one message, not the end.
    let broken = socket.next().await;
    assert_eq!(broken["payload"]["data"], json!({ "news_even": null }));
    assert_eq!(broken["payload"]["errors"][0]["extensions"]["code"], "unexpected");
    assert_eq!(socket.next().await["payload"]["data"]["news_even"], "news 8");
}

#[tokio::test]
async fn what_cannot_begin_is_an_error_of_the_operation() {
    let host = news().await;
    let mut socket = Socket::ready(&host, None).await;
    let cases = [
        ("subscription { news_mine(topic: \"a\") { n } }", "unauthenticated"),
        ("subscription { news_broken { n } }", "unexpected"),
        ("subscription { news_refused { n } }", "too_early"),
        ("subscription { news_stories { n } }", "graphql_validation_failed"),
        ("subscription { pluginEvents { type } }", "unauthenticated"),
        ("subscription { a: news_broken { n } b: news_broken { n } }", "graphql_validation_failed"),
        ("subscription { __typename }", "graphql_validation_failed"),
        ("subscription { news_ping", "graphql_parse_failed"),
    ];
    for (query, code) in cases {
        socket.subscribe("1", query).await;
        let error = socket.next().await;
        assert_eq!(error["type"], "error", "{query}: {error}");
        assert_eq!(error["payload"][0]["extensions"]["code"], code, "{query}: {error}");
    }
    let mut socket = Socket::ready(&host, Some(ADA)).await;
    hearing(&host, &mut socket, "1", "subscription { news_mine(topic: \"a\") { n } }", "a").await;
    // Over HTTP it says where to go.
    let error = host.error(None, "subscription { news_broken { n } }", json!({})).await;
    assert!(error["message"].as_str().unwrap().contains("graphql-transport-ws"), "{error}");
}

#[tokio::test]
async fn a_subscription_that_hears_too_much_ends_or_loses_the_oldest() {
    let host = news().await;
    let mut socket = Socket::ready(&host, None).await;
    hearing(&host, &mut socket, "few", "subscription { news_few(topic: \"a\") { n } }", "a").await;
    publish(&host, "a", 1, 1_000).await;
    let end = loop {
        let next = socket.next().await;
        if next["type"] == "error" {
            break next;
        }
    };
    assert_eq!(end["payload"][0]["extensions"]["code"], "subscription_overflow");
    assert!(
        end["payload"][0]["message"].as_str().unwrap().contains("messages came faster"),
        "{end}"
    );

    let query = "subscription { news_latest(topic: \"b\") { n } }";
    hearing(&host, &mut socket, "latest", query, "b").await;
    publish(&host, "b", 1, 1_000).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&1_000) {
        let next = socket.next().await;
        heard.push(next["payload"]["data"]["news_latest"]["n"].as_i64().unwrap());
    }
    assert!(
        heard.is_sorted() && heard.len() < 1_000 && heard.ends_with(&[999, 1_000]),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_reload_ends_the_subscriptions_that_it_affects_and_no_others() {
    let host = news().await;
    let other = "builder:queryField(\"x\", { type = \"Int\", resolve = function() return 1 end })";
    let with_other = |body: &str| {
        let point =
            r#""graphql": [{ "type": "query", "name": "o", "builderDefinition": "register" }]"#;
        [manifest("other", point), registering(body)]
    };
    let [text, code] = with_other(other);
    host.plugin("other", &[("manifest.json", &text), ("init.lua", &code)]).await;
    let mut socket = Socket::ready(&host, Some(ADMIN)).await;
    let query = "subscription { news_stories(topic: \"a\") { n double } }";
    hearing(&host, &mut socket, "1", query, "a").await;
    let [_, code] = with_other(&other.replace("return 1", "return 2"));
    host.write_plugin("other", &[("init.lua", &code)]);
    host.host.manager().reload("other").await.unwrap();
    host.host.manager().deactivate("other", false).await.unwrap();
    publish(&host, "a", 1, 1).await;
    assert_eq!(socket.next().await["payload"]["data"]["news_stories"]["double"], 2);

    host.write_plugin("news", &[("init.lua", &registering(&NEWS.replace("* 2", "* 3")))]);
    host.host.manager().reload("news").await.unwrap();
    let end = socket.next().await;
    assert_eq!((&end["id"], &end["type"]), (&json!("1"), &json!("error")));
    assert_eq!(
        end["payload"][0],
        json!({ "message": "The subscription has ended: the plugin \"news\" was reloaded; subscribe again.",
                "extensions": { "code": "plugin_reloaded", "pluginId": "news" } })
    );
    // The connection goes on.
    let next = hearing(&host, &mut socket, "1", query, "a").await;
    assert_eq!(next["payload"]["data"]["news_stories"]["double"], 0);
    host.host.manager().deactivate("news", false).await.unwrap();
    let end = socket.next().await;
    assert_eq!(end["payload"][0]["extensions"]["code"], "plugin_deactivated");
}

#[tokio::test]
async fn administrators_watch_the_life_of_plugins() {
    let host = news().await;
    let mut socket = Socket::ready(&host, Some(ADMIN)).await;
    socket.subscribe("1", "subscription { pluginEvents { type pluginId at message } }").await;
    let mut seen = Vec::new();
    while !seen.contains(&"plugin:reloaded".to_owned()) {
        if seen.is_empty() {
            let code = registering(&format!("{NEWS}\n-- {}", uuid::Uuid::new_v4()));
            host.write_plugin("news", &[("init.lua", &code)]);
            host.host.manager().reload("news").await.unwrap();
        }
        if let Ok(next) = tokio::time::timeout(Duration::from_millis(100), socket.next()).await {
            let event = &next["payload"]["data"]["pluginEvents"];
            assert_eq!(event["pluginId"], "news", "{next}");
            seen.push(event["type"].as_str().unwrap().to_owned());
        }
    }
    assert!(seen.contains(&"plugin:loaded".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn administrators_read_a_plugins_log() {
    let host = TestHost::start().await;
    let body = r#"builder:queryField("say", { type = "Int", auth = "public", args = { bad = "Boolean" },
        resolve = function(_, args, ctx)
          if args.bad then error("it broke") end
          ctx.logger:warn("careful", { n = 5 })
          return 1
        end })"#;
    write_news(&host, body).await;
    let mut socket = Socket::ready(&host, Some(ADMIN)).await;
    let query = "subscription { pluginLogs(pluginId: \"news\") { level message fields pluginId requestId at } }";
    socket.subscribe("1", query).await;
    let line = loop {
        host.data(ADA, "{ news_say }", json!({})).await;
        if let Ok(next) = tokio::time::timeout(Duration::from_millis(50), socket.next()).await {
            break next["payload"]["data"]["pluginLogs"].clone();
        }
    };
    assert_eq!((&line["level"], &line["message"]), (&json!("WARN"), &json!("careful")), "{line}");
    assert_eq!((&line["fields"], &line["pluginId"]), (&json!({ "n": 5 }), &json!("news")));
    assert!(line["requestId"].is_string() && line["at"].is_string());
    while tokio::time::timeout(Duration::from_millis(50), socket.next()).await.is_ok() {}
    host.graphql(Some(ADA), "{ news_say(bad: true) }", json!({})).await;
    let line = socket.next().await["payload"]["data"]["pluginLogs"].clone();
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].as_str().unwrap().contains("it broke"), "{line}");
    // Others may not, and there is no log of what is not there.
    let mut socket = Socket::ready(&host, Some(ADA)).await;
    socket.subscribe("1", query).await;
    let error = socket.next().await;
    assert_eq!(error["payload"][0]["extensions"]["code"], "unauthorized_action");
}
