//! `ctx:emit` and post hooks.

use moondock::events::Event;
use rstest::rstest;
use serde_json::{Value, json};

use super::{a_moment, deliveries, host_on, settled, with_points};
use crate::databases::On;
use crate::support::{ADA, ADMIN, TestHost, registering};

/// Emits what it is told to, and remembers nothing.
const EMITTER: &str = r#"
builder:mutationField("emit", { type = "Boolean", auth = "public",
    args = { event = "String!", payload = "JSON", key = "String", fail = "Boolean" },
    resolve = function(_, args, ctx)
        ctx.db:transaction(function()
            ctx.db:insert("notes", { text = args.event })
            ctx:emit(args.event, args.payload, { key = args.key })
            if args.fail then ctx:fail("wanted", "taken back") end
        end)
        return true
    end })
builder:mutationField("plain", { type = "Boolean", auth = "public", args = { event = "String!" },
    resolve = function(_, args, ctx) ctx:emit(args.event, { n = 1 }) return true end })
builder:mutationField("bad", { type = "JSON", auth = "public", args = { what = "String!" },
    resolve = function(_, args, ctx)
        local attempts = {
            name = function() ctx:emit("", {}) end,
            star = function() ctx:emit("shop:*", {}) end,
            foreign = function() ctx:emit("bank:paid", {}) end,
            host = function() ctx:emit("plugin:activated", {}) end,
            huge = function() ctx:emit("shop:made", { text = string.rep("x", 1100000) }) end,
            binary = function() ctx:emit("shop:made", { text = "\255" }) end,
            option = function() ctx:emit("shop:made", {}, { kee = "1" }) end,
            key = function() ctx:emit("shop:made", {}, { key = "" }) end,
            metamethod = function() return tostring(setmetatable({}, { __tostring = function()
                ctx:emit("shop:made", {}) return "x" end })) end,
        }
        local ok, problem = pcall(attempts[args.what])
        return { ok = ok, message = tostring(problem) }
    end })
builder:queryField("notes", { type = "Int!", auth = "public",
    resolve = function(_, _, ctx) return ctx.db:from("notes"):count() end })
"#;

const NOTES: &str = "local t = require(\"@std/table\")\nreturn { notes = t.table(\"notes\", \
                     { id = t.serial():primaryKey(), text = t.text() }) }\n";

/// Hears of `shop:*`, writes down what it heard, and fails while it is told to, for a key or for all.
const HEARER: &str = r#"
local M = {}
local failing = nil
function M.register(builder)
    builder:queryField("heard", { type = "JSON", auth = "public",
        resolve = function(_, _, ctx) return ctx.db:from("heard"):orderBy("id"):all() end })
    builder:mutationField("fail", { type = "Boolean", auth = "public", args = { key = "String" },
        resolve = function(_, args) failing = args.key return true end })
end
function M.hear(event, ctx)
    if failing == "*" or failing and ctx.delivery.key == failing then
        error("not now")
    end
    local d = ctx.delivery
    ctx.db:insert("heard", { event = d.event, payload = event, key = d.key, attempt = d.attempt,
        delivery = d.id, emittedAt = d.emittedAt })
end
return M
"#;

const HEARD: &str = "local t = require(\"@std/table\")\nreturn { heard = t.table(\"heard\", { id = \
    t.serial():primaryKey(), event = t.text(), payload = t.json(), key = t.text(), attempt = \
    t.integer(), delivery = t.text(), emittedAt = t.timestamp() }) }\n";

async fn shop(host: &TestHost) {
    let points = r#""database": [{ "type": "table", "name": "notes", "file": "tables.lua" }]"#;
    let manifest = with_points("shop", points, "");
    let files =
        [("manifest.json", &*manifest), ("init.lua", &registering(EMITTER)), ("tables.lua", NOTES)];
    host.plugin("shop", &files).await;
}

fn hearer(handler: &str) -> String {
    let points = format!(
        r#""database": [{{ "type": "table", "name": "heard", "file": "tables.lua" }}],
           "hooks": [{{ "type": "post", "event": "shop:*", "handler": "{handler}" }}]"#
    );
    with_points("hearer", &points, "")
}

async fn listening(host: &TestHost) {
    let manifest = hearer("hear");
    let files = [("manifest.json", &*manifest), ("init.lua", HEARER), ("tables.lua", HEARD)];
    host.plugin("hearer", &files).await;
}

async fn emit(host: &TestHost, event: &str, payload: Value, key: Option<&str>) {
    let query = "mutation($e: String!, $p: JSON, $k: String) \
                 { shop_emit(event: $e, payload: $p, key: $k) }";
    host.data(ADA, query, json!({ "e": event, "p": payload, "k": key })).await;
}

async fn heard(host: &TestHost) -> Vec<Value> {
    let data = host.data(ADA, "{ hearer_heard }", json!({})).await;
    data["hearer_heard"].as_array().cloned().unwrap_or_default()
}

#[rstest]
#[tokio::test]
async fn what_commits_is_heard_and_nothing_else(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    shop(&host).await;
    // Nobody hears it, so nothing is written.
    emit(&host, "shop:made", json!({ "n": 0 }), None).await;
    assert_eq!(deliveries(&host, "{}").await, Vec::<Value>::new());
    listening(&host).await;
    let mut events = host.host.subscribe();
    emit(&host, "shop:made", json!({ "n": 1, "list": [1, null] }), Some("k")).await;
    host.data(ADA, "mutation { shop_plain(event: \"shop:plain\") }", json!({})).await;
    let query = "mutation { shop_emit(event: \"shop:never\", fail: true) }";
    assert_eq!(host.error(Some(ADA), query, json!({})).await["extensions"]["code"], "wanted");
    settled(&host).await;
    let mut all = heard(&host).await;
    // Without the same key there is no order among them.
    all.sort_by_key(|one| one["event"].to_string());
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0]["event"], "shop:made");
    assert_eq!(all[0]["payload"], json!({ "n": 1, "list": [1, null] }));
    assert_eq!((&all[0]["key"], &all[0]["attempt"]), (&json!("k"), &json!(1)));
    assert!(all[0]["emittedAt"].is_string());
    assert_eq!(all[1]["event"], "shop:plain");
    assert_ne!(all[0]["delivery"], all[1]["delivery"]);
    // Embedders hear the same, and of no event that was taken back.
    let mut names = Vec::new();
    while let Ok(event) = events.try_recv() {
        names.push(event.name.to_string());
    }
    assert_eq!(names, ["shop:made", "shop:plain"]);
    assert_eq!(host.data(ADA, "{ shop_notes }", json!({})).await["shop_notes"], 2);
    host.stop().await;
}

#[tokio::test]
async fn wrong_emits_are_clear_errors() {
    let host = host_on(On::Sqlite).await;
    shop(&host).await;
    listening(&host).await;
    for (what, expected) in [
        ("name", "is not an event name"),
        ("star", "is not an event name"),
        ("foreign", "permissions.events with \"bank:paid\" is not granted"),
        ("host", "is the host's own"),
        ("huge", "at most 1048576 are allowed"),
        ("binary", "not valid UTF-8"),
        ("option", "unknown option \"kee\""),
        ("key", "1 to 200 bytes"),
        ("metamethod", "waits for the host"),
    ] {
        let query = "mutation($w: String!) { shop_bad(what: $w) }";
        let got = host.data(ADA, query, json!({ "w": what })).await["shop_bad"].clone();
        let message = got["message"].as_str().unwrap();
        assert!(got["ok"] == false && message.contains(expected), "{what}: {got}");
    }
    assert_eq!(deliveries(&host, "{}").await, Vec::<Value>::new());
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_failing_hook_is_tried_again_and_keeps_the_order_of_its_key(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = host_on(on).await;
    shop(&host).await;
    listening(&host).await;
    host.data(ADA, "mutation { hearer_fail(key: \"a\") }", json!({})).await;
    for (n, key) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
        emit(&host, "shop:made", json!({ "n": n }), Some(key)).await;
    }
    // The other key does not wait.
    let b = |r: &Value| r["data"]["hearer_heard"].to_string().contains("\"b\"");
    host.until(ADA, "{ hearer_heard }", b).await;
    // It is heard a moment before its delivery is over.
    let left = |r: &Value| {
        let left = r["data"]["deliveries"].as_array().unwrap();
        left.len() == 3 && left[0]["lastError"].is_string()
    };
    host.until(ADMIN, "{ deliveries { lastError } }", left).await;
    let waiting = deliveries(&host, "{ name: \"shop:made\" }").await;
    assert!(waiting[0]["lastError"].as_str().unwrap().contains("not now"), "{waiting:?}");
    assert_eq!(waiting[0]["handler"], "init.lua:hear");
    for later in &waiting[1..] {
        assert_eq!(later["attempt"], 0, "{waiting:?}");
    }
    host.data(ADA, "mutation { hearer_fail }", json!({})).await;
    settled(&host).await;
    let all = heard(&host).await;
    let numbers: Vec<_> = all.iter().map(|one| one["payload"]["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [3, 1, 2, 4]);
    assert!(all[1]["attempt"].as_i64() >= Some(2), "{all:?}");
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn deliveries_wait_for_their_plugin_and_go_with_it(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = host_on(on).await;
    shop(&host).await;
    listening(&host).await;
    let manager = host.host.manager();
    host.data(ADA, "mutation { hearer_fail(key: \"*\") }", json!({})).await;
    emit(&host, "shop:made", json!({ "n": 1 }), None).await;
    let failed = |r: &Value| r["data"]["deliveries"][0]["lastError"].is_string();
    host.until(ADMIN, "{ deliveries { lastError } }", failed).await;
    manager.deactivate("hearer", false).await.unwrap();
    // Not addressed to a plugin that is not active.
    emit(&host, "shop:made", json!({ "n": 2 }), None).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let waiting = deliveries(&host, "{ pluginId: \"hearer\" }").await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(waiting[0]["state"], "WAITING");
    manager.activate("hearer").await.unwrap();
    host.data(ADA, "mutation { hearer_fail }", json!({})).await;
    settled(&host).await;
    let all = heard(&host).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["payload"], json!({ "n": 1 }));
    // An uninstalled plugin's are dropped.
    host.data(ADA, "mutation { hearer_fail(key: \"*\") }", json!({})).await;
    emit(&host, "shop:made", json!({ "n": 3 }), None).await;
    host.until(ADMIN, "{ deliveries { lastError } }", failed).await;
    manager.uninstall("hearer", false).await.unwrap();
    assert_eq!(deliveries(&host, "{}").await, Vec::<Value>::new());
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn administrators_retry_and_discard(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    shop(&host).await;
    listening(&host).await;
    host.data(ADA, "mutation { hearer_fail(key: \"*\") }", json!({})).await;
    emit(&host, "shop:made", json!({ "n": 1 }), None).await;
    emit(&host, "shop:made", json!({ "n": 2 }), None).await;
    let failed = |r: &Value| {
        r["data"]["deliveries"]
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["lastError"].is_string()))
    };
    host.until(ADMIN, "{ deliveries { lastError } }", failed).await;
    let waiting = deliveries(&host, "{ pluginId: \"hearer\", kind: EVENT }").await;
    let (first, second) = (waiting[0]["id"].clone(), waiting[1]["id"].clone());
    let discard =
        "mutation($i: DiscardDeliveryInput!) { discardDelivery(input: $i) { id payload } }";
    let gone = host.data(ADMIN, discard, json!({ "i": { "id": first } })).await;
    assert_eq!(gone["discardDelivery"], json!({ "id": first, "payload": { "n": 1 } }));
    let again = host.error(Some(ADMIN), discard, json!({ "i": { "id": first } })).await;
    assert_eq!(again["extensions"]["code"], "arguments_associated_resources_not_found");
    let retry = "mutation($i: RetryDeliveryInput!) { retryDelivery(input: $i) { id attempt } }";
    let retried = host.data(ADMIN, retry, json!({ "i": { "id": second } })).await;
    assert_eq!(retried["retryDelivery"], json!({ "id": second, "attempt": 0 }));
    host.data(ADA, "mutation { hearer_fail }", json!({})).await;
    settled(&host).await;
    let all = heard(&host).await;
    assert_eq!(
        (all.len(), &all[0]["payload"], &all[0]["delivery"]),
        (1, &json!({ "n": 2 }), &second)
    );
    for (query, name) in [(discard, "i"), (retry, "i")] {
        let wrong = host.error(Some(ADMIN), query, json!({ name: { "id": "x" } })).await;
        assert_eq!(wrong["extensions"]["issues"][0]["argumentPath"], json!(["input", "id"]));
        let stranger = host.error(Some(ADA), query, json!({ name: { "id": second } })).await;
        assert_eq!(stranger["extensions"]["code"], "unauthorized_action");
    }
    let stranger = host.error(None, "{ deliveries { id } }", json!({})).await;
    assert_eq!(stranger["extensions"]["code"], "unauthenticated");
    host.stop().await;
}

#[tokio::test]
async fn hooks_that_cause_each_other_are_cut() {
    let host = host_on(On::Sqlite).await;
    let main = "local M = {}\nfunction M.register() end\nlocal n = 0\n\
                function M.again(event, ctx) n += 1 ctx:emit('echo:said', { n = n }) end\n\
                function M.register(builder) builder:queryField('n', { type = 'Int!', auth = \
                'public', resolve = function() return n end })\nbuilder:mutationField('say', { type \
                = 'Boolean', auth = 'public', resolve = function(_, _, ctx) ctx:emit('echo:said', \
                {}) return true end }) end\nreturn M\n";
    let points = r#""hooks": [{ "type": "post", "event": "echo:said", "handler": "again" }]"#;
    let manifest = with_points("echo", points, "");
    host.plugin("echo", &[("manifest.json", &manifest), ("init.lua", main)]).await;
    host.data(ADA, "mutation { echo_say }", json!({})).await;
    let cut =
        |r: &Value| r["data"]["deliveries"][0]["lastError"].to_string().contains("without end");
    host.until(ADMIN, "{ deliveries { lastError } }", cut).await;
    a_moment().await;
    let n = host.data(ADA, "{ echo_n }", json!({})).await["echo_n"].as_i64().unwrap();
    assert!((16..=17).contains(&n), "{n}");
    host.stop().await;
}

#[tokio::test]
async fn embedders_raise_events_too() {
    let host = host_on(On::Sqlite).await;
    listening(&host).await;
    let payload: moondock::value::Value = serde_json::from_value(json!({ "n": 7 })).unwrap();
    host.host.emit(Event::new("shop:made", payload)).await.unwrap();
    settled(&host).await;
    assert_eq!(heard(&host).await[0]["payload"], json!({ "n": 7 }));
    host.stop().await;
}

#[tokio::test]
async fn a_hook_that_is_gone_is_an_error_that_says_so() {
    let host = host_on(On::Sqlite).await;
    shop(&host).await;
    listening(&host).await;
    host.data(ADA, "mutation { hearer_fail(key: \"*\") }", json!({})).await;
    emit(&host, "shop:made", json!({ "n": 1 }), None).await;
    let failed = |r: &Value| r["data"]["deliveries"][0]["lastError"].is_string();
    host.until(ADMIN, "{ deliveries { lastError } }", failed).await;
    let files = [
        ("manifest.json", &*hearer("listen")),
        ("init.lua", &HEARER.replace("M.hear(", "M.listen(")),
    ];
    host.write_plugin("hearer", &files);
    host.host.manager().reload("hearer").await.unwrap();
    let gone = |r: &Value| {
        r["data"]["deliveries"][0]["lastError"].to_string().contains("has no hook:init.lua:hear")
    };
    host.until(ADMIN, "{ deliveries { lastError } }", gone).await;
    // And when it is back, it hears it.
    let files = [("manifest.json", &*hearer("hear")), ("init.lua", HEARER)];
    host.write_plugin("hearer", &files);
    host.host.manager().reload("hearer").await.unwrap();
    settled(&host).await;
    assert_eq!(heard(&host).await.len(), 1);
    host.stop().await;
}
