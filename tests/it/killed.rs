//! Calls that are killed in the middle of a statement leave the database to others.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::admin_client::code;
use crate::support::{ADA, REGISTER, TestHost, getting, manifest_with};

#[tokio::test]
async fn a_call_that_dies_while_it_writes_holds_nobody_up() {
    let host = TestHost::start().await;
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "rows", "file": "tables.lua" }}]"#
    );
    let files = [
        ("manifest.json", manifest_with("p", &points, r#", "runtime": { "timeoutMs": 20 }"#)),
        ("init.lua", getting("while true do ctx.db:insert('rows', { note = 'x' }) end")),
        (
            "tables.lua",
            "local t = require(\"@std/table\")\nreturn { rows = t.table(\"rows\", \
             { id = t.serial():primaryKey(), note = t.text() }) }\n"
                .to_owned(),
        ),
    ];
    host.plugin("p", &files.each_ref().map(|(path, text)| (*path, text.as_str()))).await;
    let id = host.seen("p").await["id"].clone();
    for attempt in 0..30 {
        let error = host.error(Some(ADA), "{ p_get }", json!({})).await;
        assert_ne!(code(&error), "graphql_validation_failed");
        let started = Instant::now();
        host.admin("updatePlugin", json!({ "id": id, "backup": attempt % 2 == 0 })).await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(2), "attempt {attempt}: a write took {took:?}");
    }
    host.stop().await;
}
