//! Hot reload: what editors and authors do to a folder while the server serves.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use moondock::settings::Mode;
use serde_json::{Value, json};

use crate::admin_client::errors;
use crate::support::{ADA, ADMIN, REGISTER, TestHost, getting, manifest, registering, write};

async fn hot() -> TestHost {
    TestHost::start_with(|settings| settings.hot_reload = true).await
}

async fn dev() -> TestHost {
    TestHost::start_with(|settings| {
        settings.hot_reload = true;
        settings.mode = Mode::Dev;
    })
    .await
}

fn files(id: &str, answer: &str) -> Vec<(&'static str, String)> {
    vec![
        ("manifest.json", manifest(id, REGISTER)),
        ("init.lua", getting(&format!("return {answer}"))),
    ]
}

fn write_files(host: &TestHost, id: &str, files: &[(&str, String)]) {
    for (path, text) in files {
        host.write_plugin(id, &[(path, text)]);
    }
}

async fn activate(host: &TestHost, id: &str, answer: &str) {
    write_files(host, id, &files(id, answer));
    host.host.manager().install(id, true).await.unwrap();
    host.host.manager().activate(id).await.unwrap();
}

async fn answers(host: &TestHost, id: &str, expected: Value) {
    let field = format!("{id}_get");
    host.until(ADA, &format!("{{ {field} }}"), |r| r["data"][&field] == expected).await;
}

/// Waits until the plugin as administrators see it is so.
async fn seen(host: &TestHost, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1_000 {
        let plugin = host.seen(id).await;
        if done(&plugin) {
            return plugin;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("still {}", host.seen(id).await);
}

#[tokio::test]
async fn every_way_to_save_a_file_is_seen() {
    let host = hot().await;
    activate(&host, "p", "0").await;
    let folder = host.plugins.join("p");
    let main = folder.join("init.lua");

    fs::write(&main, getting("return 'in place'")).unwrap();
    answers(&host, "p", json!("in place")).await;

    fs::write(folder.join(".init.lua.new"), getting("return 'renamed'")).unwrap();
    fs::rename(folder.join(".init.lua.new"), &main).unwrap();
    answers(&host, "p", json!("renamed")).await;

    // Vim: the old file becomes a backup, which is removed at the end.
    fs::rename(&main, folder.join("init.lua~")).unwrap();
    fs::write(&main, getting("return 'backed up'")).unwrap();
    fs::remove_file(folder.join("init.lua~")).unwrap();
    answers(&host, "p", json!("backed up")).await;

    // A slow writer, whose half files are no error to show.
    let mut events = host.host.subscribe();
    let text = getting("return 'slow'");
    let mut file = fs::File::create(&main).unwrap();
    for part in text.as_bytes().chunks(text.len() / 5) {
        file.write_all(part).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(file);
    answers(&host, "p", json!("slow")).await;
    let mut names = Vec::new();
    while let Ok(event) = events.try_recv() {
        names.push(event.name.to_string());
    }
    assert!(!names.contains(&"plugin:error".to_owned()), "{names:?}");
    assert_eq!(names.iter().filter(|name| *name == "plugin:reloaded").count(), 1, "{names:?}");

    // Files in folders that are new, too.
    write(&folder.join("a/b/answer.lua"), "return 'deep'");
    fs::write(&main, getting("return require('./a/b/answer')")).unwrap();
    answers(&host, "p", json!("deep")).await;
    write(&folder.join("a/b/answer.lua"), "return 'deeper'");
    answers(&host, "p", json!("deeper")).await;
    host.stop().await;
}

#[tokio::test]
async fn files_saved_together_are_one_generation() {
    let host = hot().await;
    write_files(&host, "p", &files("p", "require('./m1')"));
    for n in 1..=40 {
        write(&host.plugins.join(format!("p/m{n}.lua")), "return 0");
    }
    host.host.manager().install("p", true).await.unwrap();
    host.host.manager().activate("p").await.unwrap();
    let mut events = host.host.subscribe();
    for n in (1..=40).rev() {
        write(&host.plugins.join(format!("p/m{n}.lua")), "return 1");
    }
    answers(&host, "p", json!(1)).await;
    let mut reloads = 0;
    while let Ok(event) = events.try_recv() {
        reloads += usize::from(&*event.name == "plugin:reloaded");
    }
    // A slow disk may stretch a save, but not into one for each file.
    assert!((1..=5).contains(&reloads), "{reloads} reloads");
    host.stop().await;
}

#[tokio::test]
async fn a_broken_version_leaves_the_last_good_one_serving() {
    let host = hot().await;
    activate(&host, "p", "'good'").await;
    let mut good = host.seen("p").await["generation"].clone();
    let main = getting("return 'good'");
    let manifest = manifest("p", REGISTER);
    let cases: [(&str, String, Option<u64>); 5] = [
        ("init.lua", "local M = {}\nreturn M +".into(), Some(2)),
        ("init.lua", "local M = {}\n\nerror('at load')\nreturn M".into(), Some(3)),
        ("init.lua", getting("return 1").replace("JSON", "Nope"), Some(3)),
        ("manifest.json", "{\n  \"name\": ]".into(), Some(2)),
        ("manifest.json", manifest.replace("1.0.0", "one"), Some(1)),
    ];
    for (path, text, line) in cases {
        host.write_plugin("p", &[(path, &text)]);
        let broken = seen(&host, "p", |p| !errors(p).is_empty()).await;
        assert_eq!(broken["errors"][0]["file"], *path, "{broken}");
        assert_eq!(broken["errors"][0]["line"].as_u64(), line, "{broken}");
        assert_eq!((&broken["status"], &broken["generation"]), (&json!("ACTIVE"), &good), "{text}");
        answers(&host, "p", json!("good")).await;
        // The same content as before, which is no news but mends the plugin.
        host.write_plugin("p", &[("init.lua", &main), ("manifest.json", &manifest)]);
        seen(&host, "p", |p| errors(p).is_empty()).await;
        answers(&host, "p", json!("good")).await;
        good = host.seen("p").await["generation"].clone();
    }
    host.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_shown_until_it_can() {
    let host = hot().await;
    activate(&host, "p", "'good'").await;
    let folder = host.plugins.join("p");
    let outside = host.dir.path().join("outside.lua");
    fs::write(&outside, "return 1").unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("link.lua")).unwrap();
    let broken = seen(&host, "p", |p| !errors(p).is_empty()).await;
    assert_eq!(
        (&broken["errors"][0]["file"], &broken["status"]),
        (&json!("link.lua"), &json!("ACTIVE"))
    );
    answers(&host, "p", json!("good")).await;
    fs::remove_file(folder.join("link.lua")).unwrap();
    seen(&host, "p", |p| errors(p).is_empty()).await;

    fs::rename(folder.join("manifest.json"), folder.join("manifest.bak")).unwrap();
    let broken = seen(&host, "p", |p| !errors(p).is_empty()).await;
    assert!(errors(&broken)[0].contains("manifest.json"), "{broken}");
    answers(&host, "p", json!("good")).await;
    fs::rename(folder.join("manifest.bak"), folder.join("manifest.json")).unwrap();
    seen(&host, "p", |p| errors(p).is_empty()).await;
    host.stop().await;
}

#[tokio::test]
async fn a_file_that_is_only_touched_makes_no_generation() {
    let host = hot().await;
    activate(&host, "p", "1").await;
    activate(&host, "q", "1").await;
    let before = host.seen("p").await;
    let mut events = host.host.subscribe();
    let main = host.plugins.join("p/init.lua");
    let text = fs::read(&main).unwrap();
    fs::write(&main, &text).unwrap();
    fs::File::open(&main).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    fs::write(host.plugins.join("p/.init.lua.swp"), "x").unwrap();
    // Changes are looked at in order, so that of another plugin comes after all of these.
    write_files(&host, "q", &files("q", "2"));
    answers(&host, "q", json!(2)).await;
    assert_eq!(host.seen("p").await["generation"], before["generation"]);
    while let Ok(event) = events.try_recv() {
        let payload = serde_json::to_value(&event.payload).unwrap();
        assert_ne!(payload["pluginId"], "p", "{event:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn authors_get_new_folders_taken_in() {
    let host = dev().await;
    let asks = r#", "permissions": { "env": ["REGION"] }"#;
    let mut fresh = files("fresh", "'hi'");
    fresh[0].1 = crate::support::manifest_with("fresh", REGISTER, asks);
    write_files(&host, "fresh", &fresh);
    answers(&host, "fresh", json!("hi")).await;
    let plugin = host.seen("fresh").await;
    assert_eq!(plugin["grantedPermissions"]["env"], json!(["REGION"]));

    // Renamed: the old name serves no longer, and the new one once its manifest says so.
    fs::rename(host.plugins.join("fresh"), host.plugins.join("newer")).unwrap();
    host.until(ADA, "{ fresh_get }", |r| r["errors"].is_array()).await;
    let newer = seen(&host, "newer", |p| p["status"] == "ERROR").await;
    assert!(errors(&newer)[0].contains("pluginId"), "{newer}");
    write_files(&host, "newer", &files("newer", "'hello'"));
    answers(&host, "newer", json!("hello")).await;

    // Removed, and back.
    let aside = host.dir.path().join("aside");
    fs::rename(host.plugins.join("newer"), &aside).unwrap();
    host.until(ADA, "{ newer_get }", |r| r["errors"].is_array()).await;
    let gone = seen(&host, "newer", |p| !errors(p).is_empty()).await;
    assert!(errors(&gone)[0].contains("gone"), "{gone}");
    fs::rename(&aside, host.plugins.join("newer")).unwrap();
    answers(&host, "newer", json!("hello")).await;
    host.stop().await;
}

#[tokio::test]
async fn a_broken_new_folder_is_taken_in_once_mended() {
    let host = dev().await;
    let mut bad = files("bad", "1");
    bad[1].1 = "return {".into();
    write_files(&host, "bad", &bad);
    let broken = seen(&host, "bad", |p| p["status"] == "ERROR").await;
    assert_eq!(broken["errors"][0]["file"], "init.lua", "{broken}");
    write_files(&host, "bad", &files("bad", "1"));
    answers(&host, "bad", json!(1)).await;
    assert!(errors(&host.seen("bad").await).is_empty());

    // Also when it is mended while nobody looks, or after a restart.
    for id in ["later", "asleep"] {
        let mut bad = files(id, "1");
        bad[1].1 = "return {".into();
        write_files(&host, id, &bad);
        seen(&host, id, |p| p["status"] == "ERROR").await;
    }
    let dir = host.stop().await;
    write(&dir.path().join("plugins/asleep/init.lua"), &getting("return 2"));
    let host = TestHost::start_in(dir, |settings| {
        settings.hot_reload = true;
        settings.mode = Mode::Dev;
    })
    .await;
    answers(&host, "asleep", json!(2)).await;
    write_files(&host, "later", &files("later", "3"));
    answers(&host, "later", json!(3)).await;
    // What an author has switched off stays off.
    host.host.manager().deactivate("bad", false).await.unwrap();
    write_files(&host, "bad", &files("bad", "4"));
    write_files(&host, "later", &files("later", "4"));
    answers(&host, "later", json!(4)).await;
    assert_eq!(host.seen("bad").await["isActivated"], false);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_comes_from_one_generation() {
    let host = Arc::new(hot().await);
    let fields = "local v = require('./version')\n\
        local function field(name, resolve)\n\
          builder:queryField(name, { type = 'Int!', auth = 'public', resolve = resolve })\n\
        end\n\
        field('first', function() return v end)\n\
        field('last', function() return require('./other').version() end)\n\
        builder:objectType('Pair', { fields = { v = { type = 'Int!', resolve = function() return v end } } })\n\
        builder:queryField('pair', { type = 'Pair!', auth = 'public', resolve = function() return {} end })";
    let other = "return { version = function() return require('./version') end }";
    let all = [
        ("manifest.json", manifest("p", REGISTER)),
        ("init.lua", registering(fields)),
        ("other.lua", other.to_owned()),
        ("version.lua", "return 0".to_owned()),
    ];
    write_files(&host, "p", &all);
    host.host.manager().install("p", true).await.unwrap();
    host.host.manager().activate("p").await.unwrap();

    let done = Arc::new(AtomicBool::new(false));
    let highest = Arc::new(AtomicU64::new(0));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (host, done, highest) =
                (Arc::clone(&host), Arc::clone(&done), Arc::clone(&highest));
            tokio::spawn(async move {
                let mut answered = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    let data = host.data(ADMIN, "{ p_first p_pair { v } p_last }", json!({})).await;
                    assert_eq!(data["p_first"], data["p_last"], "{data}");
                    assert_eq!(data["p_first"], data["p_pair"]["v"], "{data}");
                    let version = data["p_first"].as_u64().unwrap();
                    highest.fetch_max(version, Ordering::Relaxed);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let version = host.plugins.join("p/version.lua");
    for edit in 1..=200_u64 {
        fs::write(&version, format!("return {edit}")).unwrap();
        for _ in 0..1_000 {
            if highest.load(Ordering::Relaxed) == edit {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(highest.load(Ordering::Relaxed), edit, "the edit was not taken up");
    }
    done.store(true, Ordering::Relaxed);
    for task in load {
        assert!(task.await.unwrap() > 100);
    }
    Arc::into_inner(host).unwrap().stop().await;
}
