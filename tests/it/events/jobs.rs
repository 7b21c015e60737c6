//! `ctx.jobs`: work for later.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use super::{a_moment, deliveries, host_on, settled, with_points};
use crate::databases::On;
use crate::support::{ADA, ADMIN, TestHost};

const MAIN: &str = r#"
local M = {}
local failures = 0
function M.register(builder)
    builder:mutationField("enqueue", { type = "JSON", auth = "public",
        args = { name = "String!", payload = "JSON", options = "JSON", fail = "Boolean" },
        resolve = function(_, args, ctx)
            return ctx.db:transaction(function()
                local id, isNew = ctx.jobs:enqueue(args.name, args.payload, args.options)
                if args.fail then ctx:fail("wanted", "taken back") end
                return { id = id, isNew = isNew }
            end)
        end })
    builder:mutationField("cancel", { type = "Boolean!", auth = "public", args = { id = "String!" },
        resolve = function(_, args, ctx) return ctx.jobs:cancel(args.id) end })
    builder:mutationField("failNext", { type = "Boolean", auth = "public", args = { count = "Int!" },
        resolve = function(_, args) failures = args.count return true end })
    builder:queryField("done", { type = "JSON", auth = "public",
        resolve = function(_, _, ctx) return ctx.db:from("done"):orderBy("id"):all() end })
end
function M.note(payload, ctx)
    if failures > 0 then failures -= 1 error("no luck") end
    local d = ctx.delivery
    ctx.db:insert("done", { job = d.job, payload = payload, attempt = d.attempt, key = d.key })
end
function M.slow(payload, ctx)
    ctx.db:insert("done", { job = "begun" })
    local till = os.clock() + 0.5 while os.clock() < till do end
    ctx.db:insert("done", { job = ctx.delivery.job })
end
return M
"#;

const DONE: &str = "local t = require(\"@std/table\")\nreturn { done = t.table(\"done\", { id = \
    t.serial():primaryKey(), job = t.text(), payload = t.json(), attempt = t.integer(), \
    key = t.text() }) }\n";

async fn worker(host: &TestHost) {
    let points = r#""database": [{ "type": "table", "name": "done", "file": "tables.lua" }],
        "jobs": [{ "name": "note", "handler": "note", "maxAttempts": 2 },
                 { "name": "slow", "handler": "slow" }]"#;
    let manifest = with_points("worker", points, r#", "runtime": { "timeoutMs": 5000 }"#);
    host.plugin(
        "worker",
        &[("manifest.json", &manifest), ("init.lua", MAIN), ("tables.lua", DONE)],
    )
    .await;
}

async fn enqueue(host: &TestHost, name: &str, payload: Value, options: Value) -> Value {
    let query = "mutation($n: String!, $p: JSON, $o: JSON) \
                 { worker_enqueue(name: $n, payload: $p, options: $o) }";
    let variables = json!({ "n": name, "p": payload, "o": options });
    host.data(ADA, query, variables).await["worker_enqueue"].clone()
}

async fn done(host: &TestHost) -> Vec<Value> {
    host.data(ADA, "{ worker_done }", json!({})).await["worker_done"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[rstest]
#[tokio::test]
async fn jobs_are_done_once_enqueued_and_not_before(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    worker(&host).await;
    enqueue(&host, "note", json!({ "n": 1 }), json!({})).await;
    let query = "mutation { worker_enqueue(name: \"note\", payload: 2, fail: true) }";
    assert_eq!(host.error(Some(ADA), query, json!({})).await["extensions"]["code"], "wanted");
    settled(&host).await;
    let all = done(&host).await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        (&all[0]["job"], &all[0]["payload"], &all[0]["attempt"]),
        (&json!("note"), &json!({ "n": 1 }), &json!(1))
    );

    let start = Instant::now();
    enqueue(&host, "note", json!("later"), json!({ "delay": 0.7 })).await;
    settled(&host).await;
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    assert_eq!(done(&host).await[1]["payload"], "later");
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn jobs_fail_for_good_after_their_attempts(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    worker(&host).await;
    host.data(ADA, "mutation { worker_failNext(count: 3) }", json!({})).await;
    enqueue(&host, "note", json!(1), json!({ "key": "one", "attempts": 1 })).await;
    enqueue(&host, "note", json!(2), json!({})).await;
    let both = |r: &Value| r["data"]["deliveries"].as_array().is_some_and(|dead| dead.len() == 2);
    host.until(ADMIN, "{ deliveries(filter: { state: DEAD }) { id } }", both).await;
    let dead = deliveries(&host, "{ state: DEAD, kind: JOB, name: \"note\" }").await;
    let tried: Vec<_> = dead.iter().map(|one| one["attempt"].as_i64().unwrap()).collect();
    assert_eq!(tried, [1, 2]);
    assert!(dead.iter().all(|one| one["lastError"].as_str().unwrap().contains("no luck")));
    // What is dead is in nobody's way, but two of a kind cannot wait.
    let again = enqueue(&host, "note", json!(3), json!({ "key": "one", "delay": 60 })).await;
    assert_eq!(again["isNew"], true);
    let retry = "mutation($i: RetryDeliveryInput!) { retryDelivery(input: $i) { id } }";
    let refused = host.error(Some(ADMIN), retry, json!({ "i": { "id": dead[0]["id"] } })).await;
    assert!(refused["message"].as_str().unwrap().contains("enqueued again"), "{refused}");
    host.data(ADMIN, retry, json!({ "i": { "id": dead[1]["id"] } })).await;
    let noted = |r: &Value| r["data"]["worker_done"].to_string().contains("\"payload\":2");
    host.until(ADA, "{ worker_done }", noted).await;
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_key_is_there_once_and_jobs_can_be_cancelled(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    worker(&host).await;
    let later = json!({ "delay": 60, "key": "k" });
    let first = enqueue(&host, "note", json!(1), later.clone()).await;
    let second = enqueue(&host, "note", json!(2), later.clone()).await;
    assert_eq!((&first["isNew"], &second["isNew"]), (&json!(true), &json!(false)));
    assert_eq!(first["id"], second["id"]);
    // Of another name it is another job.
    assert_eq!(enqueue(&host, "slow", json!(0), later.clone()).await["isNew"], true);
    let cancel = "mutation($i: String!) { worker_cancel(id: $i) }";
    for expected in [true, false] {
        let cancelled = host.data(ADA, cancel, json!({ "i": first["id"] })).await;
        assert_eq!(cancelled["worker_cancel"], expected);
    }
    let third = enqueue(&host, "note", json!(3), later).await;
    assert_eq!(third["isNew"], true);
    // While it runs it can neither be cancelled nor doubled.
    let slow = enqueue(&host, "slow", json!(0), json!({ "key": "now" })).await;
    let begun = |r: &Value| r["data"]["worker_done"].to_string().contains("begun");
    host.until(ADA, "{ worker_done }", begun).await;
    let cancelled = host.data(ADA, cancel, json!({ "i": slow["id"] })).await;
    assert_eq!(cancelled["worker_cancel"], false);
    assert_eq!(enqueue(&host, "slow", json!(0), json!({ "key": "now" })).await["isNew"], false);
    a_moment().await;
    host.stop().await;
}

#[tokio::test]
async fn many_callers_enqueue_one_job_of_a_key() {
    for on in [On::Sqlite, On::Postgres] {
        let host = host_on(on).await;
        worker(&host).await;
        let options = json!({ "delay": 60, "key": "k" });
        let all = (0..20).map(|n| enqueue(&host, "note", json!(n), options.clone()));
        let all = futures_util::future::join_all(all).await;
        let new = all.iter().filter(|one| one["isNew"] == true).count();
        assert_eq!(new, 1, "{all:?}");
        assert!(all.iter().all(|one| one["id"] == all[0]["id"]));
        host.stop().await;
    }
}

#[tokio::test]
async fn wrong_jobs_are_clear_errors() {
    let host = host_on(On::Sqlite).await;
    worker(&host).await;
    for (name, options, said) in [
        ("not", json!({}), "did you mean \"note\"?"),
        ("note", json!({ "delay": -1 }), "delay is a number of seconds"),
        ("note", json!({ "delay": "soon" }), "delay is a number of seconds"),
        ("note", json!({ "delay": 1e12 }), "at most a year"),
        ("note", json!({ "attempts": 0 }), "attempts is a whole number from 1 to 100"),
        ("note", json!({ "key": "" }), "the key is a text"),
        ("note", json!({ "when": 1 }), "unknown option \"when\""),
        ("note", json!([1]), "the options are a table"),
    ] {
        let query = "mutation($n: String!, $o: JSON) { worker_enqueue(name: $n, options: $o) }";
        let variables = json!({ "n": name, "o": options });
        let response = host.graphql(Some(ADA), query, variables).await;
        // Masked for clients; the log has it.
        assert_eq!(response["errors"][0]["extensions"]["code"], "unexpected", "{response}");
        let main = format!(
            "local M = {{}} function M.register(b) b:queryField('try', {{ type = 'String!', auth = \
             'public', args = {{ o = 'JSON' }}, resolve = function(_, args, ctx) local ok, e = \
             pcall(function() ctx.jobs:enqueue('{name}', nil, args.o) end) return tostring(e) end \
             }}) end function M.note() end return M"
        );
        let points = r#""jobs": [{ "name": "note", "handler": "note" }]"#;
        host.write_plugin(
            "tries",
            &[("manifest.json", &with_points("tries", points, "")), ("init.lua", &main)],
        );
        let manager = host.host.manager();
        if manager.activate("tries").await.is_err() {
            manager.install("tries", true).await.unwrap();
            manager.activate("tries").await.unwrap();
        } else {
            manager.reload("tries").await.unwrap();
        }
        let query = "query($o: JSON) { tries_try(o: $o) }";
        let got = host.data(ADA, query, json!({ "o": options })).await;
        assert!(got["tries_try"].as_str().unwrap().contains(said), "{name} {options}: {got}");
    }
    host.stop().await;
}

#[tokio::test]
async fn pubsub_reaches_who_listens() {
    let host = host_on(On::Sqlite).await;
    let main = "local M = {} function M.register(b)\n\
        b:queryField('wait', { type = 'JSON', auth = 'public', args = { topic = 'String!', seconds = \
        'Float!' }, resolve = function(_, args, ctx) local s = ctx.pubsub:subscribe(args.topic) \
        return { s:receive(args.seconds) } end })\n\
        b:mutationField('say', { type = 'Boolean', auth = 'public', args = { topic = 'String!', \
        what = 'JSON' }, resolve = function(_, args, ctx) ctx.pubsub:publish(args.topic, args.what) \
        return true end }) end return M";
    let runtime = r#", "runtime": { "timeoutMs": 5000 }"#;
    for id in ["radio", "other"] {
        let manifest = with_points(id, "\"hooks\": []", runtime);
        host.plugin(id, &[("manifest.json", &manifest), ("init.lua", main)]).await;
    }
    let nothing = host.data(ADA, "{ radio_wait(topic: \"t\", seconds: 0.05) }", json!({})).await;
    assert_eq!(nothing["radio_wait"], json!({}));
    let listening = host.data(ADA, "{ radio_wait(topic: \"t\", seconds: 4) }", json!({}));
    let saying = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Neither another topic nor another plugin's is heard.
        for wrong in ["radio_say(topic: \"u\", what: 1)", "other_say(topic: \"t\", what: 2)"] {
            host.data(ADA, &format!("mutation {{ {wrong} }}"), json!({})).await;
        }
        let query = "mutation { radio_say(topic: \"t\", what: { a: [1, null] }) }";
        host.data(ADA, query, json!({})).await;
    };
    let (heard, ()) = tokio::join!(listening, saying);
    assert_eq!(heard["radio_wait"], json!([{ "a": [1, null] }]));
    host.stop().await;
}
