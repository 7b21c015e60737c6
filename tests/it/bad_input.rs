//! Folders that are no plugins: each error names its cause, and the server goes on.

use std::fs;

use serde_json::json;

use crate::admin_client::{code, errors};
use crate::support::{
    ADA, REGISTER, TestHost, getting, manifest, manifest_with, registering, write,
};

/// A host with a plugin that must go on serving.
async fn host_with_other() -> TestHost {
    let host = TestHost::start().await;
    let files = [("manifest.json", manifest("other", REGISTER)), ("init.lua", getting("return 1"))];
    host.plugin("other", &files.each_ref().map(|(path, text)| (*path, text.as_str()))).await;
    host
}

/// The installation of `bad` fails with an error that says all of `causes`, here, in the plugin's
/// errors, and nowhere else.
async fn refuses(host: &TestHost, id: &str, causes: &[&str]) {
    if host.seen(id).await.is_null() {
        host.admin("createPlugin", json!({ "pluginId": id })).await;
    }
    let sdl = host.host.sdl();
    let error = host.refused("installPlugin", json!({ "pluginId": id })).await;
    assert_eq!(code(&error), "forbidden_action_on_arguments_associated_resources", "{error}");
    let message = error["message"].as_str().unwrap();
    let seen = host.seen(id).await;
    let shown = errors(&seen).join("\n");
    for cause in causes {
        assert!(message.contains(cause), "{cause:?} is not in {message:?}");
        assert!(shown.contains(cause), "{cause:?} is not in {shown:?}");
    }
    assert_eq!((&seen["status"], &seen["isInstalled"]), (&json!("ERROR"), &json!(false)));
    assert_eq!(host.host.sdl(), sdl);
    assert_eq!(host.data(ADA, "{ other_get }", json!({})).await["other_get"], 1);
}

#[tokio::test]
async fn folders_that_cannot_be_read() {
    let host = host_with_other().await;
    fs::write(host.plugins.join("file"), "no folder").unwrap();
    refuses(&host, "file", &["file is not a folder"]).await;
    refuses(&host, "absent", &["cannot read the folder", "absent"]).await;
    fs::create_dir_all(host.plugins.join("empty")).unwrap();
    refuses(&host, "empty", &["has no manifest.json"]).await;

    host.write_plugin(
        "linked",
        &[("manifest.json", &manifest("linked", "")), ("init.lua", "return {}")],
    );
    let outside = host.dir.path().join("secret.lua");
    fs::write(&outside, "return 'secret'").unwrap();
    std::os::unix::fs::symlink(&outside, host.plugins.join("linked/secret.lua")).unwrap();
    refuses(&host, "linked", &["secret.lua:", "points out of the plugin's folder"]).await;

    let large = format!("-- {}\nreturn {{}}\n", "x".repeat(5 << 20));
    host.write_plugin("large", &[("manifest.json", &manifest("large", "")), ("init.lua", &large)]);
    refuses(&host, "large", &["init.lua:", "bytes", "allowed"]).await;

    write(&host.plugins.join("latin/manifest.json"), &manifest("latin", ""));
    fs::write(host.plugins.join("latin/init.lua"), b"return '\xe9'").unwrap();
    refuses(&host, "latin", &["init.lua:", "not valid UTF-8 at byte 8"]).await;
    host.stop().await;
}

#[tokio::test]
async fn ids_and_folders_must_agree() {
    let host = host_with_other().await;
    let main = "return {}";
    host.write_plugin("one", &[("manifest.json", &manifest("another", "")), ("init.lua", main)]);
    refuses(&host, "one", &["pluginId", "another", "one"]).await;
    // The id of a plugin that is there already.
    host.write_plugin("two", &[("manifest.json", &manifest("other", "")), ("init.lua", main)]);
    refuses(&host, "two", &["pluginId", "other", "two"]).await;
    let dir = host.stop().await;
    // It is no reason not to start, and the one that is named so keeps the id.
    let host = TestHost::start_in(dir, |_| ()).await;
    assert_eq!(host.data(ADA, "{ other_get }", json!({})).await["other_get"], 1);
    host.stop().await;
}

#[tokio::test]
async fn manifests_that_are_wrong() {
    let host = host_with_other().await;
    let good = manifest_with("bad", REGISTER, r#", "runtime": { "timeoutMs": 50 }"#);
    let swap = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    for (text, causes) in [
        ("".to_owned(), &["manifest.json", "JSON"][..]),
        ("[]".to_owned(), &["manifest.json", "object"]),
        ("{ \"name\": \"x\",\n }".to_owned(), &["manifest.json:2"]),
        (swap("\"1.0.0\"", "\"first\""), &["version", "first"]),
        (swap("\"1.0.0\"", "1"), &["version", "semantic version", "found 1"]),
        (swap("\"description\": \"A test\",", ""), &["description"]),
        (swap("\"init.lua\"", "\"../init.lua\""), &["main", "../init.lua"]),
        (swap("\"init.lua\"", "{}"), &["main", "name of a script"]),
        (swap("50", "\"fast\""), &["runtime.timeoutMs", "fast"]),
        (swap("50", "-1"), &["runtime.timeoutMs", "-1"]),
        (swap("50", "150001"), &["runtime.timeoutMs", "150001"]),
        (swap("\"query\"", "\"question\""), &["extensionPoints.graphql[0].type", "question"]),
        (swap("\"fields\"", "[]"), &["extensionPoints.graphql[0].name"]),
        (
            swap(", \"builderDefinition\": \"register\"", ""),
            &["extensionPoints.graphql[0].builderDefinition"],
        ),
        (swap("[{", "{\"x\": [{").replace("}]", "}]}"), &["extensionPoints.graphql", "list"]),
        (
            swap("\"1.0.0\"", "1").replace("50", "true").replace("\"query\"", "7"),
            &["version", "runtime.timeoutMs", "extensionPoints.graphql[0].type"],
        ),
    ] {
        host.write_plugin("bad", &[("manifest.json", &text), ("init.lua", &getting("return 1"))]);
        refuses(&host, "bad", causes).await;
    }
    host.stop().await;
}

#[tokio::test]
async fn scripts_that_do_not_load() {
    let host = host_with_other().await;
    let field = |name: &str, definition: &str| {
        registering(&format!("builder:queryField('{name}', {definition})"))
    };
    let resolve = "resolve = function() return 1 end";
    let typed = |ty: &str| field("get", &format!("{{ type = '{ty}', {resolve} }}"));
    for (text, causes) in [
        ("".to_owned(), &["init.lua", "must return a table", "nothing"][..]),
        ("return 7".to_owned(), &["init.lua", "must return a table", "a number"]),
        ("local x = = 1".to_owned(), &["init.lua:1"]),
        ("local M = {}\nerror('no luck')\nreturn M".to_owned(), &["init.lua:2", "no luck"]),
        ("while true do end".to_owned(), &["init.lua", "time limit"]),
        ("return require('./nothing')".to_owned(), &["init.lua:1", "nothing"]),
        ("return require('../../etc/passwd')".to_owned(), &["init.lua:1", "passwd"]),
        ("return {}".to_owned(), &["extensionPoints.graphql[0].builderDefinition", "register"]),
        ("return { register = 'x' }".to_owned(), &["register", "must be a function", "string"]),
        ("return { onLoad = 1, register = function() end }".to_owned(), &["onLoad", "function"]),
        (registering("error('in the builder')"), &["init.lua:3", "in the builder"]),
        (registering("\nbuilder:queryFeld('a', {})"), &["init.lua:4", "queryFeld"]),
        (typed("Nope"), &["init.lua:3", "Nope"]),
        (typed("[Int"), &["init.lua:3", "[Int"]),
        (typed("Int!!"), &["init.lua:3", "Int!!"]),
        (typed(""), &["init.lua:3", "type"]),
        (field("get", "{ type = 'Int' }"), &["init.lua:3", "resolve"]),
        (field("get", "{ type = 'Int', resolve = 'x' }"), &["init.lua:3", "resolve", "function"]),
        (field("get", "{ type = 'Int', rezolve = 1 }"), &["init.lua:3", "rezolve"]),
        (field("a-b", &format!("{{ type = 'Int', {resolve} }}")), &["init.lua:3", "a-b"]),
        (
            registering("builder:objectType('__Own', { fields = { a = 'Int' } })"),
            &["init.lua:3", "__Own"],
        ),
        (registering("builder:objectType('Empty', { fields = {} })"), &["init.lua:3", "Empty"]),
        (registering("builder:enumType('E', { values = { 'A', 'A' } })"), &["init.lua:3", "A"]),
        (registering("builder:enumType('E', { values = { 'true' } })"), &["init.lua:3", "true"]),
        (
            registering(&format!(
                "local f = {{ type = 'Int', {resolve} }}\nbuilder:queryField('f', f)\nbuilder:queryField('f', f)"
            )),
            &["init.lua:5", "f"],
        ),
    ] {
        host.write_plugin(
            "bad",
            &[("manifest.json", &manifest("bad", REGISTER)), ("init.lua", &text)],
        );
        refuses(&host, "bad", causes).await;
    }

    let circular = [
        ("manifest.json", manifest("bad", REGISTER)),
        ("init.lua", "return require('./a')".to_owned()),
        ("a.lua", "return require('./b')".to_owned()),
        ("b.lua", "return require('./a')".to_owned()),
    ];
    host.write_plugin("bad", &circular.each_ref().map(|(path, text)| (*path, text.as_str())));
    refuses(&host, "bad", &["a.lua", "b.lua", "circular"]).await;
    host.stop().await;
}

#[tokio::test]
async fn files_and_handlers_that_are_missing() {
    let host = host_with_other().await;
    let entry = |points: &str| manifest("bad", points);
    for (manifest, causes) in [
        (entry("").replace("init.lua", "none.lua"), &["none.lua"][..]),
        (
            entry(
                r#""graphql": [{ "type": "query", "name": "x", "builderDefinition": "f", "file": "gone.lua" }]"#,
            ),
            &["gone.lua"],
        ),
        (
            entry(r#""hooks": [{ "type": "post", "event": "x:y", "handler": "heard" }]"#),
            &["extensionPoints.hooks[0].handler", "heard"],
        ),
        (
            entry(r#""database": [{ "type": "table", "name": "t", "file": "gone.lua" }]"#),
            &["gone.lua"],
        ),
    ] {
        host.write_plugin("bad", &[("manifest.json", &manifest), ("init.lua", "return {}")]);
        refuses(&host, "bad", causes).await;
    }
    host.stop().await;
}

#[tokio::test]
async fn tables_that_are_wrong() {
    let host = host_with_other().await;
    let points = r#""database": [{ "type": "table", "name": "things", "file": "tables.lua" }]"#;
    let table = |columns: &str| {
        format!(
            "local t = require('@std/table')\nreturn {{\n things = t.table('things', {{ {columns} }}) }}"
        )
    };
    for (text, causes) in [
        ("return { things = 7 }".to_owned(), &["tables.lua", "things", "t.table"][..]),
        ("return {}".to_owned(), &["tables.lua", "extensionPoints.database[0].name", "things"]),
        (table(""), &["tables.lua", "things", "column"]),
        (table("id = t.uuidd()"), &["tables.lua:3", "uuidd"]),
        (table("id = 'text'"), &["tables.lua", "id"]),
        (table("['drop table'] = t.text()"), &["tables.lua", "drop table"]),
        (table("id = t.text():references('nothing.id')"), &["tables.lua", "nothing"]),
        (table("a = t.serial()"), &["tables.lua", "serial", "primary"]),
        (table("a = t.integer():default('x')"), &["tables.lua", "a", "default"]),
        (table("a = t.enum('none')"), &["tables.lua", "none"]),
        (table("fooBar = t.text(), foo_bar = t.text()"), &["tables.lua", "foo_bar"]),
        (
            "local t = require('@std/table')\nreturn { things = t.enumType('e', { 'a' }) }"
                .to_owned(),
            &["tables.lua", "extensionPoints.database[0].type"],
        ),
    ] {
        host.write_plugin(
            "bad",
            &[
                ("manifest.json", &manifest("bad", points)),
                ("init.lua", "return {}"),
                ("tables.lua", &text),
            ],
        );
        refuses(&host, "bad", causes).await;
    }
    host.stop().await;
}

/// What this version does not carry out yet is checked all the same.
#[tokio::test]
async fn handlers_of_later_versions_are_checked_too() {
    let host = TestHost::start().await;
    let points = r#""webhooks": [{ "path": "/a", "handler": "missing" }],
                    "jobs": [{ "name": "j", "handler": "alsoMissing" }]"#;
    host.write_plugin(
        "later",
        &[("manifest.json", &manifest("later", points)), ("init.lua", "return {}")],
    );
    let error = host.host.manager().install("later", false).await.unwrap_err();
    assert!(error.message.contains("extensionPoints.webhooks[0].handler"), "{error}");
    assert!(error.message.contains("extensionPoints.jobs[0].handler"), "{error}");
    host.stop().await;
}
