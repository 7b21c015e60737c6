//! Every shape of the corpus is over soon after its deadline, whatever it does.
//!
//! The bound here is generous, for unoptimized builds on busy machines; `benches/attacks.rs`
//! measures the release binary, one shape at a time.

use std::time::{Duration, Instant};

use serde_json::json;

use super::corpus::{GROUPS, Shape, TIMEOUT_MS, shapes};
use crate::support::TestHost;

/// How much later than its deadline a call may be answered.
const OVERRUN: Duration = Duration::from_millis(250);

async fn attack(host: &TestHost, shape: &Shape) -> Option<String> {
    host.plugin(&shape.id, &[("manifest.json", &shape.manifest()), ("init.lua", &shape.main())])
        .await;
    let ready = host.graphql(None, &shape.probe(), json!({})).await;
    assert!(ready["errors"].is_null(), "{}: {ready}", shape.name);
    let start = Instant::now();
    let query = shape.query();
    let answering = host.graphql(None, &query, json!({}));
    // A thread that never comes back would hang the test with it.
    let Ok(answer) = tokio::time::timeout(Duration::from_secs(5), answering).await else {
        println!("{}: no answer", shape.name);
        std::process::exit(1);
    };
    let taken = start.elapsed();
    let overrun = taken.saturating_sub(Duration::from_millis(TIMEOUT_MS));
    let code = &answer["errors"][0]["extensions"]["code"];
    println!("{:>5} ms over  {:<12} {:<60} {code}", overrun.as_millis(), shape.group, shape.name);
    if overrun > OVERRUN {
        return Some(format!("{}: answered after {taken:?}", shape.name));
    }
    if code.is_null() && !shape.may_succeed {
        let mut answer = answer.to_string();
        answer.truncate(200);
        return Some(format!("{}: was not stopped: {answer}", shape.name));
    }
    // What one call did to its VM is no concern of the next.
    let id = &shape.id;
    host.host.manager().deactivate(id, false).await.unwrap();
    None
}

#[test]
fn the_corpus_is_complete() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of_lua = files.filter(|path| path.extension().is_some_and(|extension| extension == "lua"));
    assert_eq!(of_lua.count(), GROUPS.len());
    let mut names: Vec<String> =
        GROUPS.into_iter().flat_map(shapes).map(|shape| shape.name).collect();
    assert!(names.len() > 180, "only {} shapes", names.len());
    names.sort();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a name is there twice");
}

async fn attacks(group: &str) {
    let host = TestHost::start().await;
    let mut failures = Vec::new();
    for shape in shapes(group) {
        failures.extend(attack(&host, &shape).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loops_are_stopped() {
    attacks("loops").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metamethods_are_stopped() {
    attacks("metamethods").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn string_functions_are_stopped() {
    attacks("strings").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_functions_are_stopped() {
    attacks("tables").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded() {
    attacks("memory").await;
}
