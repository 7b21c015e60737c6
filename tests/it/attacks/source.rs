//! Sources that are hard to compile: refused with a clear error or bounded, and never at the cost
//! of other requests.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{REGISTER, TestHost, getting, manifest};

const MB: usize = 1024 * 1024;

/// Installs a plugin with this `init.lua` while another answers; what the manager says, and how long
/// the slowest answer took.
async fn install(host: &TestHost, id: &str, main: &str) -> (Result<(), String>, Duration) {
    host.write_plugin(id, &[("manifest.json", &manifest(id, REGISTER)), ("init.lua", main)]);
    let manager = host.host.manager();
    let installing = async { manager.install(id, true).await.map(drop).map_err(|e| e.to_string()) };
    tokio::pin!(installing);
    let mut slowest = Duration::ZERO;
    loop {
        let start = Instant::now();
        tokio::select! {
            result = &mut installing => return (result, slowest),
            answer = host.graphql(None, "{ calm_get }", json!({})) => {
                assert_eq!(answer["data"]["calm_get"], 1);
                slowest = slowest.max(start.elapsed());
            }
        }
    }
}

async fn host() -> TestHost {
    let host = TestHost::start().await;
    let files =
        [("manifest.json", &*manifest("calm", REGISTER)), ("init.lua", &getting("return 1"))];
    host.plugin("calm", &files).await;
    host
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_that_are_too_much_are_refused_with_the_reason() {
    let host = host().await;
    let nested =
        |open: &str, close: &str, n| format!("return {}1{}", open.repeat(n), close.repeat(n));
    for (id, main, reason) in [
        ("large", "a = 1;".repeat(5 * MB / 6), "at most 1048576 are allowed"),
        ("parens", nested("(", ")", 100_000), "init.lua:1"),
        ("braces", nested("{", "}", 100_000), "init.lua:1"),
        ("functions", nested("(function() return ", " end)()", 10_000), "init.lua:1"),
        ("negations", nested("- ", "", 400_000), "init.lua:1"),
        ("blocks", "do ".repeat(100_000) + &" end".repeat(100_000), "init.lua:1"),
        ("sum", "return 1".to_owned() + &" + x".repeat(200_000), "init.lua:1"),
        ("texts", "return ''".to_owned() + &" .. x".repeat(150_000), "init.lua:1"),
        ("chain", "return x".to_owned() + &".x".repeat(400_000), "init.lua:1"),
        ("calls", "return x".to_owned() + &"()".repeat(400_000), "init.lua:1"),
        (
            "branches",
            "if x then ".to_owned() + &"elseif x then ".repeat(60_000) + "end",
            "init.lua:1",
        ),
        (
            "types",
            format!("local x: {}number{} = 1", "{".repeat(50_000), "}".repeat(50_000)),
            "init.lua:1",
        ),
        ("zero", "\0".into(), "must return a table"),
        ("unfinished", "return [==[".to_owned() + &"x".repeat(900_000), "init.lua:1"),
    ] {
        let start = Instant::now();
        let (result, slowest) = install(&host, id, &main).await;
        let taken = start.elapsed();
        println!("{id:<12} {taken:?}, slowest neighbor {slowest:?}");
        let error = result.expect_err(id);
        assert!(error.contains(reason), "{id}: {error}");
        assert!(error.len() < 10_000, "{id}: the error has {} bytes", error.len());
        assert!(taken < Duration::from_secs(5), "{id}: {taken:?}");
        assert!(slowest < Duration::from_millis(250), "{id}: a neighbor waited {slowest:?}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_sources_stall_nobody() {
    let host = host().await;
    let module = "\nreturn { register = function() end }";
    for (id, main) in [
        ("statements", "a = 1;".repeat(900_000 / 6) + module),
        ("numbers", format!("local t = {{{}}}", "1,".repeat(450_000)) + module),
        ("entries", format!("local t = {{{}}}", "a=1,".repeat(220_000)) + module),
        ("closures", "f(function() end)".repeat(50_000) + module),
        ("comment", "--".to_owned() + &"x".repeat(900_000) + module),
    ] {
        let start = Instant::now();
        let (result, slowest) = install(&host, id, &main).await;
        println!("{id:<12} {:?}, slowest neighbor {slowest:?}: {result:?}", start.elapsed());
        assert!(slowest < Duration::from_millis(250), "{id}: a neighbor waited {slowest:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{id}");
    }
    host.stop().await;
}

/// What runs at load has a time limit as well, and its end is the end of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_never_ends_is_refused() {
    let host = host().await;
    let (result, slowest) = install(&host, "endless", "while true do end").await;
    let error = result.unwrap_err();
    assert!(error.contains("the time limit was exceeded"), "{error}");
    assert!(slowest < Duration::from_millis(250), "a neighbor waited {slowest:?}");
    let bomb = "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) .. #t end";
    let error = install(&host, "bomb", bomb).await.0.unwrap_err();
    assert!(error.contains("the memory limit was exceeded"), "{error}");
    host.stop().await;
}
