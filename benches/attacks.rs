//! Runs every shape of `tests/attacks` against a server binary, one at a time, and reports how much
//! later than its deadline each was answered:
//!
//!     cargo bench --bench attacks -- [PART OF A NAME]
//!
//! Exits with 1 if any took more than the deadline and 30 ms, in the best of three runs: a machine
//! can delay an answer, but not hasten it.

// A measurement that cannot be made says so by panicking.
#![allow(clippy::unwrap_used)]

#[path = "../tests/it/attacks/corpus.rs"]
mod corpus;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use corpus::{GROUPS, Shape, TIMEOUT_MS, shapes};

/// How much later than its deadline a call may be answered.
const ALLOWED: Duration = Duration::from_millis(30);
const RUNS: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let part = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let binary = env!("CARGO_BIN_EXE_moondock");
    let mut shapes: Vec<Shape> = GROUPS.into_iter().flat_map(shapes).collect();
    shapes.retain(|shape| shape.name.contains(&part));

    let dir = tempfile::tempdir().unwrap();
    for shape in &shapes {
        let folder = dir.path().join("plugins").join(&shape.id);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("manifest.json"), shape.manifest()).unwrap();
        std::fs::write(folder.join("init.lua"), shape.main()).unwrap();
    }
    let mut server = Command::new(binary)
        .args(["dev", "--listen", "127.0.0.1:0", "--log-level", "off"])
        .args([Path::new("--plugins"), &dir.path().join("plugins")])
        .args([Path::new("--data-dir"), &dir.path().join("data")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {binary}: {error}"));
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| {
        let line = line.ok()?;
        let at = line.find("http://")?;
        Some(line[at..].split(['/', ' ']).take(3).collect::<Vec<_>>().join("/"))
    });
    let url = format!("{}/graphql", address.expect("the server prints its address"));
    // What else it prints must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));

    let client = moondock::http::new();
    let mut best = vec![Duration::MAX; shapes.len()];
    let mut failures = Vec::new();
    for _ in 0..RUNS {
        for (shape, best) in shapes.iter().zip(&mut best) {
            let (overrun, answer) = run(&client, &url, shape).await;
            *best = overrun.min(*best);
            if answer["errors"].is_null() && !shape.may_succeed {
                failures.push(format!("{}: was not stopped", shape.name));
            }
        }
    }
    server.kill().unwrap();
    server.wait().unwrap();

    let mut results: Vec<_> = best.into_iter().zip(&shapes).collect();
    results.sort_by_key(|(overrun, _)| std::cmp::Reverse(*overrun));
    for (overrun, shape) in results.iter().take(25) {
        println!("{:>8.1} ms  {}: {}", overrun.as_secs_f64() * 1e3, shape.group, shape.name);
    }
    let late = results.iter().filter(|(overrun, _)| *overrun > ALLOWED);
    failures.extend(late.map(|(overrun, shape)| format!("{}: {overrun:?} late", shape.name)));
    println!("{} shapes, slowest {:?} after the deadline", results.len(), results[0].0);
    failures.dedup();
    failures.iter().for_each(|failure| println!("FAILED {failure}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Sends one request; how long after the deadline it was answered, and with what.
async fn run(client: &reqwest::Client, url: &str, shape: &Shape) -> (Duration, Value) {
    // Setup is done again after a discarded VM, which is no part of the call: a first request
    // waits for it.
    for _ in 0..100 {
        let ready = client.post(url).json(&json!({ "query": shape.probe() })).send();
        let answer: Value = ready.await.unwrap().json().await.unwrap();
        if answer["errors"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let start = Instant::now();
    let answer = client.post(url).json(&json!({ "query": shape.query() })).send();
    let answer = answer.await.unwrap().json().await.unwrap();
    (start.elapsed().saturating_sub(Duration::from_millis(TIMEOUT_MS)), answer)
}
