//! The process: how it starts, what it says, and how it ends.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::binary::{Server, TOKEN, moondock, outcome, run};
use crate::support::{REGISTER, getting, manifest_with, write};

fn folders() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// A plugin whose field answers after `ms` milliseconds of work.
fn write_slow(dir: &tempfile::TempDir, ms: u32) {
    let body = format!(
        "local till = os.clock() + {ms} / 1000 while os.clock() < till do end \
         ctx.logger:info('worked') return 'done'"
    );
    let folder = dir.path().join("plugins/slow");
    write(&folder.join("init.lua"), &getting(&body));
    let manifest = manifest_with("slow", REGISTER, r#", "runtime": { "timeoutMs": 5000 }"#);
    write(&folder.join("manifest.json"), &manifest);
}

#[tokio::test]
async fn it_starts_with_nothing() {
    let dir = folders();
    let server = Server::start(&dir, &[]);
    assert!(dir.path().join("plugins").is_dir() && dir.path().join("data").is_dir());
    for route in ["healthz", "readyz"] {
        let answer =
            moondock::http::new().get(format!("{}/{route}", server.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{route}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["status"], "ok", "{route}");
    }
    let answer = server.graphql("{ getPlugins { id } }").await;
    assert_eq!(answer, json!({ "data": { "getPlugins": [] } }));
    let wrong = moondock::http::new().post(format!("{}/graphql", server.url));
    let wrong =
        wrong.bearer_auth("not-the-token-at-all").json(&json!({ "query": "{ __typename }" }));
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    assert_eq!(server.terminate().0, Some(0));
}

#[tokio::test]
async fn the_command_line_works_with_and_without_a_server() {
    let dir = folders();
    write_slow(&dir, 1);
    for serving in [false, true] {
        let server = serving.then(|| Server::start(&dir, &[]));
        let ok = |args: &[&str]| {
            let output = run(dir.path(), &[&["plugin"], args].concat());
            let (code, out, err) = outcome(&output);
            assert_eq!(code, 0, "{args:?}: {out}{err}");
            out
        };
        let fails = |args: &[&str], cause: &str| {
            let (code, out, err) = outcome(&run(dir.path(), &[&["plugin"], args].concat()));
            assert_eq!((code, out.as_str()), (1, ""), "{args:?}");
            assert!(err.starts_with("error: ") && err.contains(cause), "{args:?}: {err}");
        };
        assert!(ok(&["list"]).contains("slow"));
        fails(&["install", "none"], "none");
        fails(&["activate", "slow"], "");
        assert_eq!(ok(&["install", "slow"]), "slow installed\n");
        fails(&["install", "slow"], "already installed");
        assert_eq!(ok(&["activate", "slow"]), "slow activated\n");
        if let Some(server) = &server {
            assert_eq!(server.graphql("{ slow_get }").await["data"]["slow_get"], "done");
        }
        let info = ok(&["info", "slow"]);
        assert!(info.contains("active") && info.contains("1.0.0"), "{info}");
        let list: Value = serde_json::from_str(&ok(&["list", "--json"])).unwrap();
        assert_eq!((&list[0]["pluginId"], &list[0]["status"]), (&json!("slow"), &json!("ACTIVE")));
        assert_eq!(ok(&["deactivate", "slow"]), "slow deactivated\n");
        assert_eq!(ok(&["uninstall", "slow"]), "slow uninstalled\n");
        fails(&["uninstall", "slow"], "not installed");
        fails(&["info", "none"], "none");
        if let Some(server) = server {
            assert!(server.graphql("{ slow_get }").await["errors"].is_array());
            assert_eq!(server.terminate().0, Some(0));
        }
    }
}

#[tokio::test]
async fn a_running_request_is_answered_before_the_end() {
    let dir = folders();
    write_slow(&dir, 700);
    for step in ["install", "activate"] {
        assert!(run(dir.path(), &["plugin", step, "slow"]).status.success());
    }
    let server = Server::start(&dir, &["--log", "json"]);
    let request = moondock::http::new().post(format!("{}/graphql", server.url));
    let request = request.bearer_auth(TOKEN).header("x-request-id", "the-slow-one");
    let request = request.json(&json!({ "query": "{ slow_get }" })).send();
    let asked = tokio::spawn(request);
    tokio::time::sleep(Duration::from_millis(250)).await;
    server.signal(libc::SIGTERM);
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.headers()["x-request-id"], "the-slow-one");
    assert_eq!(answer.json::<Value>().await.unwrap()["data"]["slow_get"], "done");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");

    // The log is one JSON object on each line, and the request's lines have its id.
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_request = |text: &str| {
        let line = lines.iter().find(|line| line["message"] == text);
        line.unwrap_or_else(|| panic!("no line {text:?} in {log}")).to_string()
    };
    assert!(of_request("worked").contains("the-slow-one"));
    assert!(of_request("answered").contains("the-slow-one"));
    assert!(!log.contains(TOKEN));
}

#[tokio::test]
async fn a_wrong_configuration_is_one_line() {
    let dir = folders();
    for (args, variable, cause) in [
        (&["serve", "--listen", "nowhere"][..], None, "listen"),
        (&["serve", "--log", "xml"], None, "log"),
        (&["serve", "--max-timeout-ms", "0"], None, "max-timeout-ms"),
        (&["serve", "--config", "none.toml"], None, "none.toml"),
        (&["serve"], Some(("MOONDOCK_ADMIN_TOKEN", "short")), "16 characters"),
        (&["serve"], Some(("MOONDOCK_DATABASE_URL", "mysql://x")), "database-url"),
        (&["plugin", "list"], Some(("MOONDOCK_BODY_LIMIT", "many")), "MOONDOCK_BODY_LIMIT"),
    ] {
        let mut command = moondock(dir.path(), args);
        if let Some((name, value)) = variable {
            command.env(name, value);
        }
        let (code, out, err) = outcome(&command.output().unwrap());
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(cause), "{args:?}: {err}");
        assert!(!err.contains("short\""), "{err}");
    }
    write(&dir.path().join("moondock.toml"), "listen = 5\nlog = \"json\"\n");
    let (code, _, err) = outcome(&run(dir.path(), &["serve"]));
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("moondock.toml"), "{err}");
    // Nothing was made before the configuration was known to be right.
    assert!(!dir.path().join("data").exists());
}

#[tokio::test]
async fn what_is_taken_is_said_to_be() {
    let dir = folders();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, out, err) = outcome(&run(dir.path(), &["serve", "--listen", &address]));
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    let error = err.lines().last().unwrap();
    assert!(error.starts_with("error: ") && error.contains(&address), "{err}");

    let server = Server::start(&dir, &[]);
    let (code, out, err) = outcome(&run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    let pid = server.child.id().to_string();
    assert!(err.contains("another moondock") && err.contains(&pid), "{err}");
    // The first one is none the worse for it.
    assert!(server.graphql("{ __typename }").await["errors"].is_null());
    assert_eq!(server.terminate().0, Some(0));
}

#[tokio::test]
async fn a_killed_server_leaves_nothing_in_the_way() {
    let dir = folders();
    let server = Server::start(&dir, &[]);
    server.signal(libc::SIGKILL);
    assert_eq!(server.end().0, None);
    // Neither its lock nor its socket.
    assert_eq!(outcome(&run(dir.path(), &["plugin", "list"])).1, "no plugins\n");
    let server = Server::start(&dir, &[]);
    assert_eq!(server.terminate().0, Some(0));
}

#[tokio::test]
async fn a_first_start_says_how_to_become_administrator() {
    use std::io::{BufRead as _, BufReader};
    let dir = folders();
    let mut command = moondock(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let all: Vec<String> = (&mut lines).take(3).map(Result::unwrap).collect();
    assert!(all[1].contains("nobody can administer this server yet"), "{all:?}");
    let page = moondock::http::new().get(all[2].trim()).send().await.unwrap();
    assert_eq!(page.status(), 200, "{all:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn what_hooks_change_can_be_seen_in_the_log() {
    let dir = folders();
    let points = format!(
        r#"{REGISTER}, "hooks": [{{ "type": "pre", "event": "seen:run", "handler": "before" }}]"#
    );
    let main = "local M = {}\nfunction M.register(builder) builder:queryField('get', { type = 'String', \
                auth = 'public', resolve = function(_, _, ctx) return ctx.hooks:run('seen:run', { title \
                = 'a', old = 1 }, function(data) return data.title end) end }) end\nfunction \
                M.before(data) data.title = 'b' data.old = nil data.new = true end\nreturn M\n";
    let folder = dir.path().join("plugins/seen");
    write(&folder.join("init.lua"), main);
    write(&folder.join("manifest.json"), &manifest_with("seen", &points, ""));
    for step in ["install", "activate"] {
        assert!(run(dir.path(), &["plugin", step, "seen"]).status.success());
    }
    let server = Server::start(&dir, &["--log-level", "info,moondock::hooks=trace"]);
    assert_eq!(server.graphql("{ seen_get }").await["data"]["seen_get"], "b");
    let (_, log) = server.terminate();
    let line = log.lines().find(|line| line.contains("TRACE")).unwrap_or_else(|| panic!("{log}"));
    // Whose request it was, and what has become of the data.
    let title = r#"title: \"a\" -> \"b\""#;
    for part in ["request", "seen:run", title, "new: added true", "old: removed"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn the_schema_is_printed_with_and_without_a_server() {
    let dir = folders();
    write_slow(&dir, 1);
    for args in [["plugin", "install", "slow"], ["plugin", "activate", "slow"]] {
        assert_eq!(outcome(&run(dir.path(), &args)).0, 0, "{args:?}");
    }
    for serving in [false, true] {
        let server = serving.then(|| Server::start(&dir, &[]));
        let (code, whole, err) = outcome(&run(dir.path(), &["schema", "print"]));
        assert_eq!(code, 0, "{err}");
        assert!(whole.contains("type Plugin {") && whole.contains("  slow_get: JSON\n"), "{whole}");
        let own = outcome(&run(dir.path(), &["schema", "print", "--plugin", "slow"]));
        assert_eq!(
            own,
            (0, "extend type Query {\n  slow_get: JSON\n}\n".to_owned(), String::new())
        );
        let (code, _, err) = outcome(&run(dir.path(), &["schema", "print", "--plugin", "other"]));
        assert_eq!(code, 1);
        assert!(err.contains("Plugin \"other\" is not active"), "{err}");
        if let Some(server) = server {
            let (_, log) = server.terminate();
            assert!(log.contains("tokens 5000, depth 20"), "{log}");
        }
    }
}
