//! Plugins beside each other: dependencies, clashes, events, and calls during a reload.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin_client::errors;
use crate::support::{
    ADA, ADMIN, REGISTER, TestHost, getting, manifest, manifest_with, registering,
};

fn write_plugin(host: &TestHost, id: &str, manifest: &str, main: &str) {
    host.write_plugin(id, &[("manifest.json", manifest), ("init.lua", main)]);
}

fn depending(id: &str, on: &str) -> String {
    manifest_with(id, REGISTER, &format!(r#", "dependencies": {{ {on} }}"#))
}

#[tokio::test]
async fn a_plugin_needs_what_it_depends_on() {
    let host = TestHost::start().await;
    let manager = host.host.manager();
    // By name it comes before what it depends on.
    write_plugin(&host, "a", &depending("a", r#""b": "^1.0""#), &getting("return 1"));
    write_plugin(&host, "b", &manifest("b", REGISTER), &getting("return 2"));
    manager.install("a", false).await.unwrap();
    let error = manager.activate("a").await.unwrap_err().to_string();
    assert!(error.contains("depends on b ^1.0") && error.contains("not active"), "{error}");
    let newer = manifest("b", REGISTER).replace("1.0.0", "2.1.0");
    write_plugin(&host, "b", &newer, &getting("return 2"));
    manager.install("b", false).await.unwrap();
    manager.activate("b").await.unwrap();
    let error = manager.activate("a").await.unwrap_err().to_string();
    assert!(error.contains("^1.0") && error.contains("2.1.0"), "{error}");
    write_plugin(&host, "b", &manifest("b", REGISTER), &getting("return 2"));
    manager.reload("b").await.unwrap();
    manager.activate("a").await.unwrap();

    // What others depend on stays, in a version that fits.
    for refused in [manager.deactivate("b", false).await, manager.uninstall("b", false).await] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("depend on it: a"), "{error}");
    }
    write_plugin(&host, "b", &newer, &getting("return 3"));
    let error = manager.reload("b").await.unwrap_err().to_string();
    assert!(error.contains("a is active and depends on b ^1.0"), "{error}");
    let data = host.data(ADA, "{ a_get b_get }", json!({})).await;
    assert_eq!(data, json!({ "a_get": 1, "b_get": 2 }));
    assert_eq!(host.seen("b").await["status"], "ACTIVE");

    // At a restart they come up in the right order, and the wrong version takes only its own down.
    write_plugin(&host, "b", &manifest("b", REGISTER), &getting("return 2"));
    let dir = host.stop().await;
    let host = TestHost::start_in(dir, |_| ()).await;
    assert_eq!(host.data(ADA, "{ a_get b_get }", json!({})).await, data);
    write_plugin(&host, "b", &newer, &getting("return 3"));
    let dir = host.stop().await;
    let host = TestHost::start_in(dir, |_| ()).await;
    assert_eq!(host.data(ADA, "{ b_get }", json!({})).await["b_get"], 3);
    let a = host.seen("a").await;
    assert_eq!((&a["status"], &a["isActivated"]), (&json!("ERROR"), &json!(true)));
    assert!(errors(&a)[0].contains("2.1.0"), "{a}");
    host.stop().await;
}

#[tokio::test]
async fn two_plugins_do_not_declare_one_type() {
    let host = TestHost::start().await;
    let manager = host.host.manager();
    let main = registering(
        "builder:objectType('Thing', { fields = { name = 'String!' } })\n\
         builder:queryField('get', { type = 'Thing!', auth = 'public',\n\
         resolve = function(_, _, ctx) return { name = ctx.plugin.id } end })",
    );
    for id in ["first", "second"] {
        write_plugin(&host, id, &manifest(id, REGISTER), &main);
        manager.install(id, false).await.unwrap();
    }
    manager.activate("first").await.unwrap();
    let sdl = host.host.sdl();
    let error = manager.activate("second").await.unwrap_err().to_string();
    for part in ["Thing", "first", "second", "init.lua:3"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert_eq!(host.host.sdl(), sdl);
    assert_eq!(host.seen("first").await["status"], "ACTIVE");
    // The name is free again once its owner is gone; equal field names never clash.
    manager.deactivate("first", false).await.unwrap();
    manager.activate("second").await.unwrap();
    let other = main.replace("Thing", "Other");
    write_plugin(&host, "first", &manifest("first", REGISTER), &other);
    manager.activate("first").await.unwrap();
    let data = host.data(ADA, "{ first_get { name } second_get { name } }", json!({})).await;
    assert_eq!(
        data,
        json!({ "first_get": { "name": "first" }, "second_get": { "name": "second" } })
    );
    // A reload that would clash leaves both as they are.
    write_plugin(&host, "first", &manifest("first", REGISTER), &main);
    manager.reload("first").await.unwrap_err();
    assert_eq!(host.data(ADA, "{ first_get { name } second_get { name } }", json!({})).await, data);
    host.stop().await;
}

#[tokio::test]
async fn post_hooks_hear_of_everybodys_life() {
    let host = TestHost::start().await;
    let points = format!(
        r#"{REGISTER}, "hooks": [
            {{ "type": "post", "event": "plugin:*", "handler": "life" }},
            {{ "type": "post", "event": "talker:said", "handler": "said" }}]"#
    );
    let main = getting("return log").replace(
        "local M = {}\n",
        "local M = {}\nlocal log = {}\n\
         function M.life(event, ctx) table.insert(log, event.pluginId .. ' ' .. event.version) end\n\
         function M.said(event, ctx) table.insert(log, event.text) end\n",
    );
    host.plugin("hearer", &[("manifest.json", &manifest("hearer", &points)), ("init.lua", &main)])
        .await;
    let own = |r: &Value| r["data"]["hearer_get"] == json!(["hearer 1.0.0"]);
    host.until(ADA, "{ hearer_get }", own).await;

    let talker = getting("ctx:emit('talker:said', { text = 'hello' }) return true");
    host.plugin(
        "talker",
        &[("manifest.json", &manifest("talker", REGISTER)), ("init.lua", &talker)],
    )
    .await;
    host.data(ADA, "{ talker_get }", json!({})).await;
    let all = host
        .until(ADA, "{ hearer_get }", |r| r["data"]["hearer_get"].to_string().contains("hello"))
        .await;
    assert!(all.to_string().contains("talker 1.0.0"), "{all}");
    // A hook that is gone hears nothing.
    host.host.manager().deactivate("hearer", false).await.unwrap();
    host.data(ADA, "{ talker_get }", json!({})).await;
    host.host.manager().activate("hearer").await.unwrap();
    let again = host.until(ADA, "{ hearer_get }", |r| r["data"]["hearer_get"][0].is_string()).await;
    assert!(!again.to_string().contains("hello"), "{again}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_finish_on_their_generation() {
    let host = Arc::new(TestHost::start().await);
    let version = |n: u32| {
        getting(&format!(
            "local till = os.clock() + 0.8 while os.clock() < till do end return {{ n = {n}, live = loaded }}"
        ))
        .replace(
            "local M = {}\n",
            "local M = {}\nlocal loaded = false\nfunction M.onLoad(ctx) loaded = true end\n\
             function M.onUnload(ctx) loaded = false end\n",
        )
    };
    let manifest = manifest_with("p", REGISTER, r#", "runtime": { "timeoutMs": 10000 }"#);
    host.plugin("p", &[("manifest.json", &manifest), ("init.lua", &version(1))]).await;
    let ask = |host: Arc<TestHost>| {
        tokio::spawn(async move { host.data(ADMIN, "{ p_get }", json!({})).await["p_get"].clone() })
    };
    let first = ask(Arc::clone(&host));
    tokio::time::sleep(Duration::from_millis(100)).await;
    host.write_plugin("p", &[("init.lua", &version(2))]);
    host.host.manager().reload("p").await.unwrap();
    assert!(!first.is_finished(), "the call was to be in flight");
    let second = ask(Arc::clone(&host));
    assert_eq!(first.await.unwrap(), json!({ "n": 1, "live": true }));
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Deactivating waits for the call too.
    host.host.manager().deactivate("p", false).await.unwrap();
    assert!(second.is_finished() || second.await.unwrap() == json!({ "n": 2, "live": true }));
    Arc::into_inner(host).unwrap().stop().await;
}
