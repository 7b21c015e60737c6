//! A host in this process and the figures of a series.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use moondock::extension::graphql::Declarations;
use moondock::host::{Host, HostBuilder};
use moondock::settings::{Mode, Settings};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A host that serves until dropped.
pub struct Served {
    pub host: Host,
    pub url: String,
    pub dir: TempDir,
    _stop: DropGuard,
}

/// Starts a host on temporary folders.
pub async fn serve(declarations: Vec<Declarations>, change: impl FnOnce(&mut Settings)) -> Served {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut settings = Settings::new(Mode::Serve);
    settings.plugins = dir.path().join("plugins");
    settings.data_dir = dir.path().join("data");
    settings.listen = "127.0.0.1:0".into();
    change(&mut settings);
    let mut builder = HostBuilder::new(settings);
    for declared in declarations {
        builder = builder.declarations(declared);
    }
    let host = builder.start().await.expect("the host starts");
    let (listener, address) = host.bind().await.expect("a free port");
    let stop = CancellationToken::new();
    let serving = host.serve(listener, stop.clone());
    tokio::spawn(async move { serving.await.expect("the server serves") });
    Served { host, url: format!("http://{address}"), dir, _stop: stop.drop_guard() }
}

/// Writes a plugin whose `init.lua` registers fields with this body.
pub fn write_plugin(plugins: &Path, id: &str, body: &str) {
    write_plugin_with(plugins, id, body, "");
}

/// As [`write_plugin`], with further extension points (JSON text such as `, "database": […]`).
pub fn write_plugin_with(plugins: &Path, id: &str, body: &str, points: &str) {
    let folder = plugins.join(id);
    std::fs::create_dir_all(&folder).expect("a folder");
    let manifest = format!(
        r#"{{ "name": "{id}", "pluginId": "{id}", "version": "1.0.0", "description": "A benchmark",
            "author": "Benches", "main": "init.lua", "extensionPoints": {{ "graphql": [
              {{ "type": "query", "name": "fields", "builderDefinition": "register" }} ]{points} }} }}"#
    );
    std::fs::write(folder.join("manifest.json"), manifest).expect("a manifest");
    let code = format!("local M = {{}}\nfunction M.register(builder)\n{body}\nend\nreturn M\n");
    std::fs::write(folder.join("init.lua"), code).expect("a script");
}

/// Runs `wrk` with these arguments and this script against a URL, with 64 connections: what it says.
/// Panics when an answer was not 2xx.
pub fn wrk(arguments: &[&str], script: &str, url: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(script.as_bytes()).expect("it is written");
    let mut command = Command::new("wrk");
    command.arg("-c64").args(arguments).arg("-s").arg(file.path()).arg(url);
    let output = command.output().expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && !text.contains("Non-2xx"), "{text}");
    text
}

/// The requests per second in what `wrk` says.
pub fn requests_per_second(text: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    line.and_then(|figure| figure.trim().parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints the median, the 99th percentile and the extremes.
pub fn report(what: &str, mut series: Vec<Duration>) {
    series.sort();
    let at = |share: f64| series[((series.len() - 1) as f64 * share).round() as usize];
    println!(
        "{what}: median {:.2?}  p99 {:.2?}  min {:.2?}  max {:.2?}  (n = {})",
        at(0.5),
        at(0.99),
        at(0.0),
        at(1.0),
        series.len()
    );
}

/// A server beside this one, until dropped.
pub struct Peer {
    pub url: String,
    process: Child,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Asked, because nginx killed leaves its workers behind. It may have ended by itself.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Starts a program that serves `path` on `port`; `None` if it is not installed.
pub fn peer(port: u16, path: &str, command: &mut Command) -> Option<Peer> {
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let peer = Peer { url: format!("http://127.0.0.1:{port}{path}"), process };
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(peer)
}
