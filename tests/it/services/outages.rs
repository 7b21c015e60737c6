//! An engine that is not there, goes away in the middle, or has no room: errors say so, what was begun is
//! undone, and the host goes on.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::KillContainerOptionsBuilder;
use futures_util::StreamExt;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::engine::{BUSYBOX, Engine, engine, ship_summarizer, write_plugin};
use super::summarizer::{ASK, TEXT, services};
use super::watching::hear;
use crate::support::{ADA, ADMIN, TestHost};

/// A way to the engine that can be cut.
struct Line {
    socket: PathBuf,
    is_open: Arc<AtomicBool>,
    cut: watch::Sender<u32>,
}

impl Line {
    fn to(engine: &Engine, dir: &TempDir) -> Line {
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let real = engine.url.strip_prefix("unix://").expect("a local engine").to_owned();
        let is_open = Arc::new(AtomicBool::new(true));
        let (cut, cuts) = watch::channel(0);
        let open = Arc::clone(&is_open);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let (real, mut cuts) = (real.clone(), cuts.clone());
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut far = UnixStream::connect(real).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Line { socket, is_open, cut }
    }

    fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    fn cut(&self) {
        self.is_open.store(false, Ordering::SeqCst);
        self.cut.send_modify(|count| *count += 1);
    }

    fn mend(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

const UPDATE: &str = "mutation($id: String!, $on: Boolean!) { updatePlugin(input: { id: $id, isActivated: $on }) { status } }";

#[tokio::test]
async fn without_an_engine_only_plugins_with_containers_are_affected() {
    let host = TestHost::start_with(|settings| {
        settings.docker.host = Some("unix:///no/such/engine.sock".into());
    })
    .await;
    ship_summarizer(&host.plugins);
    host.ship("hello");
    let manager = host.host.manager();
    manager.install("hello", true).await.unwrap();
    manager.activate("hello").await.unwrap();
    let error = manager.install("summarizer", true).await.unwrap_err();
    assert_eq!(error.code, "docker.unavailable");
    assert!(error.message.contains("start Docker or Podman"), "{error}");
    // Without the grant nothing is built yet.
    manager.install("summarizer", false).await.unwrap();
    let grant = json!({ "docker": true, "env": ["SUMMARIZER_BASE"] });
    manager.grant("summarizer", grant).await.unwrap();
    let plugin = services(&host).await;
    let error = host.error(Some(ADMIN), UPDATE, json!({ "id": plugin["id"], "on": true })).await;
    assert_eq!(error["extensions"]["code"], "docker.unavailable", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("/no/such/engine.sock"), "{message}");
    assert!(message.contains("DOCKER_HOST") && message.contains("docker-host"), "{message}");
    host.data(ADA, "{ hello_greet }", json!({})).await;
    manager.uninstall("summarizer", false).await.unwrap();
    assert!(!host.dir.path().join("data/instance-id").exists(), "no engine was used");
    host.stop().await;
}

#[tokio::test]
async fn an_engine_that_goes_away_and_comes_back() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let line = Line::to(&engine, &dir);
    let host = TestHost::start_with(|settings| settings.docker.host = Some(line.url())).await;
    let data = host.dir.path().join("data");
    ship_summarizer(&host.plugins);
    let manager = host.host.manager();
    manager.install("summarizer", true).await.unwrap();
    manager.activate("summarizer").await.unwrap();
    let ask = async || host.graphql(Some(ADA), ASK, json!({ "text": TEXT })).await;

    // The container runs on, and so does the plugin.
    line.cut();
    until("the loss is shown", async || {
        services(&host).await["services"][0]["errorMessage"].is_string()
    })
    .await;
    assert!(ask().await.get("errors").is_none());
    assert_eq!(services(&host).await["status"], "ACTIVE");

    // What happens meanwhile is mended once the engine is back.
    let container = engine.container(&data, "summarizer", "summarizer");
    let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
    engine.docker.kill_container(&container, Some(kill)).await.unwrap();
    line.mend();
    until("it is started again", async || {
        let service = services(&host).await["services"][0].clone();
        service["health"] == "healthy" && service["errorMessage"].is_null()
    })
    .await;
    assert!(ask().await.get("errors").is_none(), "{}", ask().await);

    // Switching off does not need the engine. What is left over goes when it is back.
    line.cut();
    let plugin = services(&host).await;
    let off = host.data(ADMIN, UPDATE, json!({ "id": plugin["id"], "on": false })).await;
    assert_eq!(off["updatePlugin"]["status"], "INACTIVE");
    assert_eq!(engine.left(&data).await.len(), 3);
    let error = host.error(Some(ADMIN), UPDATE, json!({ "id": plugin["id"], "on": true })).await;
    assert_eq!(error["extensions"]["code"], "docker.unavailable", "{error}");
    line.mend();
    until("the leftovers are gone", async || engine.left(&data).await.len() == 1).await;
    let on = host.data(ADMIN, UPDATE, json!({ "id": plugin["id"], "on": true })).await;
    assert_eq!(on["updatePlugin"]["status"], "ACTIVE");
    manager.uninstall("summarizer", false).await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn an_engine_that_goes_away_while_it_builds_or_starts() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let line = Line::to(&engine, &dir);
    let host = TestHost::start_with(|settings| settings.docker.host = Some(line.url())).await;
    let data = host.dir.path().join("data");
    let compose = "services:\n  a: { build: ., command: [sleep, \"600\"], stop_grace_period: 0s, \
                   healthcheck: { test: \"true\", interval: 1s } }\n";
    let dockerfile = "FROM {busybox}\nRUN sleep 0.5; echo 1 > /1\nRUN sleep 0.5; echo 2 > /2\n";
    write_plugin(&host.plugins, "cut", compose, &[("Dockerfile", dockerfile)]);
    let manager = host.host.manager();
    let mut events = host.host.subscribe();
    let cutting = async {
        hear(&mut events, "plugin:building").await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        line.cut();
    };
    let (installed, ()) = tokio::join!(manager.install("cut", true), cutting);
    let error = installed.unwrap_err();
    assert_eq!(error.code, "docker.unavailable", "{error}");
    assert!(error.message.contains("building the image"), "{error}");
    line.mend();
    until("what was built is gone", async || engine.left(&data).await.is_empty()).await;

    manager.install("cut", true).await.unwrap();
    let cutting = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        line.cut();
    };
    let (activated, ()) = tokio::join!(manager.activate("cut"), cutting);
    let error = activated.unwrap_err();
    assert_eq!(error.code, "docker.unavailable", "{error}");
    line.mend();
    until("the container is gone", async || engine.left(&data).await.len() == 1).await;
    manager.activate("cut").await.unwrap();
    manager.uninstall("cut", false).await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}

/// An engine whose data is in a small memory file system.
struct SmallEngine {
    dir: TempDir,
    child: Child,
}

impl SmallEngine {
    async fn start(size: &str) -> (SmallEngine, Engine) {
        let dir = tempfile::Builder::new().prefix("moondock-small").tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(at("data")).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", &at("data")])
            .status();
        assert!(mounted.unwrap().success());
        let url = format!("unix://{}", at("docker.sock"));
        let log = std::fs::File::create(at("log")).unwrap();
        // In a network of its own: two engines in one would take it away from each other.
        let child = Command::new("unshare")
            .args(["--net", "dockerd"])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &url])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        // From here on it ends, whatever happens.
        let small = SmallEngine { dir, child };
        let log = small.dir.path().join("log");
        let start = Instant::now();
        let docker = loop {
            if let Ok(docker) = Docker::connect_with_host(&url)
                && docker.ping().await.is_ok()
            {
                break docker;
            }
            let said = || std::fs::read_to_string(&log).unwrap();
            assert!(start.elapsed() < Duration::from_secs(30), "{}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        (small, Engine { docker, url })
    }
}

impl Drop for SmallEngine {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the process is our own child, which was not waited for yet.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let _ = self.child.wait();
        let _ =
            Command::new("umount").args(["-R", "-l"]).arg(self.dir.path().join("data")).status();
    }
}

/// The image of the tests, copied from one engine to another.
async fn copy_image(from: &Engine, to: &Engine) {
    let parts: Vec<_> = from.docker.export_image(BUSYBOX).collect().await;
    let tar: Vec<u8> = parts.into_iter().flat_map(|part| part.unwrap().to_vec()).collect();
    let body = bollard::body_full(tar.into());
    let options = bollard::query_parameters::ImportImageOptionsBuilder::new().build();
    let loaded: Vec<_> = to.docker.import_image(options, body, None).collect().await;
    assert!(loaded.iter().all(Result::is_ok), "{loaded:?}");
}

#[tokio::test]
async fn a_disk_that_is_full_fails_the_build_and_nothing_else() {
    let Some(usual) = engine() else { return };
    // SAFETY: it reads a number of this process.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: a_disk_that_is_full, because only root can run an engine of its own");
        return;
    }
    let (_small, engine) = SmallEngine::start("40m").await;
    copy_image(&usual, &engine).await;
    let host = TestHost::start_with(engine.settings()).await;
    let data = host.dir.path().join("data");
    let compose = "services:\n  a: { build: ., command: [sleep, \"600\"] }\n";
    let dockerfile = "FROM {busybox}\nRUN dd if=/dev/zero of=/some bs=1M count=5\nRUN dd if=/dev/zero of=/big bs=1M count=100\n";
    write_plugin(&host.plugins, "greedy", compose, &[("Dockerfile", dockerfile)]);
    host.ship("hello");
    let manager = host.host.manager();
    let error = manager.install("greedy", true).await.unwrap_err();
    assert!(error.message.contains("building the image of the service \"a\""), "{error}");
    assert!(error.message.to_lowercase().contains("no space left on device"), "{error}");
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    let answer = host.data(ADMIN, "{ getPlugins { isInstalled } }", json!({})).await;
    assert_eq!(answer["getPlugins"], json!([]));
    // There is room again for what is smaller.
    let modest = dockerfile.replace("count=100", "count=1").replace("{busybox}", BUSYBOX);
    crate::support::write(&host.plugins.join("greedy/Dockerfile"), &modest);
    manager.install("greedy", true).await.unwrap();
    manager.install("hello", true).await.unwrap();
    manager.activate("hello").await.unwrap();
    host.data(ADA, "{ hello_greet }", json!({})).await;
    manager.uninstall("greedy", false).await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}

/// A service that never becomes healthy keeps nobody else waiting when the host starts.
#[tokio::test]
async fn a_slow_service_does_not_hold_up_the_start() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let compose = "services:\n  s:\n    image: {busybox}\n    command: [sleep, \"600\"]\n    stop_grace_period: 0s\n    \
                   healthcheck: { test: \"test -e /tmp/never || test -e /go/now\", interval: 200ms, retries: 500 }\n    \
                   volumes: [\"./go:/go:ro\"]\n";
    write_plugin(&host.plugins, "slow", compose, &[("go/now", "")]);
    let manager = host.host.manager();
    host.ship("hello");
    manager.install("hello", true).await.unwrap();
    manager.activate("hello").await.unwrap();
    manager.install("slow", true).await.unwrap();
    manager.activate("slow").await.unwrap();
    // While the host is down, the service comes to need something else.
    let plugins = host.plugins.clone();
    let dir = host.stop().await;
    std::fs::remove_file(plugins.join("slow/go/now")).unwrap();
    crate::support::write(&plugins.join("slow/go/later"), "");
    let start = Instant::now();
    let host = TestHost::start_in(dir, engine.settings()).await;
    // It would be 30 s, and the machine may be busy.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    host.data(ADA, "{ hello_greet }", json!({})).await;
    let state = host
        .data(ADMIN, "{ getPlugins(input: { pluginId: \"slow\" }) { status } }", json!({}))
        .await;
    assert_eq!(state["getPlugins"][0]["status"], "LOADING");
    let ready =
        || async { host.client.get(format!("{}/readyz", host.url)).send().await.unwrap().status() };
    assert_eq!(ready().await, 503);
    crate::support::write(&plugins.join("slow/go/now"), "");
    until("it is ready", async || ready().await == 200).await;
    let got = host.data(ADA, "{ slow_get(name: \"s\") }", json!({})).await;
    assert_eq!(got["slow_get"]["health"], "healthy");
    host.host.manager().uninstall("slow", false).await.unwrap();
    host.stop().await;
}
