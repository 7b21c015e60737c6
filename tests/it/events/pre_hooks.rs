//! Pre hooks: what they may change and veto, and what a broken one leaves behind.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};

use super::{deliveries, host_on, settled, with_points};
use crate::databases::On;
use crate::support::{ADA, ADMIN, TestHost, registering};

/// Makes posts through an extension point of its own.
const BOARD: &str = r#"
builder:mutationField("post", { type = "JSON", auth = "public",
    args = { text = "String!", apart = "Boolean", fail = "Boolean" },
    resolve = function(_, args, ctx)
        local function run()
            return ctx.hooks:run("board:post", { text = args.text, tags = {} }, function(data)
                local row = ctx.db:insert("posts", { text = data.text })
                if args.fail then error("after all") end
                return { id = row.id, text = row.text, tags = data.tags, by = data.by }
            end)
        end
        if args.apart then return run() end
        return ctx.db:transaction(run)
    end })
builder:queryField("texts", { type = "[String!]!", auth = "public", resolve = function(_, _, ctx)
    local texts = {}
    for _, row in ctx.db:from("posts"):orderBy("id"):all() do table.insert(texts, row.text) end
    return texts
end })
builder:mutationField("wrong", { type = "JSON", auth = "public", args = { what = "String!" },
    resolve = function(_, args, ctx)
        local attempts = {
            foreign = function() ctx.hooks:run("bank:pay", {}, function() end) end,
            data = function() ctx.hooks:run("board:post", "x", function() end) end,
            body = function() ctx.hooks:run("board:post", {}) end,
            own = function() ctx.hooks:run("board:post", { text = "x" }, function()
                ctx:fail("own_code", "of the body") end) end,
            many = function()
                local a, b, c = ctx.hooks:run("board:other", {}, function() return 1, nil, 3 end)
                assert(a == 1 and b == nil and c == 3)
            end,
        }
        local ok, problem = pcall(attempts[args.what])
        return { ok = ok, message = tostring(problem), code = if ok then nil else problem.code }
    end })
"#;

const POSTS: &str = "local t = require(\"@std/table\")\nreturn { posts = t.table(\"posts\", \
                     { id = t.serial():primaryKey(), text = t.text() }) }\n";

async fn board(host: &TestHost) {
    let points = r#""database": [{ "type": "table", "name": "posts", "file": "tables.lua" }]"#;
    // Longer than the hooks take that hang.
    let manifest = with_points("board", points, r#", "runtime": { "timeoutMs": 20000 }"#);
    let main = registering(BOARD);
    host.plugin(
        "board",
        &[("manifest.json", &manifest), ("init.lua", &main), ("tables.lua", POSTS)],
    )
    .await;
}

/// A plugin with one pre hook of this body, which gets `data` and `ctx`, and a table `log`.
async fn hook(host: &TestHost, id: &str, settings: &str, body: &str) {
    let points = format!(
        r#""database": [{{ "type": "table", "name": "log", "file": "tables.lua" }}],
           "hooks": [{{ "type": "pre", "event": "board:post", "handler": "before" {settings} }}]"#
    );
    let manifest =
        with_points(id, &points, r#", "runtime": { "memoryMb": 16, "timeoutMs": 10000 }"#);
    let main = format!(
        "local M = {{}}\nlocal calls = 0\nfunction M.register(builder)\nbuilder:queryField(\"log\", \
         {{ type = \"[String!]!\", auth = \"public\", resolve = function(_, _, ctx)\nlocal texts = \
         {{}} for _, row in ctx.db:from(\"log\"):orderBy(\"id\"):all() do table.insert(texts, \
         row.text) end return texts end }})\nend\nfunction M.before(data, ctx)\n{body}\nend\nreturn M\n"
    );
    let log = POSTS.replace("posts", "log");
    host.plugin(id, &[("manifest.json", &manifest), ("init.lua", &main), ("tables.lua", &log)])
        .await;
}

async fn post(host: &TestHost, text: &str, more: &str) -> Value {
    let query = format!("mutation($t: String!) {{ board_post(text: $t{more}) }}");
    host.graphql(Some(ADA), &query, json!({ "t": text })).await
}

async fn texts(host: &TestHost, field: &str) -> Value {
    host.data(ADA, &format!("{{ {field} }}"), json!({})).await[field].clone()
}

#[rstest]
#[tokio::test]
async fn hooks_run_in_order_and_change_the_data(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    board(&host).await;
    hook(&host, "late", r#", "order": 5"#, "data.text ..= ' late'").await;
    hook(&host, "first", "", "data.text ..= ' first' return data").await;
    hook(&host, "second", "", "return { text = data.text .. ' second', by = ctx.user.name }").await;
    hook(&host, "early", r#", "order": -1"#, "data.text ..= ' early'").await;
    let made = post(&host, "a", "").await;
    let expected = json!({ "id": 1, "text": "a early first second late", "by": "ada" });
    assert_eq!(made["data"]["board_post"], expected, "{made}");
    // Registered while the plugin is active, and no longer.
    host.host.manager().deactivate("second", false).await.unwrap();
    let made = post(&host, "b", "").await;
    assert_eq!(made["data"]["board_post"]["text"], "b early first late");
    assert_eq!(made["data"]["board_post"]["tags"], json!({}), "Lua has one empty table");
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_veto_is_seen_as_written_and_leaves_nothing(
    #[values(On::Sqlite, On::Postgres)] on: On,
    #[values("", ", apart: true")] how: &str,
    #[values("", r#", "onError": "ignore""#)] settings: &str,
) {
    let host = host_on(on).await;
    board(&host).await;
    hook(&host, "writes", "", "ctx.db:insert('log', { text = data.text })").await;
    let veto = "ctx.db:insert('log', { text = 'never' }) ctx:emit('vetoes:tried', {}) \
                if data.text == 'bad' then ctx:fail('rude', 'Mind your words', { word = 'bad' }) end";
    hook(&host, "vetoes", settings, veto).await;
    let refused = post(&host, "bad", how).await;
    let error = &refused["errors"][0];
    assert_eq!(error["message"], "Mind your words", "{refused}");
    assert_eq!(
        (&error["extensions"]["code"], &error["extensions"]["word"]),
        (&json!("rude"), &json!("bad"))
    );
    assert_eq!(texts(&host, "board_texts").await, json!([]));
    assert_eq!(texts(&host, "vetoes_log").await, json!([]));
    if how.is_empty() {
        // In one transaction the hooks before it leave nothing either.
        assert_eq!(texts(&host, "writes_log").await, json!([]));
    }
    let made = post(&host, "good", how).await;
    assert_eq!(made["data"]["board_post"]["text"], "good", "{made}");
    assert_eq!(texts(&host, "vetoes_log").await, json!(["never"]));
    host.stop().await;
}

#[rstest]
#[case::throws("error('broken')", "broken")]
#[case::loops("while true do end", "time limit")]
#[case::garbage("return 7", "returned a integer")]
#[case::garbage_list("return { 1, 2 }", "returned a list")]
#[case::function("return function() end", "returned value")]
#[case::memory(
    "local t = {} while true do table.insert(t, string.rep('x', 100000) .. #t) end",
    "memory"
)]
#[case::database("ctx.db:insert('log', { id = 'no number' })", "log.id")]
#[case::waits("while true do ctx.db:from('log'):count() end", "time limit")]
#[tokio::test]
async fn a_broken_hook_rejects_or_counts_as_not_there(
    #[case] body: &str,
    #[case] said: &str,
    #[values("", ", apart: true")] how: &str,
) {
    for on in [On::Sqlite, On::Postgres] {
        let host = host_on(on).await;
        board(&host).await;
        let broken = format!(
            "calls += 1 data.text = 'spoiled' ctx.db:insert('log', {{ text = 'half' }}) {body}"
        );
        hook(&host, "broken", r#", "timeoutMs": 300"#, &broken).await;
        let refused = post(&host, "one", how).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "unexpected", "{refused}");
        assert_eq!(texts(&host, "board_texts").await, json!([]));
        assert_eq!(texts(&host, "broken_log").await, json!([]));
        // Administrators see it, and that the plugin serves nevertheless.
        let query =
            "{ getPlugins(input: { pluginId: \"broken\" }) { status errors { phase message } } }";
        let plugin = host.data(ADMIN, query, json!({})).await["getPlugins"][0].clone();
        assert_eq!(
            (&plugin["status"], &plugin["errors"][0]["phase"]),
            (&json!("ACTIVE"), &json!("call"))
        );
        let message = plugin["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("board:post") && message.contains(said), "{message}");

        host.host.manager().uninstall("broken", false).await.unwrap();
        hook(&host, "ignored", r#", "timeoutMs": 300, "onError": "ignore""#, &broken).await;
        hook(&host, "after", "", "data.text ..= ' after'").await;
        let made = post(&host, "two", how).await;
        assert_eq!(made["data"]["board_post"]["text"], "two after", "{made}");
        assert_eq!(texts(&host, "board_texts").await, json!(["two after"]));
        assert_eq!(texts(&host, "ignored_log").await, json!([]));
        host.stop().await;
    }
}

#[tokio::test]
async fn what_the_body_says_counts() {
    let host = host_on(On::Sqlite).await;
    board(&host).await;
    hook(&host, "writes", "", "ctx.db:insert('log', { text = data.text })").await;
    let failed = post(&host, "x", ", fail: true").await;
    assert_eq!(failed["errors"][0]["extensions"]["code"], "unexpected");
    assert_eq!(texts(&host, "board_texts").await, json!([]));
    assert_eq!(texts(&host, "writes_log").await, json!([]));
    for (what, ok, said) in [
        ("foreign", false, "permissions.events with \"bank:pay\""),
        ("data", false, "a table of data and a function"),
        ("body", false, "a table of data and a function"),
        ("own", false, "of the body"),
        ("many", true, ""),
    ] {
        let query = "mutation($w: String!) { board_wrong(what: $w) }";
        let got = host.data(ADA, query, json!({ "w": what })).await["board_wrong"].clone();
        assert!(
            got["ok"] == ok && got["message"].as_str().unwrap().contains(said),
            "{what}: {got}"
        );
    }
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn post_hooks_get_the_data_and_what_became_of_it(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    board(&host).await;
    hook(&host, "pre", "", "data.by = 'the hook'").await;
    let points = r#""database": [{ "type": "table", "name": "log", "file": "tables.lua" }],
        "hooks": [{ "type": "post", "event": "board:*", "handler": "after" }]"#;
    let manifest = with_points("post", points, "");
    let main = "local M = {}\nfunction M.register(builder) builder:queryField('log', { type = 'JSON', \
                auth = 'public', resolve = function(_, _, ctx) return ctx.db:from('log'):all() end }) \
                end\nfunction M.after(data, ctx) ctx.db:insert('log', { data = data }) end\nreturn M\n";
    let log = "local t = require(\"@std/table\")\nreturn { log = t.table(\"log\", { id = \
               t.serial():primaryKey(), data = t.json() }) }\n";
    host.plugin("post", &[("manifest.json", &manifest), ("init.lua", main), ("tables.lua", log)])
        .await;
    post(&host, "x", "").await;
    post(&host, "y", ", fail: true").await;
    settled(&host).await;
    let log = texts(&host, "post_log").await;
    assert_eq!(log.as_array().unwrap().len(), 1, "{log}");
    assert_eq!(log[0]["data"], json!({ "text": "x", "tags": {}, "by": "the hook", "id": 1 }));
    host.stop().await;
}

#[tokio::test]
async fn hooks_that_run_themselves_are_cut() {
    let host = host_on(On::Sqlite).await;
    let points = r#""hooks": [{ "type": "pre", "event": "loop:run", "handler": "again" }]"#;
    let manifest = with_points("loop", points, r#", "runtime": { "timeoutMs": 5000 }"#);
    let main = "local M = {}\nlocal n = 0\nfunction M.register(builder) builder:queryField('run', { \
                type = 'Int!', auth = 'public', resolve = function(_, _, ctx) pcall(function() \
                ctx.hooks:run('loop:run', {}, function() end) end) return n end }) end\n\
                function M.again(data, ctx) n += 1 ctx.hooks:run('loop:run', {}, function() end) end\n\
                return M\n";
    host.plugin("loop", &[("manifest.json", &manifest), ("init.lua", main)]).await;
    assert_eq!(texts(&host, "loop_run").await, 16);
    host.stop().await;
}

#[tokio::test]
async fn embedders_run_hooks() {
    let host = host_on(On::Sqlite).await;
    hook(&host, "pre", "", "").await;
    let points = r#""hooks": [{ "type": "pre", "event": "order:create", "handler": "check" },
                              { "type": "post", "event": "order:create", "handler": "seen" }]"#;
    let manifest = with_points("shop", points, "");
    let main = "local M = {}\nlocal seen = {}\nfunction M.register(builder) \
                builder:queryField('seen', { type = 'JSON', auth = 'public', resolve = function() \
                return seen end }) end\nfunction M.check(data, ctx) if data.n < 0 then \
                ctx:fail('negative', 'no') end data.n += 1 end\nfunction M.seen(data) \
                table.insert(seen, data.n) end\nreturn M\n";
    host.plugin("shop", &[("manifest.json", &manifest), ("init.lua", main)]).await;
    let data =
        |n: i64| -> moondock::value::Value { serde_json::from_value(json!({ "n": n })).unwrap() };
    let run = async |n: i64| {
        host.host
            .run_hooks("order:create", data(n), async |data| Ok(data.get("n").cloned().unwrap()))
            .await
    };
    assert_eq!(run(1).await.unwrap(), moondock::value::Value::Int(2));
    assert_eq!(run(-1).await.unwrap_err().code, "negative");
    settled(&host).await;
    assert_eq!(texts(&host, "shop_seen").await, json!([2]));
    host.stop().await;
}

#[tokio::test]
async fn a_hook_has_no_more_time_than_its_caller() {
    let host = host_on(On::Sqlite).await;
    let manifest = with_points("caller", "\"hooks\": []", r#", "runtime": { "timeoutMs": 200 }"#);
    let main = registering(
        "builder:queryField('run', { type = 'Boolean', auth = 'public', resolve = function(_, _, ctx) \
         ctx.hooks:run('caller:run', {}, function() end) return true end })",
    );
    host.plugin("caller", &[("manifest.json", &manifest), ("init.lua", &main)]).await;
    let points = r#""hooks": [{ "type": "pre", "event": "caller:run", "handler": "slow" }]"#;
    let manifest = with_points("slow", points, r#", "runtime": { "timeoutMs": 10000 }"#);
    let main = "local M = {}\nfunction M.register() end\nfunction M.slow() while true do end end\n\
                return M\n";
    host.plugin("slow", &[("manifest.json", &manifest), ("init.lua", main)]).await;
    let start = std::time::Instant::now();
    let error = host.error(Some(ADA), "{ caller_run }", json!({})).await;
    assert_eq!(error["extensions"]["code"], "unexpected");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(deliveries(&host, "{}").await, Vec::<Value>::new());
    host.stop().await;
}
