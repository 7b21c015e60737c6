//! Plugins that come as a zip.

use std::io::{Cursor, Write};

use moondock::settings::Mode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::{ADA, ADMIN, REGISTER, TestHost, getting, manifest, manifest_with};

fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A package of a plugin whose field `packed_get` gives `answer`.
fn package(version: &str, answer: &str, more: &str) -> Vec<u8> {
    let manifest = manifest_with("packed", REGISTER, more).replace("1.0.0", version);
    let code = getting(&format!("return {answer}"));
    zipped(&[("manifest.json", &manifest), ("init.lua", &code), ("lib/deep/x.lua", "return 1")])
}

async fn upload_as(host: &TestHost, token: &str, zip: Vec<u8>, activate: Option<bool>) -> Value {
    let query = "mutation($zip: Upload!, $activate: Boolean) {
        uploadPluginZip(input: { pluginZip: $zip, activate: $activate }) {
            pluginId status isInstalled isActivated version } }";
    let operations = json!({ "query": query, "variables": { "zip": null, "activate": activate } });
    let form = Form::new()
        .text("operations", operations.to_string())
        .text("map", r#"{"0": ["variables.zip"]}"#)
        .part("0", Part::bytes(zip).file_name("packed.zip"));
    let request = host.client.post(format!("{}/graphql", host.url)).bearer_auth(token);
    request.multipart(form).send().await.unwrap().json().await.unwrap()
}

async fn upload(host: &TestHost, zip: Vec<u8>, activate: Option<bool>) -> Value {
    upload_as(host, ADMIN, zip, activate).await
}

fn plugin(answer: &Value) -> &Value {
    assert!(answer.get("errors").is_none(), "{answer}");
    &answer["data"]["uploadPluginZip"]
}

async fn get(host: &TestHost) -> Value {
    host.graphql(Some(ADA), "{ packed_get }", json!({})).await["data"]["packed_get"].clone()
}

/// What is in the plugins folder.
fn folders(host: &TestHost) -> Vec<String> {
    let entries = std::fs::read_dir(&host.plugins).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_package_is_installed_activated_and_upgraded() {
    let host = TestHost::start().await;
    let answer = upload(&host, package("1.0.0", "1", ""), None).await;
    assert_eq!(
        plugin(&answer),
        &json!({ "pluginId": "packed", "status": "INACTIVE", "isInstalled": true, "isActivated": false,
                 "version": "1.0.0" })
    );
    assert!(host.plugins.join("packed/lib/deep/x.lua").is_file());
    // Over one that is inactive, it stays so unless it is to be activated.
    assert_eq!(plugin(&upload(&host, package("1.1.0", "2", ""), None).await)["status"], "INACTIVE");
    let answer = upload(&host, package("1.2.0", "3", ""), Some(true)).await;
    assert_eq!((&plugin(&answer)["status"], get(&host).await), (&json!("ACTIVE"), json!(3)));
    // Over an active one it is an upgrade, also when it says nothing of activating.
    let answer = upload(&host, package("2.0.0", "4", ""), None).await;
    assert_eq!(plugin(&answer)["version"], "2.0.0");
    assert_eq!(get(&host).await, 4);
    assert_eq!(folders(&host), ["packed"]);
    // And it survives a restart.
    let host = TestHost::start_in(host.stop().await, |_| ()).await;
    assert_eq!(get(&host).await, 4);
}

#[tokio::test]
async fn what_does_not_work_leaves_everything_as_it_was() {
    let host = TestHost::start().await;
    let broken = |version: &str| {
        let text = manifest("packed", REGISTER).replace("1.0.0", version);
        zipped(&[("manifest.json", &text), ("init.lua", "return {")])
    };
    for activate in [None, Some(true)] {
        let answer = upload(&host, broken("1.0.0"), activate).await;
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("init.lua"), "{answer}");
        assert!(folders(&host).is_empty());
        assert_eq!(
            host.data(ADMIN, "{ getPlugins { id } }", json!({})).await["getPlugins"],
            json!([])
        );
    }
    // Activating with something ungranted fails, with the list.
    let asks = r#", "permissions": { "http": ["https://api.example.com"] }"#;
    let answer = upload(&host, package("1.0.0", "1", asks), Some(true)).await;
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("https://api.example.com"));
    assert!(folders(&host).is_empty());

    plugin(&upload(&host, package("1.0.0", "1", ""), Some(true)).await);
    for zip in [broken("2.0.0"), package("2.0.0", "2", asks), zipped(&[]), b"junk".to_vec()] {
        let answer = upload(&host, zip, Some(true)).await;
        assert!(answer["errors"].is_array(), "{answer}");
        assert_eq!(get(&host).await, 1);
        let code = std::fs::read_to_string(host.plugins.join("packed/init.lua")).unwrap();
        assert!(code.contains("return 1"), "{code}");
    }
    assert_eq!(folders(&host), ["packed"]);
    let query = "{ getPlugins { version status isActivated } }";
    let plugins = host.data(ADMIN, query, json!({})).await;
    assert_eq!(
        plugins["getPlugins"],
        json!([{ "version": "1.0.0", "status": "ACTIVE", "isActivated": true }])
    );
    let answer = upload_as(&host, ADA, package("2.0.0", "2", ""), None).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "unauthorized_action");
    // What is wrong with the zip is said of the argument.
    let answer = upload(&host, zipped(&[("../x", "")]), None).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "invalid_arguments");
    let path = &answer["errors"][0]["extensions"]["issues"][0]["argumentPath"];
    assert_eq!(path, &json!(["input", "pluginZip"]));
}

#[tokio::test]
async fn in_dev_a_package_is_granted_what_it_asks_for() {
    let host = TestHost::start_with(|settings| {
        settings.mode = Mode::Dev;
        settings.hot_reload = true;
    })
    .await;
    let asks = r#", "permissions": { "env": ["PACKED"] }"#;
    let answer = upload(&host, package("1.0.0", "1", asks), Some(true)).await;
    assert_eq!(plugin(&answer)["status"], "ACTIVE");
    assert_eq!(get(&host).await, 1);
}

#[tokio::test]
async fn a_process_that_was_killed_in_between_leaves_no_half_a_plugin() {
    let host = TestHost::start().await;
    plugin(&upload(&host, package("1.0.0", "1", ""), Some(true)).await);
    let plugins = host.plugins.clone();
    let dir = host.stop().await;
    // Between the two renames, with the new one ready.
    std::fs::rename(plugins.join("packed"), plugins.join(".replaced-packed")).unwrap();
    std::fs::create_dir(plugins.join(".staging-packed")).unwrap();
    let host = TestHost::start_in(dir, |_| ()).await;
    assert_eq!(get(&host).await, 1);
    assert_eq!(folders(&host), ["packed"]);
}
