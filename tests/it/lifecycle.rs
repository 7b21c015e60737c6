//! The life of a plugin: what is called when, and what a failing step leaves behind.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tokio::sync::broadcast;

use crate::admin_client::errors;
use crate::support::{ADA, REGISTER, TestHost, getting, manifest, manifest_with};

const FUNCTIONS: [&str; 6] =
    ["onInstall", "onLoad", "onActivate", "onDeactivate", "onUninstall", "onUnload"];

const TABLES: &str = "local t = require(\"@std/table\")\n\
    return { rows = t.table(\"rows\", { id = t.serial():primaryKey(), note = t.text() }) }\n";

/// A plugin with a table and a field whose lifecycle functions each raise `life:{name}`. `special`
/// replaces the body of one of them.
fn write_life(host: &TestHost, id: &str, special: Option<(&str, &str)>) {
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "rows", "file": "tables.lua" }}]"#
    );
    let mut functions = String::new();
    for name in FUNCTIONS {
        let body = match special {
            Some((replaced, body)) if replaced == name => body.to_owned(),
            _ => format!("ctx:emit(\"{id}:{name}\", {{ plugin = ctx.plugin.id }})"),
        };
        if body.starts_with('=') {
            functions.push_str(&format!("M.{name} {body}\n"));
        } else {
            functions.push_str(&format!("function M.{name}(ctx)\n{body}\nend\n"));
        }
    }
    let main = getting("return ctx.db:from(\"rows\"):count()")
        .replace("local M = {}\n", &format!("local M = {{}}\n{functions}"));
    let manifest = manifest_with(id, &points, r#", "runtime": { "timeoutMs": 250 }"#);
    host.write_plugin(
        id,
        &[("manifest.json", &manifest), ("init.lua", &main), ("tables.lua", TABLES)],
    );
}

/// The names of the events so far, those of other plugins left out.
fn heard(events: &mut broadcast::Receiver<moondock::events::Event>, id: &str) -> Vec<String> {
    let mut names = Vec::new();
    while let Ok(event) = events.try_recv() {
        let payload = serde_json::to_value(&event.payload).unwrap();
        if payload["pluginId"] == id || event.name.starts_with(&format!("{id}:")) {
            names.push(event.name.rsplit(':').next().unwrap().to_owned());
        }
    }
    names
}

/// The physical tables of a plugin.
pub async fn tables(host: &TestHost, id: &str) -> Vec<String> {
    let file = host.dir.path().join("data/moondock.db");
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await.unwrap();
    let sql = "select name from sqlite_master where type = 'table' and name like ? order by name";
    let rows = sqlx::query(sql).bind(format!("{id}\\_%").replace('\\', "")).fetch_all(&pool);
    let names = rows.await.unwrap().iter().map(|row| row.get(0)).collect();
    pool.close().await;
    names
}

#[tokio::test]
async fn the_steps_come_in_order() {
    let host = TestHost::start().await;
    write_life(&host, "life", None);
    let manager = host.host.manager();
    let mut events = host.host.subscribe();
    manager.install("life", false).await.unwrap();
    assert_eq!(heard(&mut events, "life"), ["installing", "onInstall", "installed"]);
    assert_eq!(tables(&host, "life").await, ["life_rows"]);
    manager.activate("life").await.unwrap();
    let activation = ["loading", "onLoad", "loaded", "activating", "onActivate", "activated"];
    assert_eq!(heard(&mut events, "life"), activation);
    manager.reload("life").await.unwrap();
    let mut reload = heard(&mut events, "life");
    // The old generation ends once its calls have.
    for _ in 0..500 {
        reload.extend(heard(&mut events, "life"));
        if reload.last().is_some_and(|name| name == "unloaded") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let expected = ["loading", "onLoad", "loaded", "reloaded", "unloading", "onUnload", "unloaded"];
    assert_eq!(reload, expected);
    manager.deactivate("life", false).await.unwrap();
    let deactivation =
        ["deactivating", "onDeactivate", "deactivated", "unloading", "onUnload", "unloaded"];
    assert_eq!(heard(&mut events, "life"), deactivation);
    assert_eq!(tables(&host, "life").await, ["life_rows"], "deactivating leaves the data");
    manager.activate("life").await.unwrap();
    heard(&mut events, "life");
    manager.uninstall("life", false).await.unwrap();
    let mut uninstall = deactivation.to_vec();
    uninstall.extend(["uninstalling", "onUninstall", "uninstalled"]);
    assert_eq!(heard(&mut events, "life"), uninstall);
    assert!(tables(&host, "life").await.is_empty(), "uninstalling drops the tables");
    host.stop().await;
}

/// A lifecycle function that fails, and what the error says of it.
const FAILURES: [(&str, &str); 3] = [
    ("ctx.db:insert('rows', { note = 'half' }) error('out of luck')", "out of luck"),
    ("ctx.db:insert('rows', { note = 'half' }) while true do end", "time limit"),
    ("= 42", "must be a function"),
];

#[tokio::test]
async fn a_failing_step_is_undone() {
    let host = TestHost::start().await;
    let other = [("manifest.json", manifest("other", REGISTER)), ("init.lua", getting("return 1"))];
    host.plugin("other", &other.each_ref().map(|(path, text)| (*path, text.as_str()))).await;
    let manager = host.host.manager();
    for step in ["onInstall", "onLoad", "onActivate", "onDeactivate", "onUninstall"] {
        for (number, (body, cause)) in FAILURES.into_iter().enumerate() {
            let id = format!("{}{number}", step.to_lowercase());
            let what = format!("{step} {body}");
            // Good until the step that fails.
            let reached = match step {
                "onInstall" => 0,
                "onLoad" | "onActivate" => 1,
                _ => 2,
            };
            write_life(&host, &id, if reached == 0 { Some((step, body)) } else { None });
            if reached > 0 {
                manager.install(&id, false).await.unwrap();
            }
            if reached == 1 || !body.starts_with('=') {
                write_life(&host, &id, Some((step, body)));
            }
            if reached > 1 {
                manager.activate(&id).await.unwrap();
            }
            if reached > 1 && body.starts_with('=') {
                // What is no function is seen when the files are loaded, before any step.
                write_life(&host, &id, Some((step, body)));
                let error = manager.reload(&id).await.unwrap_err().to_string();
                assert!(error.contains(cause), "{what}: {error}");
                continue;
            }
            let (record, sdl) = (host.seen(&id).await, host.host.sdl());
            let before = tables(&host, &id).await;
            let mut events = host.host.subscribe();
            let error = match step {
                "onInstall" => manager.install(&id, false).await,
                "onLoad" | "onActivate" => manager.activate(&id).await,
                "onDeactivate" => manager.deactivate(&id, false).await,
                _ => manager.uninstall(&id, false).await,
            };
            let error = error.unwrap_err().to_string();
            assert!(error.contains(step) && error.contains(cause), "{what}: {error}");
            assert_eq!(host.host.sdl(), sdl, "{what}");
            assert_eq!(tables(&host, &id).await, before, "{what}");
            let after = host.seen(&id).await;
            if record.is_null() {
                assert!(after.is_null(), "{what}: {after}");
            } else {
                for key in ["id", "isInstalled", "isActivated", "grantedPermissions"] {
                    assert_eq!(after[key], record[key], "{what}: {key}");
                }
                assert_eq!(after["status"], "ERROR", "{what}");
                assert!(errors(&after)[0].contains(cause), "{what}: {after}");
            }
            let events = heard(&mut events, &id);
            let undone = match step {
                "onActivate" if !body.starts_with('=') => {
                    vec!["unloading", "onUnload", "unloaded", "error"]
                }
                _ => vec!["error"],
            };
            assert!(events.ends_with(&undone.map_owned()), "{what}: {events:?}");
            if reached > 1 {
                // It is back where it was, and serves.
                let query = format!("{{ {id}_get }}");
                assert!(host.data(ADA, &query, json!({})).await[format!("{id}_get")].is_number());
                // An administrator can insist.
                manager.uninstall(&id, true).await.unwrap();
                assert!(tables(&host, &id).await.is_empty());
            }
            // Mended, everything works.
            write_life(&host, &id, None);
            if !host.seen(&id).await["isInstalled"].as_bool().unwrap_or_default() {
                manager.install(&id, false).await.unwrap();
            }
            let mended = manager.activate(&id).await.unwrap();
            assert!(mended.errors.is_empty());
            let query = format!("{{ {id}_get }}");
            let rows = &host.data(ADA, &query, json!({})).await[format!("{id}_get")];
            if step == "onInstall" {
                assert_eq!(rows, 0, "{what}: what it inserted is still there");
            }
            assert_eq!(host.data(ADA, "{ other_get }", json!({})).await["other_get"], 1);
        }
    }
    host.stop().await;
}

trait MapOwned {
    fn map_owned(self) -> Vec<String>;
}

impl MapOwned for Vec<&str> {
    fn map_owned(self) -> Vec<String> {
        self.into_iter().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn what_an_installation_raises_is_heard_only_if_it_succeeds() {
    let host = TestHost::start().await;
    let manager = host.host.manager();
    let mut events = host.host.subscribe();
    write_life(&host, "p", Some(("onInstall", "ctx:emit('p:made', {}) error('no')")));
    manager.install("p", false).await.unwrap_err();
    assert_eq!(heard(&mut events, "p"), ["installing", "error"]);
    write_life(&host, "p", Some(("onInstall", "ctx:emit('p:made', {})")));
    manager.install("p", false).await.unwrap();
    assert_eq!(heard(&mut events, "p"), ["installing", "made", "installed"]);
    write_life(&host, "p", Some(("onUninstall", "ctx:emit('p:gone', {}) error('no')")));
    manager.uninstall("p", false).await.unwrap_err();
    assert_eq!(heard(&mut events, "p"), ["uninstalling", "error"]);
    host.stop().await;
}

#[tokio::test]
async fn a_restart_brings_back_what_was_active() {
    let host = TestHost::start().await;
    let manager = host.host.manager();
    let counting = "ctx.db:insert('rows', { note = 'activated' })";
    write_life(&host, "kept", Some(("onActivate", counting)));
    write_life(&host, "idle", None);
    write_life(&host, "breaks", None);
    for id in ["kept", "idle", "breaks"] {
        manager.install(id, false).await.unwrap();
        manager.activate(id).await.unwrap();
    }
    manager.deactivate("idle", false).await.unwrap();
    let rows = "{ kept_get }";
    assert_eq!(host.data(ADA, rows, json!({})).await["kept_get"], 1);
    manager.reload("kept").await.unwrap();
    assert_eq!(host.data(ADA, rows, json!({})).await["kept_get"], 1, "a reload is no activation");
    host.write_plugin("breaks", &[("init.lua", "return nonsense(")]);
    let dir = host.stop().await;

    let host = TestHost::start_in(Arc::clone(&dir), |settings| settings.hot_reload = true).await;
    let manager = host.host.manager();
    // The rows are still there, and it was activated again.
    assert_eq!(host.data(ADA, rows, json!({})).await["kept_get"], 2);
    assert_eq!(host.seen("idle").await["status"], "INACTIVE");
    let broken = host.seen("breaks").await;
    assert_eq!((&broken["status"], &broken["isActivated"]), (&json!("ERROR"), &json!(true)));
    assert_eq!(broken["errors"][0]["file"], "init.lua");
    manager.reload("breaks").await.unwrap_err();
    // Mended by a change of its files.
    write_life(&host, "breaks", None);
    host.until(ADA, "{ breaks_get }", |answer| answer["data"]["breaks_get"] == 0).await;
    assert_eq!(host.seen("breaks").await["status"], "ACTIVE");
    host.write_plugin("breaks", &[("manifest.json", "{")]);
    let dir = host.stop().await;

    let host = TestHost::start_in(dir, |_| ()).await;
    let broken = host.seen("breaks").await;
    assert_eq!((&broken["status"], &broken["isActivated"]), (&json!("ERROR"), &json!(true)));
    assert_eq!(broken["errors"][0]["file"], "manifest.json");
    // Mended by hand.
    write_life(&host, "breaks", None);
    host.admin("reloadPlugin", json!({ "pluginId": "breaks" })).await;
    assert_eq!(host.data(ADA, "{ breaks_get }", json!({})).await["breaks_get"], 0);
    assert!(errors(&host.seen("breaks").await).is_empty());
    host.stop().await;
}
