//! What a newer version adds to the database, and takes back when it does not serve.

use serde_json::json;

use crate::lifecycle::tables;
use crate::support::{ADA, REGISTER, TestHost, getting, manifest, write};

/// Writes a version with these tables (name and columns) and this `onLoad`.
fn write_version(host: &TestHost, declared: &[(&str, &str)], indexes: &str, on_load: &str) {
    let entry = |(name, _): &(&str, &str)| {
        format!(r#"{{ "type": "table", "name": "{name}", "file": "tables.lua" }}"#)
    };
    let entries: Vec<String> = declared.iter().map(entry).collect();
    let points = format!(r#"{REGISTER}, "database": [{}]"#, entries.join(", "));
    let table = |(name, columns): &(&str, &str)| {
        format!("{name} = t.table(\"{name}\", {{ {columns} }}, {{ indexes = {{ {indexes} }} }}),")
    };
    let all: Vec<String> = declared.iter().map(table).collect();
    let code = format!("local t = require(\"@std/table\")\nreturn {{ {} }}\n", all.join("\n"));
    let main = getting("return ctx.db:from(\"notes\"):count()").replace(
        "local M = {}\n",
        &format!("local M = {{}}\nfunction M.onLoad(ctx) {on_load} end\n"),
    );
    let folder = host.plugins.join("grown");
    write(&folder.join("manifest.json"), &manifest("grown", &points));
    write(&folder.join("tables.lua"), &code);
    write(&folder.join("init.lua"), &main);
}

#[tokio::test]
async fn added_tables_stay_with_a_version_that_serves_and_go_with_one_that_does_not() {
    const NOTES: (&str, &str) = ("notes", "id = t.serial():primaryKey(), text = t.text()");
    let more = ("more", "id = t.serial():primaryKey(), text = t.text()");
    let host = TestHost::start().await;
    let manager = host.host.manager();
    write_version(&host, &[NOTES], "", "");
    manager.install("grown", true).await.unwrap();
    manager.activate("grown").await.unwrap();

    write_version(&host, &[NOTES, more], "{ \"text\", unique = true }", "error('no')");
    let error = manager.reload("grown").await.unwrap_err();
    assert!(error.message.contains("onLoad"), "{error}");
    assert_eq!(tables(&host, "grown").await, ["grown_notes"]);
    assert_eq!(host.data(ADA, "{ grown_get }", json!({})).await["grown_get"], 0);

    // The unique index is gone too: the version that serves may write what it refused.
    let insert = "for _ = 1, 2 do ctx.db:insert('notes', { text = 'same' }) end";
    write_version(&host, &[NOTES, more], "", insert);
    manager.reload("grown").await.unwrap();
    assert_eq!(tables(&host, "grown").await, ["grown_more", "grown_notes"]);
    assert_eq!(host.data(ADA, "{ grown_get }", json!({})).await["grown_get"], 2);

    let changed = ("notes", "id = t.serial():primaryKey(), text = t.integer()");
    write_version(&host, &[changed], "", "");
    let error = manager.reload("grown").await.unwrap_err();
    assert!(error.message.contains("notes.text"), "{error}");
    assert_eq!(host.data(ADA, "{ grown_get }", json!({})).await["grown_get"], 2);
    host.stop().await;
}
