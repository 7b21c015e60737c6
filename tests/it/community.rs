//! Three plugins that ship and know nothing of each other's code.

use moondock::events::Event;
use rstest::rstest;
use serde_json::{Value, json};

use crate::databases::On;
use crate::events::{settled, with_points};
use crate::support::{ADA, ADMIN, BOB, TestHost};

const POST: &str =
    "mutation($i: PostInput!) { bulletin_createPost(input: $i) { id title body authorName } }";
const CHANGE: &str = "mutation($id: UUID!, $c: PostChanges!) \
     { bulletin_updatePost(id: $id, changes: $c) { title body updatedAt authorId } }";
const WORD: &str =
    "mutation($w: String!, $a: WordAction!) { wordfilter_set(word: $w, action: $a) { word } }";
const TITLES: &str = "{ bulletin_posts { edges { node { title } } } }";

async fn community(on: On) -> TestHost {
    let host = TestHost::start_with(on.settings().await).await;
    for id in ["bulletin", "welcome", "wordfilter"] {
        host.ship(id);
        host.host.manager().install(id, true).await.unwrap();
        host.host.manager().activate(id).await.unwrap();
    }
    host
}

async fn titles(host: &TestHost) -> Vec<String> {
    let data = host.data(ADA, TITLES, json!({})).await;
    let edges = data["bulletin_posts"]["edges"].as_array().unwrap().clone();
    edges.iter().map(|edge| edge["node"]["title"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn posts_are_filtered_by_a_plugin_that_does_not_know_them(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = community(on).await;
    host.data(ADMIN, WORD, json!({ "w": "Darn", "a": "MASK" })).await;
    host.data(ADMIN, WORD, json!({ "w": "größenwahn", "a": "MASK" })).await;
    host.data(ADMIN, WORD, json!({ "w": "blast", "a": "REFUSE" })).await;
    let wrong = host.error(Some(ADMIN), WORD, json!({ "w": "two words", "a": "MASK" })).await;
    assert_eq!(wrong["extensions"]["code"], "invalid_arguments");
    let stranger = host.error(Some(ADA), WORD, json!({ "w": "x", "a": "MASK" })).await;
    assert_eq!(stranger["extensions"]["code"], "unauthorized_action");

    let input = json!({ "title": "Darned DARN", "body": "darn, größenwahn; %a .* darn_it" });
    let post = host.data(ADA, POST, json!({ "i": input })).await["bulletin_createPost"].clone();
    assert_eq!(post["title"], "Darned ****");
    assert_eq!(post["body"], "****, **********; %a .* darn_it");
    assert_eq!(post["authorName"], "ada");
    let refused = json!({ "title": "fine", "body": "Blast!" });
    let refused = host.error(Some(ADA), POST, json!({ "i": refused })).await;
    assert_eq!(refused["extensions"]["code"], "forbidden_words");
    assert_eq!(
        (&refused["extensions"]["field"], &refused["extensions"]["word"]),
        (&json!("body"), &json!("Blast"))
    );
    assert_eq!(titles(&host).await, ["Darned ****"]);
    // Changes too, and only by who may.
    let change = json!({ "id": post["id"], "c": { "body": "darn" } });
    let stranger = host.error(Some(BOB), CHANGE, change.clone()).await;
    assert_eq!(stranger["extensions"]["code"], "forbidden");
    let changed = host.data(ADA, CHANGE, change).await["bulletin_updatePost"].clone();
    assert_eq!((&changed["body"], &changed["title"]), (&json!("****"), &json!("Darned ****")));
    assert!(changed["updatedAt"].is_string());
    let refused = json!({ "id": post["id"], "c": { "title": "blast" } });
    let refused = host.error(Some(ADMIN), CHANGE, refused).await;
    assert_eq!(refused["extensions"]["code"], "forbidden_words");

    host.host.manager().deactivate("wordfilter", false).await.unwrap();
    let input = json!({ "title": "blast", "body": "darn" });
    host.data(BOB, POST, json!({ "i": input })).await;
    assert_eq!(titles(&host).await, ["blast", "Darned ****"]);
    let delete = "mutation($id: UUID!) { bulletin_deletePost(id: $id) }";
    let gone = host.data(ADMIN, delete, json!({ "id": post["id"] })).await;
    assert_eq!(gone["bulletin_deletePost"], true);
    let missing = host.error(Some(ADA), delete, json!({ "id": post["id"] })).await;
    assert_eq!(missing["extensions"]["code"], "post_not_found");
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn others_hear_of_every_change(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = community(on).await;
    let points = r#""database": [{ "type": "table", "name": "log", "file": "tables.lua" }],
        "hooks": [{ "type": "post", "event": "post:*", "handler": "heard" },
                  { "type": "post", "event": "event:*", "handler": "heard" }]"#;
    let main = "local M = {}\nfunction M.register(builder) builder:queryField('log', { type = 'JSON', \
                resolve = function(_, _, ctx) return ctx.db:from('log'):orderBy('id'):all() end }) end\n\
                function M.heard(data, ctx) ctx.db:insert('log', { event = ctx.delivery.event, data = \
                data }) end\nreturn M\n";
    let tables = "local t = require(\"@std/table\")\nreturn { log = t.table(\"log\", { id = \
                  t.serial():primaryKey(), event = t.text(), data = t.json() }) }\n";
    let manifest = with_points("log", points, "");
    host.plugin("log", &[("manifest.json", &manifest), ("init.lua", main), ("tables.lua", tables)])
        .await;

    let input = json!({ "title": "Bread", "body": "On Friday" });
    let post = host.data(ADA, POST, json!({ "i": input })).await["bulletin_createPost"].clone();
    settled(&host).await;
    let create = "mutation($i: CalendarEventInput!) { bulletin_createEvent(input: $i) { id title startsAt } }";
    let input = json!({ "title": "Fair", "startsAt": "2030-01-02T10:00:00+02:00", "endsAt": "2030-01-02T12:00:00Z" });
    let event = host.data(ADA, create, json!({ "i": input })).await["bulletin_createEvent"].clone();
    assert_eq!(event["startsAt"], "2030-01-02T08:00:00.000Z");
    settled(&host).await;
    let early = json!({ "title": "Fair", "startsAt": "2030-01-02T10:00:00Z", "endsAt": "2030-01-01T12:00:00Z" });
    let wrong = host.error(Some(ADA), create, json!({ "i": early })).await;
    assert_eq!(wrong["extensions"]["issues"][0]["argumentPath"], json!(["input", "endsAt"]));
    let change = "mutation($id: UUID!, $c: CalendarEventChanges!) { bulletin_updateEvent(id: $id, changes: $c) { title place } }";
    let wrong = json!({ "id": event["id"], "c": { "endsAt": "2029-01-01T00:00:00Z" } });
    let wrong = host.error(Some(ADA), change, wrong).await;
    assert_eq!(wrong["extensions"]["issues"][0]["argumentPath"], json!(["changes", "endsAt"]));
    let changes = json!({ "id": event["id"], "c": { "place": "Market" } });
    host.data(ADA, change, changes).await;
    settled(&host).await;
    let delete = "mutation($id: UUID!) { bulletin_deleteEvent(id: $id) }";
    host.data(ADA, delete, json!({ "id": event["id"] })).await;
    settled(&host).await;

    let log = host.data(ADA, "{ log_log }", json!({})).await["log_log"].as_array().unwrap().clone();
    let names: Vec<_> = log.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["post:create", "event:create", "event:update", "event:delete"]);
    assert_eq!(log[0]["data"]["id"], post["id"]);
    assert_eq!(
        (&log[0]["data"]["title"], &log[0]["data"]["authorName"]),
        (&json!("Bread"), &json!("ada"))
    );
    assert_eq!(
        (&log[2]["data"]["place"], &log[2]["data"]["title"]),
        (&json!("Market"), &json!("Fair"))
    );
    assert_eq!(log[3]["data"]["id"], event["id"]);
    let next = host.data(ADA, "{ bulletin_events { title } }", json!({})).await;
    assert_eq!(next["bulletin_events"], json!([]));
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn who_joins_is_welcomed_once(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = community(on).await;
    // Ada's account, as the test knows it.
    let user = json!({ "id": "00000000-0000-4000-8000-00000000000a", "name": "Ada %1", "role": "regular" });
    let payload: moondock::value::Value = serde_json::from_value(user).unwrap();
    for _ in 0..3 {
        host.host.emit(Event::new("user:create", payload.clone())).await.unwrap();
    }
    settled(&host).await;
    let note =
        host.data(ADA, "{ welcome_note { text readAt } }", json!({})).await["welcome_note"].clone();
    assert_eq!(note, json!({ "text": "Welcome, Ada %1! Have a look around.", "readAt": null }));
    assert_eq!(
        host.data(BOB, "{ welcome_note { text } }", json!({})).await["welcome_note"],
        Value::Null
    );
    assert_eq!(
        host.data(ADMIN, "{ welcome_count(unread: true) }", json!({})).await["welcome_count"],
        1
    );
    let read = host.data(ADA, "mutation { welcome_read { readAt } }", json!({})).await;
    assert!(read["welcome_read"]["readAt"].is_string());
    assert_eq!(
        host.data(ADMIN, "{ welcome_count(unread: true) }", json!({})).await["welcome_count"],
        0
    );
    let stranger = host.error(Some(ADA), "{ welcome_count }", json!({})).await;
    assert_eq!(stranger["extensions"]["code"], "unauthorized_action");
    host.stop().await;
}
