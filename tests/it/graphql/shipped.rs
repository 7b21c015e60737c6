//! The schemas of the plugins that ship, and how many statements their lists take.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{ADA, ADMIN, TestHost};

const SHIPPED: [&str; 6] = ["bulletin", "hello", "payments", "polls", "welcome", "wordfilter"];

/// Compares with a file, which `UPDATE_SCHEMAS=1` writes.
pub fn pinned(name: &str, sdl: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/schemas/{name}.graphql"));
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&file, sdl).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(sdl, expected, "{} differs; UPDATE_SCHEMAS=1 writes it anew", file.display());
}

#[tokio::test]
async fn schemas_change_only_when_they_are_meant_to() {
    let host = TestHost::start().await;
    pinned("host", &host.host.sdl());
    for id in SHIPPED {
        host.ship(id);
        let manager = host.host.manager();
        manager.install(id, true).await.unwrap();
        if let Err(error) = manager.activate(id).await {
            assert!(error.to_string().contains("configuration"), "{id}: {error}");
            let config = match id {
                "payments" => {
                    r#"{"apiUrl": "https://pay.example.com", "apiKey": "12345678", "webhookSecret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#
                }
                _ => "{}",
            };
            let config: moondock::value::Value = serde_json::from_str(config).unwrap();
            manager.configure(id, config).await.unwrap();
            manager.activate(id).await.unwrap();
        }
        pinned(id, &host.host.sdl_of(id));
    }
}

/// The fewest statements that a request takes: now and then the host runs one of its own beside it.
async fn statements(host: &TestHost, query: &str) -> u64 {
    let mut fewest = u64::MAX;
    for _ in 0..5 {
        let before = host.host.statements();
        host.data(ADA, query, json!({})).await;
        fewest = fewest.min(host.host.statements() - before);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fewest
}

#[tokio::test]
async fn lists_of_polls_take_as_many_statements_however_long_they_are() {
    let host = TestHost::start().await;
    host.ship("polls");
    host.host.manager().install("polls", true).await.unwrap();
    host.host.manager().activate("polls").await.unwrap();
    let create =
        "mutation($input: PollInput!) { polls_create(input: $input) { id options { id } } }";
    let vote = "mutation($p: UUID!, $o: UUID!) { polls_vote(pollId: $p, optionId: $o) { id } }";
    let add = async |count: usize| {
        for i in 0..count {
            let input = json!({ "title": format!("Poll {i}"), "options": ["a", "b", "c"] });
            let poll = &host.data(ADA, create, json!({ "input": input })).await["polls_create"];
            let ids = json!({ "p": poll["id"], "o": poll["options"][i % 3]["id"] });
            host.data(ADA, vote, ids).await;
        }
    };
    let query = "{ polls_list(limit: 50) { title votes options { text votes } results { votes option { text votes } }
        myVote { text votes } again: votes } }";
    add(2).await;
    let few = statements(&host, query).await;
    add(40).await;
    assert_eq!(statements(&host, query).await, few);
    // The list with its options, the counts of votes, options, results and what the caller chose.
    assert!(few <= 10, "{few} statements");
    let answer = host.data(ADA, query, json!({})).await;
    let first = &answer["polls_list"][0];
    assert_eq!((&first["votes"], &first["again"]), (&json!(1), &json!(1)), "{first}");
    assert_eq!(first["myVote"], json!({ "text": "a", "votes": 1 }), "{first}");
}

/// A vote is heard by those who watch the poll.
#[tokio::test]
async fn whoever_watches_a_poll_hears_of_votes() {
    let host = Arc::new(TestHost::start().await);
    host.ship("polls");
    host.host.manager().install("polls", true).await.unwrap();
    host.host.manager().activate("polls").await.unwrap();
    let create = "mutation { polls_create(input: { title: \"Lunch?\", options: [\"Soup\", \"Rice\"] }) { id options { id } } }";
    let poll = host.data(ADA, create, json!({})).await["polls_create"].clone();
    let mut socket = super::socket::Socket::ready(&host, Some(ADA)).await;
    let id = poll["id"].as_str().unwrap();
    let watch = format!(
        "subscription {{ polls_changed(id: \"{id}\") {{ state votes results {{ votes }} }} }}"
    );
    socket.subscribe("1", &watch).await;
    // It has begun when this is answered: both are begun in the order in which they came.
    socket.subscribe("2", "{ polls_list { id } }").await;
    while socket.next().await["id"] != "2" {}
    tokio::time::sleep(Duration::from_millis(50)).await;
    let vote = "mutation($p: UUID!, $o: UUID!) { polls_vote(pollId: $p, optionId: $o) { id } }";
    let ids = json!({ "p": id, "o": poll["options"][1]["id"] });
    host.data(ADMIN, vote, ids).await;
    let heard = loop {
        let next = socket.next().await;
        if next["id"] == "1" {
            break next["payload"]["data"]["polls_changed"].clone();
        }
    };
    let expected: Value =
        json!({ "state": "OPEN", "votes": 1, "results": [{ "votes": 1 }, { "votes": 0 }] });
    assert_eq!(heard, expected);
}

/// What only a client can have made up is the client's mistake, whatever plugin it reaches the database of.
#[tokio::test]
async fn texts_with_nulls_and_made_up_cursors_are_invalid_arguments() {
    let host = TestHost::start().await;
    for id in ["bulletin", "polls"] {
        host.ship(id);
        host.host.manager().install(id, true).await.unwrap();
        host.host.manager().activate(id).await.unwrap();
    }
    let post = "mutation($body: String!) { bulletin_createPost(input: { title: \"t\", body: $body }) { id } }";
    for (query, variables, expected) in [
        (post, json!({ "body": "a\u{0}b" }), "body: a text must not have null characters in it"),
        (
            "{ bulletin_posts(after: \"\") { edges { cursor } } }",
            json!({}),
            "after is not a cursor",
        ),
        (
            "{ polls_page(after: \"eyJ9\") { edges { cursor } } }",
            json!({}),
            "after is not a cursor",
        ),
    ] {
        let error = host.error(Some(ADA), query, variables).await;
        assert_eq!(error["extensions"]["code"], "invalid_arguments", "{query}: {error}");
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
}
