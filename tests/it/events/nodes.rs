//! Several hosts on one PostgreSQL.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::with_points;
use crate::binary::{Server, outcome, run};
use crate::databases::On;
use crate::support::write;

const JOBS: usize = 200;

const MAIN: &str = r#"
local M = {}
function M.register(builder)
    builder:mutationField("enqueue", { type = "Boolean!", auth = "public",
        args = { from = "Int!", to = "Int!", ms = "Int!" },
        resolve = function(_, args, ctx)
            for n = args.from, args.to do ctx.jobs:enqueue("work", { n = n, ms = args.ms }) end
            return true
        end })
    builder:queryField("done", { type = "JSON", auth = "public",
        resolve = function(_, _, ctx) return ctx.db:from("done"):orderBy("id"):all() end })
end
function M.work(payload, ctx)
    ctx.db:insert("done", { what = "begun", n = payload.n, node = ctx.config.node })
    local till = os.clock() + payload.ms / 1000 while os.clock() < till do end
    ctx.db:insert("done", { what = "ended", n = payload.n, attempt = ctx.delivery.attempt })
end
function M.tick(ctx) ctx.db:insert("done", { what = "tick" }) end
return M
"#;

const TABLES: &str = "local t = require(\"@std/table\")\nreturn { done = t.table(\"done\", { id = \
    t.bigserial():primaryKey(), what = t.text(), n = t.integer(), node = t.text(), attempt = \
    t.integer() }) }\n";

fn write_plugin(dir: &TempDir, schedule: &str) {
    let points = format!(
        r#""database": [{{ "type": "table", "name": "done", "file": "tables.lua" }}],
           "jobs": [{{ "name": "work", "handler": "work", "maxAttempts": 5 }}],
           "schedules": [{schedule}]"#
    );
    let folder = dir.path().join("plugins/nodes");
    let manifest = with_points("nodes", &points, r#", "runtime": { "timeoutMs": 60000 }"#);
    write(&folder.join("manifest.json"), &manifest);
    write(&folder.join("init.lua"), MAIN);
    write(&folder.join("tables.lua"), TABLES);
}

async fn done(server: &Server, what: &str) -> Vec<Value> {
    let answer = server.graphql("{ nodes_done }").await;
    assert!(answer.get("errors").is_none(), "{answer}");
    // Lua has one empty table.
    let all = answer["data"]["nodes_done"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|one| one["what"] == what).collect()
}

async fn until_done(server: &Server, what: &str, count: usize, patience: Duration) -> Vec<Value> {
    let start = Instant::now();
    loop {
        let all = done(server, what).await;
        if all.len() >= count {
            return all;
        }
        assert!(start.elapsed() < patience, "{} of {count} {what}", all.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Two hosts with folders of their own, and the plugin active on both.
async fn two(schedule: &str) -> (TempDir, TempDir, Server, Server) {
    let url = On::Postgres.url().await.unwrap();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_plugin(&one, schedule);
    write_plugin(&two, schedule);
    let args = ["--database-url", &url];
    let first = Server::start(&one, &args);
    for command in ["install", "activate"] {
        let (code, _, err) = outcome(&run(one.path(), &["plugin", command, "nodes"]));
        assert_eq!(code, 0, "{command}: {err}");
    }
    let second = Server::start(&two, &args);
    (one, two, first, second)
}

#[tokio::test]
async fn each_job_and_each_tick_runs_on_one_host() {
    let (_one, _two, first, second) = two(r#"{ "cron": "* * * * * *", "handler": "tick" }"#).await;
    let start = Instant::now();
    for (server, from) in [(&first, 1), (&second, JOBS / 2 + 1)] {
        let to = from + JOBS / 2 - 1;
        let query = format!("mutation {{ nodes_enqueue(from: {from}, to: {to}, ms: 5) }}");
        assert_eq!(server.graphql(&query).await["data"], json!({ "nodes_enqueue": true }));
    }
    until_done(&first, "ended", JOBS, Duration::from_secs(30)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ended = done(&second, "ended").await;
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for one in &ended {
        *counts.entry(one["n"].as_i64().unwrap()).or_default() += 1;
    }
    assert_eq!((ended.len(), counts.len()), (JOBS, JOBS), "{counts:?}");
    let ticks = done(&first, "tick").await.len() as u64;
    let seconds = start.elapsed().as_secs() + 3;
    assert!((1..=seconds).contains(&ticks), "{ticks} ticks in {seconds} s");
}

#[tokio::test]
async fn the_work_of_a_host_that_is_gone_moves_to_the_other() {
    let (_one, _two, first, second) = two("").await;
    // Neither may end before the kill.
    let query = "mutation { nodes_enqueue(from: 1, to: 1, ms: 20000) }";
    assert_eq!(first.graphql(query).await["data"], json!({ "nodes_enqueue": true }));
    until_done(&second, "begun", 1, Duration::from_secs(10)).await;
    let running = "{ deliveries(filter: { state: RUNNING }) { attempt } }";
    assert_eq!(second.graphql(running).await["data"], json!({ "deliveries": [{ "attempt": 1 }] }));
    // Longer than a lease: it is renewed as long as the host lives.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(second.graphql(running).await["data"], json!({ "deliveries": [{ "attempt": 1 }] }));
    // Whichever has it: the other takes over.
    let owner = owner_is_first(&first, &second).await;
    let (gone, stays) = if owner { (first, second) } else { (second, first) };
    gone.signal(libc::SIGKILL);
    let killed = Instant::now();
    until_done(&stays, "begun", 2, Duration::from_secs(15)).await;
    println!("taken over after {:?}", killed.elapsed());
    gone.end();
}

/// Whether the first host runs the job: its process is the one that computes.
async fn owner_is_first(first: &Server, second: &Server) -> bool {
    let ticks = |server: &Server| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = (ticks(first), ticks(second));
    tokio::time::sleep(Duration::from_secs(1)).await;
    ticks(first) - before.0 > ticks(second) - before.1
}
