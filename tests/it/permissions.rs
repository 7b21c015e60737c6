//! What plugins ask for, what they are granted, and what was written down about it.

use rstest::rstest;
use serde_json::{Value, json};

use crate::binary::{Server, outcome, run};
use crate::databases::On;
use crate::support::{ADA, ADMIN, REGISTER, TestHost, getting, manifest_with, write};

const GET: &str = "local ok, problem = pcall(function() ctx:emit('bank:paid', {}) end)\n\
                   return { version = ctx.plugin.version, ok = ok, problem = tostring(problem) }";

fn asking(version: &str, permissions: &str) -> String {
    manifest_with("asker", REGISTER, &format!(r#", "permissions": {permissions}"#))
        .replace("1.0.0", version)
}

async fn audit(host: &TestHost, filter: &str) -> Vec<Value> {
    let query = format!("{{ auditLog({filter}) {{ id at actor action pluginId details }} }}");
    host.data(ADMIN, &query, json!({})).await["auditLog"].as_array().unwrap().clone()
}

async fn asked(host: &TestHost) -> Value {
    host.data(ADA, "{ asker_get }", json!({})).await["asker_get"].clone()
}

#[rstest]
#[tokio::test]
async fn a_new_version_that_asks_for_more_waits_for_the_grant(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let settings = on.settings().await;
    let host = TestHost::start_with(settings).await;
    let init = getting(GET);
    let files = [("manifest.json", &*asking("1.0.0", "{}")), ("init.lua", &*init)];
    host.plugin("asker", &files).await;
    let got = asked(&host).await;
    assert_eq!((&got["ok"], &got["version"]), (&json!(false), &json!("1.0.0")));
    let problem = got["problem"].as_str().unwrap();
    assert!(problem.contains("moondock plugin grant asker --events bank:paid"), "{problem}");

    let more = asking("2.0.0", r#"{ "events": ["bank:*"] }"#);
    host.write_plugin("asker", &[("manifest.json", &more)]);
    let error = host.refused("reloadPlugin", json!({ "pluginId": "asker" })).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("events bank:*") && message.contains("plugin grant asker"),
        "{message}"
    );
    assert_eq!(asked(&host).await["version"], "1.0.0");
    let seen = host.seen("asker").await;
    assert_eq!((&seen["status"], &seen["version"]), (&json!("ACTIVE"), &json!("1.0.0")));
    // What the folder asks for now, for whoever decides about it.
    assert_eq!(seen["permissions"]["events"], json!(["bank:*"]));
    // With the grant it goes on by itself.
    let permissions = json!({ "events": ["bank:*"] });
    let granted =
        host.admin("grantPlugin", json!({ "pluginId": "asker", "permissions": permissions })).await;
    assert_eq!((&granted["status"], &granted["version"]), (&json!("ACTIVE"), &json!("2.0.0")));
    assert_eq!(asked(&host).await["ok"], true);

    let log = audit(&host, "filter: { pluginId: \"asker\" }").await;
    let actions: Vec<_> = log.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..2], ["grant", "denied"], "{log:?}");
    assert_eq!(actions[actions.len() - 1], "grant", "{log:?}");
    assert!(actions.contains(&"installed") && actions.contains(&"activated"), "{log:?}");
    assert_eq!(log[0]["details"], permissions);
    let actor = log[0]["actor"].as_str().unwrap();
    assert!(actor.contains("admin@example.com"), "{actor}");
    assert_eq!(log[1]["details"], json!({ "permission": "events", "entry": "bank:paid" }));
    assert_eq!(log[1]["actor"], "plugin asker");
    // It is there after a restart, and for administrators only.
    let stranger = host.error(Some(ADA), "{ auditLog { id } }", json!({})).await;
    assert_eq!(stranger["extensions"]["code"], "unauthorized_action");
    host.stop().await;
}

#[tokio::test]
async fn what_is_denied_again_and_again_is_written_down_once() {
    let host = TestHost::start().await;
    let init = getting(&format!(
        "for _ = 1, 50 do pcall(function() ctx:emit('bank:paid', {{}}) end) end\n{GET}"
    ));
    host.plugin("asker", &[("manifest.json", &asking("1.0.0", "{}")), ("init.lua", &init)]).await;
    asked(&host).await;
    asked(&host).await;
    assert_eq!(audit(&host, "filter: { action: \"denied\" }").await.len(), 1);
    let schema = r#"{ "type": "object", "properties": { "key": { "type": "string" } } }"#;
    let manifest = manifest_with("asker", REGISTER, &format!(r#", "configSchema": {schema}"#));
    host.write_plugin("asker", &[("manifest.json", &manifest)]);
    host.host.manager().reload("asker").await.unwrap();
    let config = json!({ "pluginId": "asker", "config": { "key": "hunter2" } });
    host.admin("setPluginConfig", config).await;
    let log = audit(&host, "filter: { action: \"configure\" }, limit: 1").await;
    assert_eq!(log[0]["details"], json!({ "keys": ["key"], "before": [] }));
    assert!(!Value::from(audit(&host, "limit: 1000").await).to_string().contains("hunter2"));
    host.stop().await;
}

#[tokio::test]
async fn the_command_line_grants() {
    let dir = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let folder = dir.path().join("plugins/asker");
    let permissions =
        r#"{ "env": ["REGION"], "events": ["bank:*"], "http": ["https://a.example.com"] }"#;
    write(&folder.join("manifest.json"), &asking("1.0.0", permissions));
    write(&folder.join("init.lua"), &getting(GET));
    let plugin = |args: &[&str]| outcome(&run(dir.path(), &[&["plugin"], args].concat()));
    assert_eq!(plugin(&["install", "asker"]).0, 0);
    let (code, _, err) = plugin(&["activate", "asker"]);
    assert_eq!(code, 1);
    assert!(err.contains("env REGION") && err.contains("moondock plugin grant asker"), "{err}");
    let (code, out, err) = plugin(&["grant", "asker", "--events", "bank:*", "--env", "REGION"]);
    assert_eq!(code, 0, "{err}");
    let expected = "asker is granted: env REGION, events bank:*\n\
                    not granted: http https://a.example.com\n";
    assert_eq!(out, expected);
    let (code, _, err) = plugin(&["grant", "asker", "--http", "https://a.example.com/path"]);
    assert_eq!(code, 1);
    assert!(err.contains("an origin such as"), "{err}");
    // With a server it takes effect there.
    let server = Server::start(&dir, &[]);
    let (code, out, err) = plugin(&["grant", "asker"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("http https://a.example.com") && !out.contains("not granted"), "{out}");
    assert_eq!(plugin(&["activate", "asker"]).0, 0);
    let answer =
        server.graphql("{ auditLog(filter: { action: \"grant\" }) { actor details } }").await;
    let log = answer["data"]["auditLog"].as_array().unwrap();
    assert_eq!((log.len(), &log[0]["actor"]), (2, &json!("command line")), "{log:?}");
    assert_eq!(log[1]["details"]["env"], json!(["REGION"]));
    assert_eq!(server.terminate().0, Some(0));
}

#[tokio::test]
async fn a_monitored_plugin_is_not_denied_but_written_down() {
    let host = TestHost::start().await;
    let body = "local ok, problem = pcall(function()\n\
                ctx:emit('bank:paid', {})\n\
                local rows = ctx.db:query('select count(*) as n from {t}')\n\
                local http, denied = pcall(function() return ctx.http:get('http://127.0.0.1:1/') end)\n\
                return { path = ctx.env.PATH ~= nil, n = rows[1].n, kind = denied.kind }\n\
                end)\n\
                return { ok = ok, got = if ok then problem else tostring(problem) }";
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "t", "file": "tables.lua" }}]"#
    );
    let manifest =
        manifest_with("asker", &points, r#", "permissions": { "sql": true, "env": ["PATH"] }"#);
    let tables = "local t = require(\"@std/table\") return { t = t.table(\"t\", { id = \
                  t.serial():primaryKey() }) }";
    let init = getting(body);
    let files = [("manifest.json", &*manifest), ("init.lua", &*init), ("tables.lua", tables)];
    host.write_plugin("asker", &files);
    host.admin("installPlugin", json!({ "pluginId": "asker" })).await;
    let id = host.seen("asker").await["id"].clone();
    let on = json!({ "id": id, "monitor": true, "isActivated": true });
    let plugin = host.admin("updatePlugin", on).await;
    assert_eq!(plugin["status"], "ACTIVE");
    let got = asked(&host).await;
    // Not even then does it find its way into the network of the host.
    let expected = json!({ "ok": true, "got": { "path": true, "n": 0, "kind": "denied" } });
    assert_eq!(got, expected);
    let log = audit(&host, "filter: { action: \"wouldDeny\" }").await;
    let mut noted: Vec<_> = log
        .iter()
        .map(|entry| entry["details"]["permission"].as_str().unwrap().to_owned())
        .collect();
    noted.sort();
    assert_eq!(noted, ["env", "events", "http", "sql"]);
    assert_eq!(audit(&host, "filter: { action: \"denied\" }").await, Vec::<Value>::new());
    // It stays so until everything that it asks for is granted.
    let off = json!({ "id": id, "monitor": false });
    let error = host.refused("updatePlugin", off.clone()).await;
    assert!(error["message"].as_str().unwrap().contains("env PATH, sql"), "{error}");
    let permissions = json!({ "sql": true, "env": ["PATH"] });
    host.admin("grantPlugin", json!({ "pluginId": "asker", "permissions": permissions })).await;
    host.admin("updatePlugin", off).await;
    let got = asked(&host).await;
    assert!(got["got"].as_str().unwrap().contains("--events bank:paid"), "{got}");
    host.stop().await;
}
