//! The whole life of the summarizer that ships.

use serde_json::{Value, json};

use super::engine::{engine, ship_summarizer, write_plugin};
use crate::graphql::shipped::pinned;
use crate::support::{ADA, ADMIN, TestHost, write};

pub const ASK: &str =
    "query($text: String!) { summarizer_summarize(text: $text, sentences: 2) { text sentences } }";
pub const TEXT: &str = "The moon has docks for ships. Some people like tea. Ships of the moon leave the docks at \
                        night. It rains.";
const UPDATE: &str =
    "mutation($input: UpdatePluginInput!) { updatePlugin(input: $input) { id status } }";
const SERVICES: &str = "{ getPlugins(input: { pluginId: \"summarizer\" }) { id status services { name state health \
                        url image ports restarts exitCode errorMessage } } }";

pub async fn services(host: &TestHost) -> Value {
    host.data(ADMIN, SERVICES, json!({})).await["getPlugins"][0].clone()
}

#[tokio::test]
async fn it_is_built_started_used_stopped_and_removed() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let data = host.dir.path().join("data");
    ship_summarizer(&host.plugins);
    let manager = host.host.manager();
    manager.install("summarizer", true).await.unwrap();
    let left = engine.left(&data).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("image summarizer-summarizer:"), "{left:?}");

    manager.activate("summarizer").await.unwrap();
    pinned("summarizer", &host.host.sdl_of("summarizer"));
    let answer = host.data(ADA, ASK, json!({ "text": TEXT })).await;
    let sentences = &answer["summarizer_summarize"]["sentences"];
    assert_eq!(
        sentences,
        &json!(["The moon has docks for ships.", "Ships of the moon leave the docks at night."])
    );
    let plugin = services(&host).await;
    let service = &plugin["services"][0];
    assert_eq!(service["name"], "summarizer");
    assert_eq!((&service["state"], &service["health"]), (&json!("RUNNING"), &json!("healthy")));
    assert!(service["url"].as_str().unwrap().ends_with(":8080"), "{service}");

    let off = json!({ "input": { "id": plugin["id"], "isActivated": false } });
    assert_eq!(host.data(ADMIN, UPDATE, off).await["updatePlugin"]["status"], "INACTIVE");
    assert_eq!(engine.left(&data).await.len(), 1, "only the image is left");
    assert_eq!(services(&host).await["services"], json!([]));
    let on = json!({ "input": { "id": plugin["id"], "isActivated": true } });
    assert_eq!(host.data(ADMIN, UPDATE, on).await["updatePlugin"]["status"], "ACTIVE");
    host.data(ADA, ASK, json!({ "text": TEXT })).await;

    manager.uninstall("summarizer", false).await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}

/// `onActivate` can use the services already, and `onDeactivate` still.
#[tokio::test]
async fn services_are_there_before_and_after_the_plugin_is() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let compose = "services:\n  web:\n    image: {busybox}\n    command: [httpd, -f, -p, \"8080\"]\n    \
                   expose: [\"8080\"]\n    stop_grace_period: 0s\n";
    write_plugin(&host.plugins, "early", compose, &[]);
    let main = "local M = {}\n\
                local function ask(ctx) return ctx.http:get(ctx.services.web.url .. \"/none\").status end\n\
                function M.onActivate(ctx) ctx.kv:set(\"activated\", ask(ctx)) end\n\
                function M.onDeactivate(ctx) ctx.kv:set(\"deactivated\", ask(ctx)) end\n\
                function M.register(builder)\n\
                builder:queryField(\"seen\", { type = \"JSON\", auth = \"public\",\n\
                resolve = function(_, _, ctx) return { ctx.kv:get(\"activated\"), ctx.kv:get(\"deactivated\") } end })\n\
                end\nreturn M\n";
    write(&host.plugins.join("early/init.lua"), main);
    let manager = host.host.manager();
    manager.install("early", true).await.unwrap();
    manager.activate("early").await.unwrap();
    manager.deactivate("early", false).await.unwrap();
    manager.activate("early").await.unwrap();
    let seen = host.data(ADA, "{ early_seen }", json!({})).await;
    assert_eq!(seen["early_seen"], json!([404, 404]));
    // What fails then is taken back with its containers.
    manager.deactivate("early", false).await.unwrap();
    let broken = main.replace("ctx.kv:set(\"activated\", ask(ctx))", "error(\"no\")");
    write(&host.plugins.join("early/init.lua"), &broken);
    manager.activate("early").await.unwrap_err();
    assert_eq!(engine.left(&host.dir.path().join("data")).await, Vec::<String>::new());
    manager.uninstall("early", false).await.unwrap();
    host.stop().await;
}
