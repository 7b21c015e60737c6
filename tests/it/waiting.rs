//! Where a script can wait for the host and where it cannot.

use serde_json::json;

use crate::support::{ADMIN, REGISTER, TestHost, manifest, registering};

/// Whether the answer happens to be there at once must not decide whether such a call works.
#[tokio::test]
async fn calls_that_wait_are_refused_where_lua_cannot_wait() {
    let host = TestHost::start().await;
    let fields = r#"
        local places = {
            gsub = function(count) return (string.gsub("a", ".", function() return tostring(count()) end)) end,
            index = function(count) return setmetatable({}, { __index = count }).x end,
            add = function(count) return setmetatable({}, { __add = count }) + 1 end,
            sort = function(count) table.sort({ 2, 1 }, function(a, b) count() return a < b end) end,
        }
        for name, place in places do
            builder:queryField(name, { type = "JSON", auth = "public", resolve = function(_, _, ctx)
                local ok, e = pcall(place, function() return ctx.db:from("notes"):count() end)
                return { ok = ok, message = tostring(e) }
            end })
        end
        builder:queryField("plain", { type = "Int!", auth = "public", resolve = function(_, _, ctx)
            return ctx.db:from("notes"):count()
        end })"#;
    let tables = r#"local t = require("@std/table")
        return { notes = t.table("notes", { id = t.serial():primaryKey() }) }"#;
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "notes", "file": "tables.lua" }}]"#
    );
    host.plugin(
        "p",
        &[
            ("manifest.json", &manifest("p", &points)),
            ("init.lua", &registering(fields)),
            ("tables.lua", tables),
        ],
    )
    .await;
    for _ in 0..10 {
        for place in ["gsub", "index", "add", "sort"] {
            let query = format!("{{ p_{place} }}");
            let answer = &host.data(ADMIN, &query, json!({})).await[format!("p_{place}")];
            assert_eq!(answer["ok"], false, "{place}");
            let message = answer["message"].as_str().unwrap();
            assert!(message.contains("waits for the host"), "{place}: {message}");
        }
    }
    // Every connection is free again.
    assert_eq!(host.data(ADMIN, "{ p_plain }", json!({})).await["p_plain"], 0);
    host.stop().await;
}
