//! `ctx.kv` and `ctx.cache`, and the standard library as plugins require it.

use rstest::rstest;
use serde_json::{Value, json};

use crate::databases::On;
use crate::support::{ADA, REGISTER, TestHost, manifest_with, registering};

/// Runs the Luau of a test, which gets `ctx`.
const RUN: &str = r#"
local steps = require("./steps")
builder:mutationField("run", { type = "JSON", auth = "public", args = { step = "String!" },
    resolve = function(_, args, ctx)
        local ok, result = pcall(steps[args.step], ctx)
        return { ok = ok, result = if ok then result else tostring(result) }
    end })
"#;

const STEPS: &str = r#"
local json = require("@std/json")
local S = {}
function S.basics(ctx)
    local kv = ctx.kv
    kv:set("a", { 1, { b = "é" } })
    kv:set("b", "text")
    kv:set("b", "other")
    kv:set("n", 41)
    kv:set("f", 1.5)
    kv:set("list", json.array{})
    assert(kv:get("a")[2].b == "é" and kv:get("b") == "other" and kv:get("f") == 1.5)
    assert(kv:get("none") == nil)
    assert(kv:incr("n") == 42 and kv:incr("n", -2) == 40 and kv:incr("new", 5) == 5 and kv:get("n") == 40)
    assert(kv:delete("b") == true and kv:delete("b") == false and kv:get("b") == nil)
    return true
end
function S.list(ctx)
    for _, key in { "p:1", "p:2", "p:10", "P:1", "q", "p%", "p_" } do ctx.kv:set(key, key) end
    local function keys(...)
        local found = {}
        for _, entry in ctx.kv:list(...) do
            assert(entry.value == entry.key or entry.value ~= nil)
            table.insert(found, entry.key)
        end
        return table.concat(found, " ")
    end
    return { keys("p:"), keys("p:", { limit = 2 }), keys("p:", { after = "p:10" }), keys("p%"), keys("P") }
end
function S.ttl(ctx)
    ctx.kv:set("short", 1, { ttl = 0.2 })
    ctx.kv:incr("window", 1, { ttl = 0.2 })
    ctx.cache:set("short", "x", { ttl = 0.2 })
    assert(ctx.kv:incr("window") == 2 and ctx.kv:get("short") == 1 and ctx.cache:get("short") == "x")
    return true
end
function S.over(ctx)
    assert(ctx.kv:get("short") == nil and ctx.kv:delete("short") == false)
    assert(ctx.kv:incr("window", 7) == 7)
    assert(ctx.cache:get("short") == nil)
    return true
end
function S.rollback(ctx)
    pcall(function()
        ctx.db:transaction(function()
            ctx.kv:set("kept", "no")
            ctx.kv:incr("counted", 3)
            error("taken back")
        end)
    end)
    return { kept = ctx.kv:get("kept"), counted = ctx.kv:get("counted") }
end
function S.cache(ctx)
    local cache = ctx.cache
    cache:set("a", { 1, 2 })
    local got = cache:get("a")
    got[1] = "changed"
    assert(cache:get("a")[1] == 1 and cache:get("none") == nil)
    cache:set("b", 1)
    assert(cache:delete("b") == true and cache:delete("b") == false)
    for i = 1, 200 do cache:set("big" .. i, string.rep("x", 1000000)) end
    local n = 0
    for i = 1, 200 do if cache:get("big" .. i) then n += 1 end end
    assert(n > 0 and n <= 17, n)
    cache:clear()
    assert(cache:get("a") == nil)
    cache:set("stays", 7)
    return true
end
function S.stays(ctx) return { kv = ctx.kv:get("n"), cache = ctx.cache:get("stays") } end
function S.word(ctx) ctx.kv:set("word", "x") ctx.kv:incr("word") end
function S.none(ctx) ctx.kv:set("a", nil) end
function S.key(ctx) ctx.kv:set("", 1) end
function S.long(ctx) ctx.kv:set(string.rep("k", 513), 1) end
function S.huge(ctx) ctx.kv:set("a", string.rep("x", 1100000)) end
function S.options(ctx) ctx.kv:set("a", 1, { tll = 1 }) end
function S.past(ctx) ctx.kv:set("a", 1, { ttl = 0 }) end
function S.half(ctx) ctx.kv:incr("a", 0.5) end
function S.huge2(ctx) ctx.cache:set("a", string.rep("x", 5000000)) end
function S.limit(ctx) ctx.kv:list("", { limit = 0 }) end
function S.code(ctx) ctx.cache:set("a", print) end
return S
"#;

async fn write(host: &TestHost, id: &str) {
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "t", "file": "tables.lua" }}]"#
    );
    let manifest = manifest_with(id, &points, r#", "runtime": { "timeoutMs": 5000 }"#);
    let tables = "local t = require(\"@std/table\") return { t = t.table(\"t\", { id = \
                  t.serial():primaryKey() }) }";
    let init = registering(RUN);
    let files = [
        ("manifest.json", &*manifest),
        ("init.lua", &*init),
        ("steps.lua", STEPS),
        ("tables.lua", tables),
    ];
    host.plugin(id, &files).await;
}

async fn run(host: &TestHost, id: &str, step: &str) -> Value {
    let query = format!("mutation {{ {id}_run(step: \"{step}\") }}");
    host.data(ADA, &query, json!({})).await[format!("{id}_run")].clone()
}

#[rstest]
#[tokio::test]
async fn keys_are_kept(#[values(On::Sqlite, On::Postgres)] on: On) {
    let settings = on.settings().await;
    let host = TestHost::start_with(settings).await;
    write(&host, "keeper").await;
    write(&host, "other").await;
    let right = json!({ "ok": true, "result": true });
    for step in ["basics", "ttl", "cache"] {
        assert_eq!(run(&host, "keeper", step).await, right, "{step}");
    }
    let listed = run(&host, "keeper", "list").await;
    assert_eq!(listed["result"], json!(["p:1 p:10 p:2", "p:1 p:10", "p:2", "p%", "P:1"]));
    assert_eq!(run(&host, "keeper", "rollback").await["result"], json!({}));
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(run(&host, "keeper", "over").await, right);
    for (step, expected) in [
        ("word", "is no whole number"),
        ("none", "delete removes a key"),
        ("key", "1 to 512 bytes"),
        ("long", "1 to 512 bytes"),
        ("huge", "at most 1048576 bytes"),
        ("options", "such as { ttl = 60 }"),
        ("past", "such as { ttl = 60 }"),
        ("half", "a whole number"),
        ("huge2", "at most 4194304 bytes"),
        ("limit", "from 1 to 1000"),
        ("code", "a function cannot leave"),
    ] {
        let got = run(&host, "keeper", step).await;
        let message = got["result"].as_str().unwrap_or_default();
        assert!(got["ok"] == false && message.contains(expected), "{step}: {got}");
    }
    // A plugin has its own, which outlive its generations and not itself.
    assert_eq!(run(&host, "other", "stays").await["result"], json!({}));
    host.host.manager().reload("keeper").await.unwrap();
    assert_eq!(run(&host, "keeper", "stays").await["result"], json!({ "kv": 40, "cache": 7 }));
    let manager = host.host.manager();
    manager.uninstall("keeper", false).await.unwrap();
    manager.install("keeper", false).await.unwrap();
    manager.activate("keeper").await.unwrap();
    assert_eq!(run(&host, "keeper", "stays").await["result"], json!({}));
    host.stop().await;
}
