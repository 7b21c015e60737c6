//! The configuration of plugins.

use serde_json::{Value, json};

use crate::admin_client::{code, path};
use crate::support::{ADA, ADMIN, REGISTER, TestHost, getting, manifest_with};

const SET: &str = "mutation($input: SetPluginConfigInput!) { setPluginConfig(input: $input) \
                   { pluginId status generation config errorMessage } }";
const SEEN: &str = r#"{ getPlugins(input: { pluginId: "conf" })
                        { status generation config errorMessage } }"#;

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "greeting": { "type": "string", "default": "hi", "maxLength": 5 },
        "apiKey": { "type": "string", "writeOnly": true, "minLength": 3 },
        "retry": { "type": "object", "properties": {
            "times": { "type": "integer", "default": 3 },
            "secret": { "type": "string", "writeOnly": true }
        } }
    }
}"#;

fn manifest_of(schema: &str) -> String {
    manifest_with("conf", REGISTER, &format!(r#", "configSchema": {schema}"#))
}

async fn started(init: &str, schema: &str) -> TestHost {
    let host = TestHost::start().await;
    let manifest = manifest_of(schema);
    host.plugin("conf", &[("manifest.json", &manifest), ("init.lua", init)]).await;
    host
}

fn input(config: Value) -> Value {
    json!({ "input": { "pluginId": "conf", "config": config } })
}

async fn seen(host: &TestHost) -> Value {
    host.data(ADMIN, SEEN, json!({})).await["getPlugins"][0].clone()
}

async fn read_by_plugin(host: &TestHost) -> Value {
    host.data(ADA, "{ conf_get }", json!({})).await["conf_get"].clone()
}

#[tokio::test]
async fn it_is_set_read_and_kept() {
    let host = started(&getting("return ctx.config"), SCHEMA).await;
    let defaults = json!({ "greeting": "hi", "retry": { "times": 3 } });
    assert_eq!(read_by_plugin(&host).await, defaults);
    assert_eq!(seen(&host).await["config"], json!(null));

    let config = json!({ "apiKey": "hunter2", "retry": { "secret": "hunter3" } });
    let set = &host.data(ADMIN, SET, input(config)).await["setPluginConfig"];
    assert_eq!(set["status"], "ACTIVE");
    assert_eq!(set["config"], json!({ "retry": {} }));
    let full = json!({ "apiKey": "hunter2", "greeting": "hi",
                       "retry": { "secret": "hunter3", "times": 3 } });
    assert_eq!(read_by_plugin(&host).await, full);

    let dir = host.stop().await;
    let host = TestHost::start_in(dir, |_| ()).await;
    assert_eq!(read_by_plugin(&host).await, full);
    // What is set replaces all that was set.
    let again = host.data(ADMIN, SET, input(json!({ "greeting": "hey" }))).await;
    assert_eq!(again["setPluginConfig"]["config"], json!({ "greeting": "hey" }));
    assert_eq!(read_by_plugin(&host).await, json!({ "greeting": "hey", "retry": { "times": 3 } }));
    host.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_all_issues() {
    let host = started(&getting("return ctx.config.greeting"), SCHEMA).await;
    let before = seen(&host).await;
    let wrong = json!({ "apiKey": "h2", "greeting": "far too long",
                        "retry": { "times": "hunter2", "secret": 5 } });
    let error = host.error(Some(ADMIN), SET, input(wrong)).await;
    assert_eq!(code(&error), "invalid_arguments");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let mut paths: Vec<String> = error["extensions"]["issues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| issue["argumentPath"].to_string())
        .collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            r#"["input","config","apiKey"]"#,
            r#"["input","config","greeting"]"#,
            r#"["input","config","retry","secret"]"#,
            r#"["input","config","retry","times"]"#,
        ]
    );
    for wrong in [json!([]), json!("x"), json!(1)] {
        let error = host.error(Some(ADMIN), SET, input(wrong)).await;
        assert_eq!(path(&error), "input.config");
    }
    assert_eq!(seen(&host).await, before);
    let member = host.error(Some(ADA), SET, input(json!({}))).await;
    assert_eq!(code(&member), "unauthorized_action");
    let none = json!({ "input": { "pluginId": "none", "config": {} } });
    let error = host.error(Some(ADMIN), SET, none).await;
    assert_eq!(code(&error), "arguments_associated_resources_not_found");
    assert_eq!(path(&error), "input.pluginId");
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_without_a_schema_has_no_configuration() {
    let host = TestHost::start().await;
    let manifest = manifest_with("conf", REGISTER, "");
    let init = getting("return ctx.config");
    host.plugin("conf", &[("manifest.json", &manifest), ("init.lua", &init)]).await;
    assert_eq!(read_by_plugin(&host).await, json!({}));
    let error = host.error(Some(ADMIN), SET, input(json!({}))).await;
    assert_eq!(code(&error), "invalid_arguments");
    assert!(error["message"].as_str().unwrap().contains("no configSchema"), "{error}");
    host.stop().await;
}

#[tokio::test]
async fn a_generation_that_does_not_load_leaves_the_old_configuration() {
    let init = r#"
        local M = {}
        function M.onLoad(ctx) assert(ctx.config.greeting ~= "no", "refused") end
        function M.register(builder)
            builder:queryField("get", { type = "JSON", resolve = function(_, _, ctx)
                return ctx.config
            end })
        end
        return M"#;
    let host = started(init, SCHEMA).await;
    host.data(ADMIN, SET, input(json!({ "greeting": "yes" }))).await;
    let before = seen(&host).await;
    let error = host.error(Some(ADMIN), SET, input(json!({ "greeting": "no" }))).await;
    assert_eq!(code(&error), "forbidden_action_on_arguments_associated_resources");
    assert_eq!(path(&error), "input.config");
    assert!(error["message"].as_str().unwrap().contains("refused"), "{error}");
    assert_eq!(seen(&host).await, before);
    assert_eq!(read_by_plugin(&host).await["greeting"], "yes");
    let dir = host.stop().await;
    let host = TestHost::start_in(dir, |_| ()).await;
    assert_eq!(read_by_plugin(&host).await["greeting"], "yes");
    host.stop().await;
}

#[tokio::test]
async fn scripts_cannot_change_it() {
    let body = "ctx.config.seen = (ctx.config.seen or 0) + 1";
    let nested = "ctx.config.retry.times = 9";
    for body in [body, nested, "table.clear(ctx.config)"] {
        let host = started(&getting(body), SCHEMA).await;
        let error = host.error(Some(ADA), "{ conf_get }", json!({})).await;
        assert_eq!(code(&error), "unexpected", "{body}");
        host.stop().await;
    }
    // A copy is the script's own.
    let copied = getting("local c = table.clone(ctx.config) c.x = 1 return c.x");
    let host = started(&copied, SCHEMA).await;
    assert_eq!(read_by_plugin(&host).await, json!(1));
    host.stop().await;
}

#[tokio::test]
async fn what_an_upgrade_demands_must_be_there() {
    let host = started(&getting("return ctx.config"), SCHEMA).await;
    host.data(ADMIN, SET, input(json!({ "greeting": "hey" }))).await;
    let stricter = r#"{ "type": "object", "required": ["apiKey", "greeting"], "properties": {
        "greeting": { "type": "integer" }, "apiKey": { "type": "string", "writeOnly": true } } }"#;
    host.write_plugin("conf", &[("manifest.json", &manifest_of(stricter))]);
    let reload = r#"mutation { reloadPlugin(input: { pluginId: "conf" }) { status } }"#;
    let error = host.error(Some(ADMIN), reload, json!({})).await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("config.apiKey: "), "{message}");
    assert!(message.contains("config.greeting: "), "{message}");
    assert!(!message.contains("hey"), "{message}");
    assert_eq!(read_by_plugin(&host).await["greeting"], "hey", "the old version serves");

    // At the next start there is no old version; setting what fits brings the plugin up.
    let dir = host.stop().await;
    let host = TestHost::start_in(dir, |_| ()).await;
    let down = seen(&host).await;
    assert_eq!(down["status"], "ERROR");
    let fits = json!({ "greeting": 1, "apiKey": "k" });
    let set = &host.data(ADMIN, SET, input(fits.clone())).await["setPluginConfig"];
    assert_eq!(set["status"], "ACTIVE", "{set}");
    assert_eq!(set["config"], json!({ "greeting": 1 }));
    assert_eq!(read_by_plugin(&host).await, fits);
    host.stop().await;
}

#[tokio::test]
async fn it_can_be_set_before_the_plugin_is_installed() {
    let host = TestHost::start().await;
    let schema = r#"{ "required": ["n"], "properties": { "n": { "type": "integer" } } }"#;
    let (manifest, init) = (manifest_of(schema), getting("return ctx.config.n"));
    host.write_plugin("conf", &[("manifest.json", &manifest), ("init.lua", &init)]);
    let manager = host.host.manager();
    manager.create("conf").await.unwrap();
    manager.install("conf", false).await.unwrap();
    let error = manager.activate("conf").await.unwrap_err();
    assert!(error.message.contains("config.n: "), "{}", error.message);
    let set = &host.data(ADMIN, SET, input(json!({ "n": 7 }))).await["setPluginConfig"];
    assert_eq!(set["config"], json!({ "n": 7 }));
    manager.activate("conf").await.unwrap();
    assert_eq!(read_by_plugin(&host).await, json!(7));
    host.stop().await;
}

#[tokio::test]
async fn a_schema_that_is_none_is_a_problem_of_the_manifest() {
    let host = TestHost::start().await;
    let manifest = manifest_of(
        r#"{ "properties": { "a": { "minLength": "x" }, "b": { "$ref": "http://127.0.0.1/s" } } }"#,
    );
    host.write_plugin("conf", &[("manifest.json", &manifest), ("init.lua", "return {}")]);
    let error = host.host.manager().install("conf", false).await.unwrap_err();
    let problem = &error.problems[0];
    assert!(problem.message.starts_with("configSchema.properties.a.minLength: "), "{problem}");
    assert_eq!(problem.file.as_deref(), Some("manifest.json"));
    assert!(problem.line.is_some());
    host.stop().await;
}

/// Every file of the data dir that holds this text.
fn files_with(host: &TestHost, text: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(host.dir.path().join("data")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let holds = |path: &std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    paths.filter(holds).collect()
}

#[tokio::test]
async fn it_is_nowhere_in_plain() {
    let init =
        getting("ctx.logger:info('config', ctx.config) error('at ' .. tostring(ctx.config))");
    let host = started(&init, SCHEMA).await;
    let config = json!({ "apiKey": "hunter2-and-more", "greeting": "zqzqz" });
    let set = host.data(ADMIN, SET, input(config.clone())).await;
    assert!(!set.to_string().contains("hunter2"), "{set}");
    let wrong = json!({ "apiKey": "hunter2-and-more", "greeting": "much too long" });
    let refused = host.error(Some(ADMIN), SET, input(wrong)).await;
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    let failed = host.error(Some(ADA), "{ conf_get }", json!({})).await;
    assert!(!failed.to_string().contains("hunter2"), "{failed}");
    assert!(!seen(&host).await.to_string().contains("hunter2"));
    assert!(
        !host
            .data(ADMIN, "{ getPlugins { errors { message } config } }", json!({}))
            .await
            .to_string()
            .contains("hunter2")
    );
    // Neither in the database, nor in its log, nor in what has moved from one to the other.
    for text in ["hunter2", "zqzqz"] {
        assert_eq!(files_with(&host, text), Vec::<std::path::PathBuf>::new());
    }
    let dir = host.stop().await;
    let host = TestHost::start_in(dir, |_| ()).await;
    assert_eq!(files_with(&host, "hunter2"), Vec::<std::path::PathBuf>::new());
    host.stop().await;
}

#[tokio::test]
async fn the_key_can_be_changed_and_is_needed() {
    let key = |text: &str| Some(moondock::settings::Secret::new(text.repeat(8)));
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let host = TestHost::start_in(dir, |settings| settings.secret_key = key("first")).await;
    let manifest = manifest_of(SCHEMA);
    let init = getting("return ctx.config.apiKey");
    host.plugin("conf", &[("manifest.json", &manifest), ("init.lua", &init)]).await;
    host.data(ADMIN, SET, input(json!({ "apiKey": "hunter2" }))).await;
    // Another key opens nothing, says so, and loses nothing.
    let dir = host.stop().await;
    let host = TestHost::start_in(dir, |settings| settings.secret_key = key("second")).await;
    let plugin = seen(&host).await;
    assert_eq!(plugin["status"], "ERROR");
    let message = plugin["errorMessage"].as_str().unwrap();
    assert!(message.contains("encrypted with another key"), "{message}");
    let dir = host.stop().await;
    // With the one before it, everything is sealed anew…
    let host = TestHost::start_in(dir, |settings| {
        settings.secret_key = key("second");
        settings.previous_secret_key = key("first");
    })
    .await;
    assert_eq!(read_by_plugin(&host).await, "hunter2");
    let dir = host.stop().await;
    // …so that it is needed once.
    let host = TestHost::start_in(dir, |settings| settings.secret_key = key("second")).await;
    assert_eq!(read_by_plugin(&host).await, "hunter2");
    host.stop().await;
}
