//! Calls that are killed in the middle of a statement leave the database to others.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::admin_client::code;
use crate::support::{ADA, REGISTER, TestHost, getting, manifest_with};

/// Endless writing, in the ways a script can wait for it.
const WRITING: [&str; 3] = [
    "while true do ctx.db:insert('rows', { note = 'x' }) end",
    "coroutine.wrap(function() while true do ctx.db:insert('rows', { note = 'x' }) end end)()",
    "while true do pcall(function() ctx.db:insert('rows', { note = 'x' }) end) end",
];

#[tokio::test]
async fn a_call_that_dies_while_it_writes_holds_nobody_up() {
    for body in WRITING {
        dies_writing(body).await;
    }
}

async fn dies_writing(body: &str) {
    let host = TestHost::start().await;
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "rows", "file": "tables.lua" }}]"#
    );
    let files = [
        ("manifest.json", manifest_with("p", &points, r#", "runtime": { "timeoutMs": 20 }"#)),
        ("init.lua", getting(body)),
        (
            "tables.lua",
            "local t = require(\"@std/table\")\nreturn { rows = t.table(\"rows\", \
             { id = t.serial():primaryKey(), note = t.text() }) }\n"
                .to_owned(),
        ),
    ];
    host.plugin("p", &files.each_ref().map(|(path, text)| (*path, text.as_str()))).await;
    let id = host.seen("p").await["id"].clone();
    for attempt in 0..10 {
        let error = host.error(Some(ADA), "{ p_get }", json!({})).await;
        assert_ne!(code(&error), "graphql_validation_failed");
        assert_write(&host, &id, attempt % 2 == 0, body).await;
        // The same when it is the client that gives up.
        let asked = host.graphql(Some(ADA), "{ p_get }", json!({}));
        let _gave_up = tokio::time::timeout(Duration::from_millis(7), asked).await;
        assert_write(&host, &id, attempt % 2 == 1, body).await;
    }
    host.stop().await;
}

async fn assert_write(host: &TestHost, id: &Value, backup: bool, body: &str) {
    let started = Instant::now();
    host.admin("updatePlugin", json!({ "id": id, "backup": backup })).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "{body}: a write took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_load_one_module_do_not_meet() {
    let host = TestHost::start().await;
    // Loading takes several turns, and begins in a call.
    let slow = "local till = os.clock() + 0.03 while os.clock() < till do end return {}";
    let main = getting("return require('./a') ~= nil").replace("'./a'", "'./' .. args.module");
    let main = main.replace("auth = ", "args = { module = 'String!' }, auth = ");
    let files = [
        ("manifest.json", manifest_with("p", REGISTER, "")),
        ("init.lua", main),
        ("a.lua", format!("require('./b') {slow}")),
        ("b.lua", slow.to_owned()),
        ("c.lua", slow.to_owned()),
    ];
    host.plugin("p", &files.each_ref().map(|(path, text)| (*path, text.as_str()))).await;
    let ask = |module: &str| {
        let query = format!("{{ p_get(module: \"{module}\") }}");
        let host = &host;
        async move { host.data(ADA, &query, json!({})).await }
    };
    // One that is abandoned there leaves nothing behind either.
    let _gave_up = tokio::time::timeout(Duration::from_millis(15), ask("c")).await;
    let (a, b, again, c) = tokio::join!(ask("a"), ask("b"), ask("a"), ask("c"));
    for answer in [a, b, again, c] {
        assert_eq!(answer["p_get"], true);
    }
    host.stop().await;
}
