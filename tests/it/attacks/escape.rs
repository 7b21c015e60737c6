//! Ways out of the sandbox: to other files, other plugins, other calls and the host itself.

use serde_json::{Value, json};

use crate::support::{ADA, REGISTER, TestHost, getting, manifest, registering, write};

/// What the body of a resolver gives.
async fn get(host: &TestHost, id: &str, body: &str) -> Value {
    host.plugin(id, &[("manifest.json", &manifest(id, REGISTER)), ("init.lua", &getting(body))])
        .await;
    host.graphql(Some(ADA), &format!("{{ {id}_get }}"), json!({})).await
}

/// Runs each of these and collects the errors of those that fail, by name. The plugin's Lua has
/// `try(name, f)`.
const TRY: &str = "local failed = {}
    local function try(name, f, ...)
        local ok, e = pcall(f, ...)
        failed[name] = if ok then false else tostring(e)
    end\n";

async fn refused(host: &TestHost, id: &str, body: &str) -> Value {
    let answer = get(host, id, &format!("{TRY}{body}\nreturn failed")).await;
    let failed = answer["data"][format!("{id}_get")].clone();
    let entries = failed.as_object().unwrap_or_else(|| panic!("{answer}"));
    for (name, error) in entries {
        assert!(error.is_string(), "{name} works");
    }
    failed
}

#[tokio::test]
async fn require_stays_in_the_folder_and_takes_no_other_form() {
    let host = TestHost::start().await;
    write(&host.plugins.join("secret.lua"), "return 'secret'");
    write(&host.dir.path().join("secret.lua"), "return 'secret'");
    host.plugin("other", &[("manifest.json", &manifest("other", "")), ("init.lua", "return {}")])
        .await;
    let failed = refused(
        &host,
        "seeker",
        r#"for _, name in { "../secret", "../../secret", "./../secret", "../other/init", "./a/../../secret",
               "/etc/passwd", "/etc/passwd\0.lua", "./init.lua\0", "\0", "", ".", "..", "./", "../", "@", "@/", "@std",
               "@std/../init", "@std/../../secret", "@std/./table", "@std//table", "@std/", "@other/init", "@other",
               "@self/init", "@host/prelude", "=@host/prelude", "init", "secret", "file:///etc/passwd", "./\xff",
               "..\\secret", "./%2e%2e/secret", "https://example.com/x" } do
               try(if utf8.len(name) then name else "bytes", require, name)
           end
           for i, value in { 1, true, {}, print } do try("value " .. i, require, value) end
           try("nothing", require)"#,
    )
    .await;
    assert!(failed.as_object().unwrap().len() >= 35, "{failed}");
    assert!(!failed.to_string().contains("root:"), "{failed}");
    host.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn links_out_of_the_folder_are_refused() {
    let host = TestHost::start().await;
    write(&host.dir.path().join("secret.lua"), "return 'secret'");
    let body = getting("return require('./linked')");
    host.write_plugin(
        "links",
        &[("manifest.json", &manifest("links", REGISTER)), ("init.lua", &body)],
    );
    let link = host.plugins.join("links/linked.lua");
    std::os::unix::fs::symlink("../../secret.lua", link).unwrap();
    let error = host.host.manager().install("links", true).await.unwrap_err();
    assert!(error.to_string().contains("points out of the plugin's folder"), "{error}");
    host.stop().await;
}

#[tokio::test]
async fn bytecode_is_no_source() {
    let host = TestHost::start().await;
    for (id, source) in [("signed", "\u{1b}Lua"), ("luau", "\u{6}\u{3}\u{0}\u{0}\u{0}")] {
        host.write_plugin(id, &[("manifest.json", &manifest(id, REGISTER)), ("init.lua", source)]);
        let error = host.host.manager().install(id, true).await.unwrap_err();
        assert!(error.to_string().contains("init.lua:1"), "{error}");
    }
    let failed = refused(
        &host,
        "loader",
        r#"try("loadstring", function() return loadstring("return 1") end)
           try("load", function() return load("return 1") end)
           try("dofile", function() return dofile("init.lua") end)
           try("debug", function() return debug.info(1, "f") end)
           try("getfenv", function() return getfenv(0) end)
           try("setfenv", function() return setfenv(0, {}) end)
           try("newproxy", function() return newproxy(true) end)
           try("collectgarbage", function() return collectgarbage("count") end)"#,
    )
    .await;
    assert_eq!(failed.as_object().unwrap().len(), 8);
    host.stop().await;
}

#[tokio::test]
async fn what_all_modules_share_cannot_be_changed() {
    let host = TestHost::start().await;
    let failed = refused(
        &host,
        "tamper",
        r#"try("string", function() string.upper = nil end)
           try("new in string", function() string.x = 1 end)
           try("rawset", rawset, string, "x", 1)
           try("clear", table.clear, table)
           try("string metatable", function() getmetatable("").__index = {} end)
           try("string metatable's table", function() getmetatable("").__index.upper = 1 end)
           try("setmetatable of a library", setmetatable, string, {})
           try("metatable of _G's table", function() getmetatable(_G).__index.x = 1 end)
           try("metatable of _G", setmetatable, _G, {})
           try("ctx", function() ctx.user = 1 end)
           try("ctx.plugin", function() ctx.logger.info = print end)
           try("rawset of ctx", rawset, ctx, "x", 1)
           try("metatable of ctx", function() getmetatable(ctx).__index = {} end)
           try("setmetatable of ctx", setmetatable, ctx, {})
           local _, e = pcall(ctx.fail, ctx, "x")
           try("metatable of an error", function() getmetatable(e).__index = {} end)
           try("rawset of an error", rawset, e, "code", "y")
           try("an error's field", function() e.code = "y" end)"#,
    )
    .await;
    assert_eq!(failed.as_object().unwrap().len(), 17);
    // What a module of the standard library gave to one plugin is not what another gets.
    let spoil = "local t = require('@std/table')\npcall(function() t.text = nil t.spoiled = true end)\n\
                 _G.spoiled = true\nreturn 1";
    assert_eq!(get(&host, "spoiler", spoil).await["data"]["spoiler_get"], 1);
    let seen = get(
        &host,
        "victim",
        "local t = require('@std/table')\n\
         return { type(t.text), tostring(rawget(t, 'spoiled')), tostring(_G.spoiled), ('x'):upper() }",
    )
    .await;
    assert_eq!(seen["data"]["victim_get"], json!(["function", "nil", "nil", "X"]));
    host.stop().await;
}

#[tokio::test]
async fn what_came_from_a_call_ends_with_it() {
    let host = TestHost::start().await;
    let main = "local kept, builder\n".to_owned()
        + &registering(
            r#"builder_ = builder
            local function field(name, resolve)
                builder:queryField(name, { type = "JSON", auth = "public", resolve = resolve })
            end
            field("keep", function(_, _, ctx)
                kept = { ctx = ctx, logger = ctx.logger, fail = ctx.fail, emit = ctx.emit }
                return true
            end)
            field("use", function()
                local failed = {}
                local function try(name, f, ...)
                    local ok, e = pcall(f, ...)
                    failed[name] = if ok then false else tostring(e)
                end
                local ctx = kept.ctx
                try("user", function() return ctx.user end)
                try("request", function() return ctx.request end)
                try("plugin", function() return ctx.plugin end)
                try("db", function() return ctx.db end)
                try("logger", function() return ctx.logger end)
                try("fail", kept.fail, ctx, "code")
                try("emit", kept.emit, ctx, "late:x", {})
                try("builder", function()
                    builder_:queryField("late", { type = "Int", resolve = print })
                    error("declared in vain")
                end)
                return failed
            end)"#,
        );
    host.plugin("late", &[("manifest.json", &manifest("late", REGISTER)), ("init.lua", &main)])
        .await;
    assert_eq!(host.data(ADA, "{ late_keep }", json!({})).await["late_keep"], true);
    let failed = host.data(ADA, "{ late_use }", json!({})).await["late_use"].take();
    for (name, error) in failed.as_object().unwrap() {
        assert!(error.is_string(), "{name} works");
        let ended = error.as_str().unwrap().contains("a call that has ended");
        assert!(ended || name == "builder", "{name}: {error}");
    }
    let fields = host.data(ADA, "{ __schema { queryType { fields { name } } } }", json!({})).await;
    assert!(!fields.to_string().contains("late_late"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coroutines_of_the_host_are_out_of_reach() {
    let host = TestHost::start().await;
    let main = "local other, started, meddled\n".to_owned()
        + &registering(
            r#"local function field(name, resolve)
                builder:queryField(name, { type = "JSON", auth = "public", resolve = resolve })
            end
            field("wait", function()
                other = { coroutine.running() }
                other[2] = coroutine.create(function()
                    started = true
                    repeat until meddled
                    return 42
                end)
                local ok, value = coroutine.resume(other[2])
                return { ok, value }
            end)
            field("meddle", function()
                repeat until started
                local seen = {}
                for _, thread in other do
                    table.insert(seen, (coroutine.resume(thread)))
                    table.insert(seen, (pcall(coroutine.close, thread)))
                end
                table.insert(seen, (coroutine.resume(coroutine.running())))
                table.insert(seen, (pcall(coroutine.close, coroutine.running())))
                meddled = true
                return seen
            end)"#,
        );
    host.plugin(
        "meddler",
        &[("manifest.json", &manifest("meddler", REGISTER)), ("init.lua", &main)],
    )
    .await;
    let wait = host.data(ADA, "{ meddler_wait }", json!({}));
    let meddle = host.data(ADA, "{ meddler_meddle }", json!({}));
    let (waited, meddled) = tokio::join!(wait, meddle);
    assert_eq!(meddled["meddler_meddle"], json!([false, false, false, false, false, false]));
    assert_eq!(waited["meddler_wait"], json!([true, 42]));
    host.stop().await;
}

#[tokio::test]
async fn errors_cannot_be_forged() {
    let host = TestHost::start().await;
    let forged = "ctx:fail('mine', 'text', { requestId = 'r', code = 'c', path = 'p', more = 1 })";
    let answer = get(&host, "forger", forged).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"], json!({ "code": "mine", "path": "p", "more": 1 }));
    assert_eq!(error["path"], json!(["forger_get"]));
    // Only `ctx:fail` speaks to clients, and not with the host's own word for what is masked.
    for (id, body) in [
        ("tables", "error({ code = 'forbidden', message = 'secret text' })"),
        ("texts", "error('secret text')"),
        (
            "objects",
            "error(setmetatable({}, { __tostring = function() return 'secret text' end }))",
        ),
        ("masked", "ctx:fail('unexpected', 'secret text')"),
        ("wrapped", "local ok, e = pcall(ctx.fail, ctx, 'x', 'secret text') error(tostring(e))"),
    ] {
        let answer = get(&host, id, body).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "unexpected", "{id}: {answer}");
        assert!(!answer.to_string().contains("secret"), "{id}: {answer}");
    }
    let answer =
        get(&host, "returned", "local _, e = pcall(ctx.fail, ctx, 'x', 'y') return { e }").await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "unexpected", "{answer}");
    host.stop().await;
}

#[tokio::test]
async fn credentials_and_the_hosts_events_are_private() {
    let host = TestHost::start().await;
    let seen = get(
        &host,
        "reader",
        "local names = {} for name in ctx.request.headers do table.insert(names, name) end\n\
         return { names = names, auth = ctx.request.headers.authorization, \
         Auth = ctx.request.headers.Authorization, text = tostring(ctx) }",
    )
    .await;
    let seen = &seen["data"]["reader_get"];
    assert!(seen["names"].as_array().unwrap().len() > 2, "{seen}");
    assert!(!seen.to_string().to_lowercase().contains("authorization"), "{seen}");
    assert!(seen.get("auth").is_none() && seen.get("Auth").is_none(), "{seen}");

    let failed = refused(
        &host,
        "shouter",
        r#"for _, name in { "plugin:activated", "plugins:ready", "plugin:", "other:thing", "shouter", "shouterx:a",
               "", "*", "shouter:*", "shouter:a\nb", "user:create", "\xff", ("shouter:"):rep(100) } do
               try(if utf8.len(name) then name else "bytes", ctx.emit, ctx, name, {})
           end"#,
    )
    .await;
    assert!(failed.as_object().unwrap().len() >= 12, "{failed}");
    host.stop().await;
}
