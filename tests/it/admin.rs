//! The admin API: what each field does, whom it serves, and how it fails.

use serde_json::{Value, json};

use crate::admin_client::{code, document, errors, path};
use crate::support::{ADA, ADMIN, REGISTER, TestHost, getting, manifest, manifest_with};

const FORBIDDEN: &str = "forbidden_action_on_arguments_associated_resources";
const NOT_FOUND: &str = "arguments_associated_resources_not_found";

/// A plugin with one field.
fn write_echo(host: &TestHost, id: &str) {
    let files = [("manifest.json", manifest(id, REGISTER)), ("init.lua", getting("return 1"))];
    host.write_plugin(id, &files.each_ref().map(|(path, text)| (*path, text.as_str())));
}

#[tokio::test]
async fn every_field_is_for_administrators_only() {
    let host = TestHost::start().await;
    let none = "00000000-0000-4000-8000-000000000000";
    let id = json!({ "pluginId": "p" });
    let mut asked = vec![
        ("{ getPlugins { id } }".to_owned(), json!({})),
        (format!(r#"{{ getPluginById(input: {{ id: "{none}" }}) {{ id }} }}"#), json!({})),
    ];
    for (mutation, input) in [
        ("createPlugin", id.clone()),
        ("installPlugin", id.clone()),
        ("updatePlugin", json!({ "id": "malformed" })),
        ("deletePlugin", json!({ "id": none })),
        ("reloadPlugin", id.clone()),
        ("grantPlugin", json!({ "pluginId": "p", "permissions": {} })),
        ("setPluginConfig", json!({ "pluginId": "p", "config": {} })),
    ] {
        asked.push((document(mutation), json!({ "input": input })));
    }
    for (query, variables) in asked {
        let stranger = host.error(None, &query, variables.clone()).await;
        assert_eq!(code(&stranger), "unauthenticated", "{query}");
        let member = host.error(Some(ADA), &query, variables).await;
        assert_eq!(code(&member), "unauthorized_action", "{query}");
    }
    // What does not fit the schema is refused before anyone is asked who they are.
    let error = host.error(None, "mutation { createPlugin(input: {}) { id } }", json!({})).await;
    assert_eq!(code(&error), "graphql_validation_failed");
    assert_eq!(host.seen("p").await, Value::Null);
    host.stop().await;
}

#[tokio::test]
async fn create_makes_a_record_without_a_folder() {
    let host = TestHost::start().await;
    let made = host.admin("createPlugin", json!({ "pluginId": "later" })).await;
    for (key, value) in [
        ("pluginId", json!("later")),
        ("isActivated", json!(false)),
        ("isInstalled", json!(false)),
        ("backup", json!(false)),
        ("status", json!("INACTIVE")),
        ("name", json!(null)),
        ("manifest", json!(null)),
        ("errors", json!([])),
        ("errorMessage", json!(null)),
        ("generation", json!(0)),
    ] {
        assert_eq!(made[key], value, "{key}");
    }
    assert!(made["createdAt"].as_str().unwrap().ends_with('Z'), "{made}");
    assert_eq!(made, host.seen("later").await);

    let again = host.refused("createPlugin", json!({ "pluginId": "later" })).await;
    assert_eq!((code(&again), path(&again).as_str()), (FORBIDDEN, "input.pluginId"));
    assert!(!again["extensions"]["issues"][0]["message"].as_str().unwrap().is_empty());
    let long = "a".repeat(101);
    for bad in ["", "1a", "a-b", "a b", "../a", "_a", &long] {
        let error = host.refused("createPlugin", json!({ "pluginId": bad })).await;
        assert_eq!((code(&error), path(&error).as_str()), ("invalid_arguments", "input.pluginId"));
    }
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_goes_through_its_whole_life() {
    let host = TestHost::start().await;
    write_echo(&host, "echo");
    let plugin = host.admin("installPlugin", json!({ "pluginId": "echo" })).await;
    assert_eq!(plugin["isInstalled"], true);
    assert_eq!(plugin["isActivated"], false);
    assert_eq!(plugin["name"], "echo");
    assert_eq!(plugin["version"], "1.0.0");
    assert_eq!(plugin["author"], "Tests");
    assert_eq!(plugin["manifest"]["main"], "init.lua");
    let id = plugin["id"].clone();
    let again = host.refused("installPlugin", json!({ "pluginId": "echo" })).await;
    assert_eq!((code(&again), path(&again).as_str()), (FORBIDDEN, "input.pluginId"));

    let update = |changes: Value| {
        let mut input = changes;
        input["id"] = id.clone();
        input
    };
    let plugin = host.admin("updatePlugin", update(json!({ "isActivated": true }))).await;
    assert_eq!(plugin["status"], "ACTIVE");
    assert_eq!(plugin["isActivated"], true);
    assert!(plugin["generation"].as_i64().unwrap() > 0);
    assert_eq!(host.data(ADA, "{ echo_get }", json!({})).await, json!({ "echo_get": 1 }));
    // Asking for what is so already changes nothing.
    let same = update(json!({ "isActivated": true, "isInstalled": true }));
    assert_eq!(host.admin("updatePlugin", same).await["generation"], plugin["generation"]);

    let plugin = host.admin("updatePlugin", update(json!({ "backup": true }))).await;
    assert_eq!((&plugin["backup"], &plugin["status"]), (&json!(true), &json!("ACTIVE")));
    let error = host.refused("updatePlugin", update(json!({ "pluginId": "other" }))).await;
    assert_eq!((code(&error), path(&error).as_str()), (FORBIDDEN, "input.pluginId"));

    let plugin = host.admin("updatePlugin", update(json!({ "isActivated": false }))).await;
    assert_eq!((&plugin["status"], &plugin["isInstalled"]), (&json!("INACTIVE"), &json!(true)));
    let error = host.error(Some(ADA), "{ echo_get }", json!({})).await;
    assert_eq!(code(&error), "graphql_validation_failed");

    host.admin("updatePlugin", update(json!({ "isActivated": true }))).await;
    let plugin = host.admin("updatePlugin", update(json!({ "isInstalled": false }))).await;
    assert_eq!(plugin["isInstalled"], false);
    assert_eq!(plugin["isActivated"], false);
    assert!(host.plugins.join("echo").is_dir());

    let plugin = host.admin("deletePlugin", json!({ "id": id })).await;
    assert_eq!(plugin["pluginId"], "echo");
    assert_eq!(host.seen("echo").await, Value::Null);
    assert_eq!(std::fs::read_dir(&host.plugins).unwrap().count(), 0);
    host.stop().await;
}

#[tokio::test]
async fn delete_removes_an_active_plugin_wholly() {
    let host = TestHost::start().await;
    let before = host.host.sdl();
    write_echo(&host, "echo");
    host.admin("installPlugin", json!({ "pluginId": "echo" })).await;
    let id = host.seen("echo").await["id"].clone();
    host.admin("updatePlugin", json!({ "id": id, "isActivated": true })).await;
    host.admin("deletePlugin", json!({ "id": id })).await;
    assert_eq!(host.host.sdl(), before);
    assert!(!host.plugins.join("echo").exists());
    let gone = host.refused("deletePlugin", json!({ "id": id })).await;
    assert_eq!((code(&gone), path(&gone).as_str()), (NOT_FOUND, "input.id"));
    host.stop().await;
}

#[tokio::test]
async fn records_are_found_by_id_and_by_filter() {
    let host = TestHost::start().await;
    for id in ["a", "b", "c"] {
        write_echo(&host, id);
        host.admin("createPlugin", json!({ "pluginId": id })).await;
    }
    host.admin("installPlugin", json!({ "pluginId": "b" })).await;
    host.admin("installPlugin", json!({ "pluginId": "c" })).await;
    let c = host.seen("c").await["id"].clone();
    host.admin("updatePlugin", json!({ "id": c, "isActivated": true })).await;

    let query = "query($f: QueryPluginsInput) { getPlugins(input: $f) { pluginId } }";
    for (filter, expected) in [
        (json!(null), vec!["a", "b", "c"]),
        (json!({}), vec!["a", "b", "c"]),
        (json!({ "pluginId": null }), vec!["a", "b", "c"]),
        (json!({ "pluginId": "b" }), vec!["b"]),
        (json!({ "pluginId": "x" }), vec![]),
        (json!({ "isInstalled": true }), vec!["b", "c"]),
        (json!({ "isInstalled": false }), vec!["a"]),
        (json!({ "isActivated": true }), vec!["c"]),
        (json!({ "isActivated": false }), vec!["a", "b"]),
        (json!({ "isInstalled": true, "isActivated": false }), vec!["b"]),
    ] {
        let data = host.data(ADMIN, query, json!({ "f": filter })).await;
        let found = data["getPlugins"].as_array().unwrap();
        let found: Vec<&str> = found.iter().map(|p| p["pluginId"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{filter}");
    }

    let by_id = "query($id: String!) { getPluginById(input: { id: $id }) { pluginId } }";
    let data = host.data(ADMIN, by_id, json!({ "id": c })).await;
    assert_eq!(data["getPluginById"]["pluginId"], "c");
    for (id, expected) in
        [("no-uuid", "invalid_arguments"), ("00000000-0000-4000-8000-000000000000", NOT_FOUND)]
    {
        let error = host.error(Some(ADMIN), by_id, json!({ "id": id })).await;
        assert_eq!((code(&error), path(&error).as_str()), (expected, "input.id"));
        for mutation in ["updatePlugin", "deletePlugin"] {
            let error = host.refused(mutation, json!({ "id": id })).await;
            assert_eq!((code(&error), path(&error).as_str()), (expected, "input.id"), "{mutation}");
        }
    }
    host.stop().await;
}

#[tokio::test]
async fn the_id_of_a_record_that_is_not_installed_can_be_changed() {
    let host = TestHost::start().await;
    write_echo(&host, "good");
    host.admin("createPlugin", json!({ "pluginId": "taken" })).await;
    let made = host.admin("createPlugin", json!({ "pluginId": "typo" })).await;
    let id = &made["id"];
    let changed = host.admin("updatePlugin", json!({ "id": id, "pluginId": "good" })).await;
    assert_eq!((&changed["pluginId"], &changed["name"]), (&json!("good"), &json!("good")));
    assert_eq!(&changed["id"], id);
    assert_eq!(host.seen("typo").await, Value::Null);
    let error = host.refused("updatePlugin", json!({ "id": id, "pluginId": "taken" })).await;
    assert_eq!((code(&error), path(&error).as_str()), (FORBIDDEN, "input.pluginId"));
    let error = host.refused("updatePlugin", json!({ "id": id, "pluginId": "9" })).await;
    assert_eq!((code(&error), path(&error).as_str()), ("invalid_arguments", "input.pluginId"));
    // One update can do all of it.
    let all = json!({ "id": id, "isInstalled": true, "isActivated": true, "backup": true });
    assert_eq!(host.admin("updatePlugin", all).await["status"], "ACTIVE");
    host.stop().await;
}

#[tokio::test]
async fn reload_takes_the_files_as_they_are() {
    let host = TestHost::start().await;
    for mutation in ["reloadPlugin", "installPlugin"] {
        let error = host.refused(mutation, json!({ "pluginId": "none" })).await;
        assert!([NOT_FOUND, FORBIDDEN].contains(&code(&error)), "{error}");
        assert_eq!(path(&error), "input.pluginId");
    }
    write_echo(&host, "echo");
    host.admin("installPlugin", json!({ "pluginId": "echo" })).await;
    let error = host.refused("reloadPlugin", json!({ "pluginId": "echo" })).await;
    assert_eq!((code(&error), path(&error).as_str()), (FORBIDDEN, "input.pluginId"));
    let id = host.seen("echo").await["id"].clone();
    let active = host.admin("updatePlugin", json!({ "id": id, "isActivated": true })).await;

    host.write_plugin("echo", &[("init.lua", &getting("return 2"))]);
    let reloaded = host.admin("reloadPlugin", json!({ "pluginId": "echo" })).await;
    assert!(reloaded["generation"].as_i64() > active["generation"].as_i64());
    assert_eq!(host.data(ADA, "{ echo_get }", json!({})).await["echo_get"], 2);

    host.write_plugin("echo", &[("init.lua", "local M = {}\nreturn M +\n")]);
    let error = host.refused("reloadPlugin", json!({ "pluginId": "echo" })).await;
    assert_eq!(code(&error), FORBIDDEN);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("init.lua:"), "{message}");
    let seen = host.seen("echo").await;
    assert_eq!((&seen["status"], &seen["isActivated"]), (&json!("ACTIVE"), &json!(true)));
    assert_eq!(seen["generation"], reloaded["generation"]);
    assert_eq!(seen["errors"][0]["file"], "init.lua");
    assert_eq!(host.data(ADA, "{ echo_get }", json!({})).await["echo_get"], 2);
    host.stop().await;
}

#[tokio::test]
async fn a_failing_step_leaves_the_record_as_it_was() {
    let host = TestHost::start().await;
    let main = "local M = {}\nfunction M.onInstall(ctx)\n  error('no disk left')\nend\nreturn M\n";
    host.write_plugin("p", &[("manifest.json", &manifest("p", "")), ("init.lua", main)]);
    let made = host.admin("createPlugin", json!({ "pluginId": "p" })).await;
    let error = host.refused("installPlugin", json!({ "pluginId": "p" })).await;
    assert_eq!((code(&error), path(&error).as_str()), (FORBIDDEN, "input.pluginId"));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("onInstall") && message.contains("no disk left"), "{message}");
    let seen = host.seen("p").await;
    for key in ["id", "isInstalled", "isActivated", "backup", "createdAt"] {
        assert_eq!(seen[key], made[key], "{key}");
    }
    assert_eq!(seen["status"], "ERROR");
    assert_eq!(errors(&seen), [r"install init.lua:3 onInstall: no disk left"]);
    assert_eq!(seen["errorMessage"], "init.lua:3: onInstall: no disk left");
    assert!(seen["errors"][0]["at"].as_str().unwrap().ends_with('Z'));

    // Several changes in one update are one change.
    let main = main.replace("onInstall", "onActivate");
    host.write_plugin("p", &[("init.lua", &main)]);
    let all = json!({ "id": seen["id"], "isInstalled": true, "isActivated": true, "backup": true });
    let error = host.refused("updatePlugin", all).await;
    assert_eq!((code(&error), path(&error).as_str()), (FORBIDDEN, "input.isActivated"));
    let seen = host.seen("p").await;
    for key in ["isInstalled", "isActivated", "backup"] {
        assert_eq!(seen[key], made[key], "{key}");
    }
    assert_eq!(seen["status"], "ERROR");
    assert_eq!(errors(&seen), [r"activate init.lua:3 onActivate: no disk left"]);
    host.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_must_be_granted() {
    let host = TestHost::start().await;
    let asks = r#", "permissions": { "events": ["payment:*"], "env": ["REGION"] }"#;
    let files = [
        ("manifest.json", manifest_with("p", REGISTER, asks)),
        ("init.lua", getting("ctx:emit(\"payment:made\", {}) return true")),
    ];
    host.write_plugin("p", &files.each_ref().map(|(path, text)| (*path, text.as_str())));
    let plugin = host.admin("installPlugin", json!({ "pluginId": "p" })).await;
    assert_eq!(plugin["permissions"]["events"], json!(["payment:*"]));
    let activate = json!({ "id": plugin["id"], "isActivated": true });
    let error = host.refused("updatePlugin", activate.clone()).await;
    assert_eq!(code(&error), FORBIDDEN);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("payment:*") && message.contains("REGION"), "{message}");

    let wrong = json!({ "pluginId": "p", "permissions": { "events": "payment:*" } });
    let error = host.refused("grantPlugin", wrong).await;
    assert_eq!((code(&error), path(&error).as_str()), ("invalid_arguments", "input.permissions"));
    let none = json!({ "pluginId": "none", "permissions": {} });
    let error = host.refused("grantPlugin", none).await;
    assert_eq!((code(&error), path(&error).as_str()), (NOT_FOUND, "input.pluginId"));

    let part = json!({ "pluginId": "p", "permissions": { "events": ["payment:*"] } });
    host.admin("grantPlugin", part.clone()).await;
    let message = host.refused("updatePlugin", activate.clone()).await["message"].to_string();
    assert!(!message.contains("payment:*") && message.contains("REGION"), "{message}");
    let whole = json!({ "events": ["payment:*"], "env": ["REGION"] });
    let granted = host.admin("grantPlugin", json!({ "pluginId": "p", "permissions": whole })).await;
    assert_eq!(granted["grantedPermissions"]["env"], json!(["REGION"]));
    assert_eq!(host.admin("updatePlugin", activate).await["status"], "ACTIVE");
    assert_eq!(host.data(ADA, "{ p_get }", json!({})).await["p_get"], true);

    // What an active plugin needs cannot be taken from it behind its back.
    assert_eq!(code(&host.refused("grantPlugin", part).await), FORBIDDEN);
    let seen = host.seen("p").await;
    assert_eq!(seen["grantedPermissions"]["env"], json!(["REGION"]));
    assert_eq!(seen["isActivated"], true);
    host.stop().await;
}
