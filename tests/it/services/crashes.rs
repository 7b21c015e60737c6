//! A host that is killed while it builds, starts or stops containers: the next start puts everything in
//! order, and nothing is left over or there twice.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bollard::query_parameters::{InspectContainerOptions, ListImagesOptionsBuilder};
use serde_json::Value;
use tempfile::TempDir;

use super::engine::{Engine, engine, write_plugin};
use crate::binary::{Server, moondock, outcome, run};

/// How many times in each step the host is killed.
const POINTS: u32 = 5;

const COMPOSE: &str = r#"
services:
  db:
    image: {busybox}
    command: [sleep, "600"]
    stop_grace_period: 1s
    volumes: ["kept:/kept"]
  web:
    build: .
    command: [httpd, -f, -p, "8080"]
    expose: ["8080"]
    depends_on: [db]
    stop_grace_period: 1s
    healthcheck: { test: "true", interval: 400ms, retries: 1 }
volumes:
  kept:
"#;

struct Life {
    engine: Engine,
    dir: TempDir,
    /// In all that is built, intermediate or not.
    mark: String,
}

impl Life {
    fn new(engine: Engine) -> Life {
        let dir = tempfile::tempdir().unwrap();
        let mark = format!("MARK={}", dir.path().display());
        let dockerfile = format!(
            "FROM {{busybox}}\nENV {mark}\nRUN sleep 0.3; echo 1 > /1\nRUN sleep 0.3; echo 2 > /2\n\
             RUN sleep 0.3; echo 3 > /3\n"
        );
        let plugins = dir.path().join("plugins");
        let files = [("Dockerfile", &*dockerfile), (".dockerignore", "docker-compose.yml")];
        write_plugin(&plugins, "life", COMPOSE, &files);
        Life { engine, dir, mark }
    }

    fn serve(&self) -> Server {
        Server::start(&self.dir, &["--docker-host", &self.engine.url])
    }

    fn step(&self, args: &[&str]) -> Child {
        let mut command = moondock(self.dir.path(), args);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn done(&self, args: &[&str]) {
        let (code, _, err) = outcome(&run(self.dir.path(), args));
        assert_eq!(code, 0, "{args:?}: {err}");
    }

    async fn left(&self) -> Vec<String> {
        let left = self.engine.left(&self.dir.path().join("data")).await;
        let plain = left.iter().map(|name| match name.split_once(':') {
            Some((name, _)) => name.to_owned(),
            None => name.clone(),
        });
        plain.collect()
    }

    /// The images, with or without a name, that were made while this was built.
    async fn marked(&self) -> usize {
        let options = ListImagesOptionsBuilder::new().all(true).build();
        let mut count = 0;
        for image in self.engine.docker.list_images(Some(options)).await.unwrap() {
            // Somebody else's may be gone meanwhile.
            let Ok(found) = self.engine.docker.inspect_image(&image.id).await else { continue };
            let env = found.config.and_then(|config| config.env).unwrap_or_default();
            count += usize::from(env.contains(&self.mark));
        }
        count
    }

    async fn record(&self, server: &Server) -> Value {
        let answer =
            server.graphql("{ getPlugins { isInstalled isActivated status errorMessage } }").await;
        answer["data"]["getPlugins"][0].clone()
    }

    /// The record, once the plugin is neither started nor stopped any more.
    async fn settled(&self, server: &Server) -> Value {
        let start = Instant::now();
        loop {
            let record = self.record(server).await;
            if record["status"] != "LOADING" {
                return record;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{record}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether what is there is what the record says.
    async fn assert_in_order(&self, server: &Server, point: u32) -> Value {
        let record = self.settled(server).await;
        let mut left = self.left().await;
        // Without a volume yet, if it was never active.
        left.retain(|name| name != "volume life_kept");
        let expected: &[&str] = match (record["isInstalled"] == true, record["isActivated"] == true)
        {
            (_, true) => &[
                "container /life-db-1",
                "container /life-web-1",
                "image life-web",
                "network life_default",
            ],
            (true, false) => &["image life-web"],
            (false, false) => &[],
        };
        assert_eq!(left, expected, "point {point}: {record}");
        if record["isActivated"] == true {
            assert_eq!(record["status"], "ACTIVE", "point {point}: {record}");
            self.assert_serves(server).await;
        }
        record
    }

    async fn assert_serves(&self, server: &Server) {
        let got = server.graphql("{ life_get(name: \"web\") }").await;
        let url = got["data"]["life_get"]["url"].as_str().unwrap_or_else(|| panic!("{got}"));
        let fetched = server.graphql(&format!("{{ life_fetch(url: \"{url}/none\") }}")).await;
        assert!(fetched["data"]["life_fetch"].as_str().unwrap().contains("404"), "{fetched}");
    }

    async fn ends(self, server: Server) {
        self.done(&["plugin", "uninstall", "life"]);
        assert_eq!(self.left().await, Vec::<String>::new());
        assert_eq!(self.marked().await, 0, "images of builds are left over");
        server.terminate();
    }
}

/// Starts a step, kills the host at `part` of the time that the step takes, and starts it again.
async fn killed(life: &Life, server: Server, step: &[&str], part: f64, whole: Duration) -> Server {
    let mut child = life.step(step);
    tokio::time::sleep(whole.mul_f64(part)).await;
    server.signal(libc::SIGKILL);
    server.end();
    child.wait().unwrap();
    life.serve()
}

fn parts() -> impl Iterator<Item = (u32, f64)> {
    (1..=POINTS).map(|point| (point, f64::from(point) / f64::from(POINTS + 1)))
}

#[tokio::test]
async fn killed_while_it_builds() {
    let Some(engine) = engine() else { return };
    let life = Life::new(engine);
    let mut server = life.serve();
    let install: &[&str] = &["plugin", "install", "life", "--grant"];
    let start = Instant::now();
    life.done(install);
    let whole = start.elapsed();
    life.done(&["plugin", "uninstall", "life"]);
    assert_eq!(life.marked().await, 0);
    for (point, part) in parts() {
        server = killed(&life, server, install, part, whole).await;
        let record = life.assert_in_order(&server, point).await;
        if record["isInstalled"] != true {
            life.done(install);
        }
        life.done(&["plugin", "activate", "life"]);
        life.assert_in_order(&server, point).await;
        life.done(&["plugin", "uninstall", "life"]);
        assert_eq!(life.left().await, Vec::<String>::new(), "point {point}");
    }
    life.done(install);
    life.ends(server).await;
}

#[tokio::test]
async fn killed_while_it_starts() {
    let Some(engine) = engine() else { return };
    let life = Life::new(engine);
    let mut server = life.serve();
    life.done(&["plugin", "install", "life", "--grant"]);
    let activate: &[&str] = &["plugin", "activate", "life"];
    let start = Instant::now();
    life.done(activate);
    let whole = start.elapsed();
    for (point, part) in parts() {
        life.done(&["plugin", "deactivate", "life"]);
        server = killed(&life, server, activate, part, whole).await;
        life.assert_in_order(&server, point).await;
        life.done(activate);
        life.assert_in_order(&server, point).await;
    }
    // What runs as it should is taken over as it is.
    let web = life.engine.container(&life.dir.path().join("data"), "life", "web");
    let none = || None::<InspectContainerOptions>;
    let before = life.engine.docker.inspect_container(&web, none()).await.unwrap();
    server.signal(libc::SIGKILL);
    server.end();
    let server = life.serve();
    life.settled(&server).await;
    let after = life.engine.docker.inspect_container(&web, none()).await.unwrap();
    assert_eq!(before.id, after.id);
    assert_eq!(before.state.unwrap().started_at, after.state.unwrap().started_at);
    life.assert_serves(&server).await;
    life.ends(server).await;
}

#[tokio::test]
async fn killed_while_it_stops() {
    let Some(engine) = engine() else { return };
    let life = Life::new(engine);
    let mut server = life.serve();
    life.done(&["plugin", "install", "life", "--grant"]);
    let deactivate: &[&str] = &["plugin", "deactivate", "life"];
    let mut whole = Duration::ZERO;
    for (point, part) in [(0, 0.0)].into_iter().chain(parts()) {
        life.done(&["plugin", "activate", "life"]);
        if point == 0 {
            let start = Instant::now();
            life.done(deactivate);
            whole = start.elapsed();
            continue;
        }
        server = killed(&life, server, deactivate, part, whole).await;
        life.assert_in_order(&server, point).await;
    }
    let uninstall: &[&str] = &["plugin", "uninstall", "life"];
    server = killed(&life, server, uninstall, 0.5, whole).await;
    if life.assert_in_order(&server, 99).await["isInstalled"] != true {
        life.done(&["plugin", "install", "life", "--grant"]);
    }
    life.ends(server).await;
}

/// An image that is being built does not keep the host from ending.
#[tokio::test]
async fn stopping_does_not_wait_for_a_build_or_a_start() {
    let Some(engine) = engine() else { return };
    let life = Life::new(engine);
    let file = life.dir.path().join("plugins/life/Dockerfile");
    let dockerfile = std::fs::read_to_string(&file).unwrap();
    let slow = dockerfile.replace("sleep 0.3; echo 3", "sleep 60; echo 3");
    std::fs::write(&file, &slow).unwrap();
    let server = life.serve();
    let mut child = life.step(&["plugin", "install", "life", "--grant"]);
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    let start = Instant::now();
    let (code, log) = server.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert!(log.contains("because the host stops"), "{log}");
    child.wait().unwrap();
    let server = life.serve();
    life.assert_in_order(&server, 0).await;
    std::fs::write(&file, &dockerfile).unwrap();
    life.done(&["plugin", "install", "life", "--grant"]);

    // The same while it waits for a service.
    let compose = life.dir.path().join("plugins/life/docker-compose.yml");
    let text = std::fs::read_to_string(&compose).unwrap();
    std::fs::write(&compose, text.replace("test: \"true\"", "test: \"sleep 60\"")).unwrap();
    let mut child = life.step(&["plugin", "activate", "life"]);
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    let start = Instant::now();
    let (code, log) = server.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    child.wait().unwrap();
    std::fs::write(&compose, &text).unwrap();
    let server = life.serve();
    life.assert_in_order(&server, 1).await;
    life.ends(server).await;
}
