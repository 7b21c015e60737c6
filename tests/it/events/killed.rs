//! What was committed is delivered, however often the process is killed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::with_points;
use crate::binary::{Server, outcome, run};
use crate::databases::On;
use crate::support::{registering, write};

const CALLERS: usize = 20;
const ORDERS: usize = 2_000;
const KILLS: usize = 20;
/// For all of it. A server that hangs must not keep the tests from ending.
const DEADLINE: Duration = Duration::from_secs(180);

fn write_plugins(dir: &TempDir) {
    let table = |name: &str, columns: &str| {
        format!(
            "local t = require(\"@std/table\")\nreturn {{ {name} = t.table(\"{name}\", {{ id = \
             t.bigserial():primaryKey(), {columns} }}) }}\n"
        )
    };
    let point = |name: &str| {
        format!(r#""database": [{{ "type": "table", "name": "{name}", "file": "tables.lua" }}]"#)
    };
    let patient = r#", "runtime": { "timeoutMs": 20000 }"#;
    let orders = r#"
builder:mutationField("order", { type = "Boolean!", auth = "public", args = { key = "String!" },
    resolve = function(_, args, ctx)
        return ctx.db:transaction(function()
            ctx.db:insert("orders", { key = args.key })
            ctx:emit("shop:ordered", { key = args.key })
            if string.match(args.key, "never$") then ctx:fail("never", "taken back") end
            return true
        end)
    end })
builder:queryField("orders", { type = "[String!]!", auth = "public", args = { after = "Int!" },
    resolve = function(_, args, ctx)
        local keys = {}
        local rows = ctx.db:from("orders"):orderBy("id"):limit(1000):offset(args.after):all()
        for _, row in rows do table.insert(keys, row.key) end
        return keys
    end })
"#;
    let shop = dir.path().join("plugins/shop");
    write(&shop.join("manifest.json"), &with_points("shop", &point("orders"), patient));
    write(&shop.join("init.lua"), &registering(orders));
    write(&shop.join("tables.lua"), &table("orders", "key = t.text():notNull()"));
    let main = r#"
local M = {}
function M.register(builder)
    builder:queryField("entries", { type = "JSON", auth = "public", args = { after = "Int!" },
        resolve = function(_, args, ctx)
            return ctx.db:from("entries"):orderBy("id"):limit(1000):offset(args.after):all()
        end })
end
function M.ordered(event, ctx)
    ctx.db:insert("entries", { key = event.key, delivery = ctx.delivery.id })
end
return M
"#;
    let hooks = r#", "hooks": [{ "type": "post", "event": "shop:ordered", "handler": "ordered" }]"#;
    let points = format!("{}{hooks}", point("entries"));
    let ledger = dir.path().join("plugins/ledger");
    write(&ledger.join("manifest.json"), &with_points("ledger", &points, patient));
    write(&ledger.join("init.lua"), main);
    let columns = "key = t.text():notNull(), delivery = t.text():notNull()";
    write(&ledger.join("tables.lua"), &table("entries", columns));
}

/// Orders one after another; gives the keys of which it was told that they are committed. `urls` has
/// the address of the server, which is another one after every kill.
async fn call(caller: usize, mut urls: watch::Receiver<String>) -> Vec<String> {
    let client = moondock::http::new();
    let mut acknowledged = Vec::new();
    let mut n = 0;
    while acknowledged.len() < ORDERS / CALLERS {
        n += 1;
        // So that it takes as long as the killing does.
        tokio::time::sleep(Duration::from_millis(150)).await;
        for key in [format!("{caller}-{n}"), format!("{caller}-{n}-never")] {
            let url = urls.borrow_and_update().clone();
            let query = "mutation($key: String!) { shop_order(key: $key) }";
            let body = json!({ "query": query, "variables": { "key": key } });
            let answer = async {
                let sent = client.post(format!("{url}/graphql")).json(&body).send().await.ok()?;
                serde_json::from_str::<Value>(&sent.text().await.ok()?).ok()
            };
            match answer.await {
                Some(answer) if key.ends_with("never") => {
                    assert_eq!(answer["errors"][0]["extensions"]["code"], "never", "{answer}");
                }
                Some(answer) => {
                    assert_eq!(answer["data"]["shop_order"], true, "{answer}");
                    acknowledged.push(key);
                }
                None => {
                    let restarted = tokio::time::timeout(Duration::from_secs(30), urls.changed());
                    restarted.await.expect("a server that was not killed did not answer").unwrap();
                }
            }
        }
    }
    acknowledged
}

async fn all(server: &Server, field: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let answer = server.graphql(&format!("{{ {field}(after: {}) }}", all.len())).await;
        // Lua has one empty table.
        if answer["data"][field] == json!([]) || answer["data"][field] == json!({}) {
            return all;
        }
        all.extend(answer["data"][field].as_array().unwrap_or_else(|| panic!("{answer}")).clone());
    }
}

async fn nothing_is_owed(server: &Server) {
    loop {
        let answer = server.graphql("{ deliveries(limit: 1) { state lastError } }").await;
        if answer["data"]["deliveries"] == json!([]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_committed_event_is_delivered(#[values(On::Sqlite, On::Postgres)] on: On) {
    let dir = tempfile::tempdir().unwrap();
    write_plugins(&dir);
    let url = on.url().await;
    let args: Vec<&str> = url.iter().flat_map(|url| ["--database-url", url]).collect();
    let mut server = Server::start(&dir, &args);
    for (command, plugin) in
        [("install", "shop"), ("install", "ledger"), ("activate", "shop"), ("activate", "ledger")]
    {
        let (code, _, err) = outcome(&run(dir.path(), &["plugin", command, plugin]));
        assert_eq!(code, 0, "{command}: {err}");
    }
    let (at, urls) = watch::channel(server.url.clone());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(call(caller, urls.clone()));
    }
    let killing = async {
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_secs(1)).await;
            server.signal(libc::SIGKILL);
            assert_eq!(server.end().0, None);
            server = Server::start(&dir, &args);
            at.send(server.url.clone()).unwrap();
        }
        server
    };
    let calling = async {
        let mut acknowledged = Vec::new();
        while let Some(keys) = callers.join_next().await {
            acknowledged.extend(keys.unwrap());
        }
        acknowledged
    };
    let both = async {
        let (server, acknowledged) = tokio::join!(killing, calling);
        nothing_is_owed(&server).await;
        (server, acknowledged)
    };
    let (server, acknowledged) =
        tokio::time::timeout(DEADLINE, both).await.expect("it takes too long");

    let orders: HashSet<String> = all(&server, "shop_orders")
        .await
        .into_iter()
        .map(|key| key.as_str().unwrap().to_owned())
        .collect();
    let mut delivered: HashMap<String, usize> = HashMap::new();
    let mut ids = HashSet::new();
    for entry in all(&server, "ledger_entries").await {
        *delivered.entry(entry["key"].as_str().unwrap().to_owned()).or_default() += 1;
        ids.insert(entry["delivery"].as_str().unwrap().to_owned());
    }
    assert!(acknowledged.len() >= ORDERS);
    assert!(acknowledged.iter().all(|key| orders.contains(key)), "an acknowledged order is gone");
    let lost: Vec<_> = orders.iter().filter(|key| !delivered.contains_key(*key)).collect();
    assert!(
        lost.is_empty(),
        "{} events were not delivered: {:?}",
        lost.len(),
        &lost[..lost.len().min(5)]
    );
    let forged: Vec<_> = delivered.keys().filter(|key| !orders.contains(*key)).collect();
    assert!(forged.is_empty(), "events of what was rolled back: {forged:?}");
    // Made again only with the same id.
    assert_eq!(ids.len(), orders.len());
    let twice = delivered.values().filter(|count| **count > 1).count();
    println!("{} orders, {} made more than once", orders.len(), twice);
}
