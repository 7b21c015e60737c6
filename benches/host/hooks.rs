//! What hooks cost: the latency of a GraphQL field in Lua that does something by itself, through an
//! extension point without hooks, with one pre hook, and with an event that nobody hears. First as
//! clients see it, over HTTP on loopback, then within the process, where nothing hides what it costs.

use std::time::{Duration, Instant};

use moondock::extension::graphql::Request;

use crate::support::{Served, report, serve, write_plugin, write_plugin_with};

const ROUNDS: usize = 4_000;
/// The most that an extension point without hooks shall add.
const GOAL_SHARE: f64 = 1.05;
/// The most that one pre hook shall add.
const GOAL_HOOK: Duration = Duration::from_micros(50);

const SHOP: &str = r#"
local function work(data, ctx)
    return ctx.db:insert("orders", { item = data.item }).id
end
builder:mutationField("absent", { type = "Int!", auth = "public", resolve = function(_, _, ctx)
    return work({ item = "tea" }, ctx)
end })
builder:mutationField("none", { type = "Int!", auth = "public", resolve = function(_, _, ctx)
    return ctx.hooks:run("shop:none", { item = "tea" }, function(data) return work(data, ctx) end)
end })
builder:mutationField("one", { type = "Int!", auth = "public", resolve = function(_, _, ctx)
    return ctx.hooks:run("shop:one", { item = "tea" }, function(data) return work(data, ctx) end)
end })
builder:mutationField("emit", { type = "Int!", auth = "public", resolve = function(_, _, ctx)
    local id = work({ item = "tea" }, ctx)
    ctx:emit("shop:quiet", { id = id })
    return id
end })
"#;

const TABLES: &str = r#"
local t = require("@std/table")
return { orders = t.table("orders", { id = t.serial():primaryKey(), item = t.text():notNull() }) }
"#;

const FIELDS: [&str; 4] = ["absent", "none", "one", "emit"];

async fn open() -> Served {
    let served = serve(Vec::new(), |_| ()).await;
    let plugins = served.dir.path().join("plugins");
    let points = r#", "database": [{ "type": "table", "name": "orders", "file": "tables.lua" }]"#;
    write_plugin_with(&plugins, "shop", SHOP, points);
    std::fs::write(plugins.join("shop").join("tables.lua"), TABLES).expect("the tables");
    let points = r#", "hooks": [{ "type": "pre", "event": "shop:one", "handler": "before" }]"#;
    write_plugin_with(&plugins, "guard", "", points);
    let code = "local M = {}\nfunction M.register() end\nfunction M.before(data) if data.item == 'no' \
                then error('no') end data.item ..= '!' end\nreturn M\n";
    std::fs::write(plugins.join("guard").join("init.lua"), code).expect("a script");
    write_plugin(&plugins, "idle", "");
    for plugin in ["shop", "guard", "idle"] {
        served.host.manager().install(plugin, false).await.expect("it installs");
        served.host.manager().activate(plugin).await.expect("it activates");
    }
    served
}

async fn ask_over_http(served: &Served, client: &reqwest::Client, request: &Request) -> Duration {
    let body = serde_json::json!({ "query": request.query });
    let start = Instant::now();
    let response = client.post(format!("{}/graphql", served.url)).json(&body).send().await;
    let answer: serde_json::Value =
        response.expect("an answer").json().await.expect("a GraphQL response");
    let took = start.elapsed();
    assert!(answer.get("errors").is_none(), "{answer}");
    took
}

async fn ask(served: &Served, request: &Request) -> Duration {
    let start = Instant::now();
    let response = served.host.execute(request, None).await.expect("a schema");
    let took = start.elapsed();
    let answer = serde_json::to_value(&response).expect("JSON");
    assert!(answer.get("errors").is_none(), "{answer}");
    took
}

pub fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let served = open().await;
        let requests = FIELDS.map(|field| Request {
            query: format!("mutation {{ shop_{field} }}"),
            ..Request::default()
        });
        let client = moondock::http::new();
        for over_http in [true, false] {
            println!("{}", if over_http { "over HTTP" } else { "within the process" });
            measure(&served, &client, &requests, over_http).await;
        }
        served.host.stop().await;
    });
}

async fn measure(
    served: &Served,
    client: &reqwest::Client,
    requests: &[Request; 4],
    over_http: bool,
) {
    let mut series: [Vec<Duration>; 4] = Default::default();
    // In turn, so that what else the machine does meets all of them, and with another one first in
    // each round, so that none always follows the same other.
    for round in 0..ROUNDS + 200 {
        for step in 0..requests.len() {
            let i = if round % 2 == 0 { step } else { requests.len() - 1 - step };
            let i = (i + round / 2) % requests.len();
            let request = &requests[i];
            let took = match over_http {
                true => ask_over_http(served, client, request).await,
                false => ask(served, request).await,
            };
            if round >= 200 {
                series[i].push(took);
            }
        }
    }
    let middle = |series: &[Duration]| {
        let mut sorted = series.to_vec();
        sorted.sort();
        sorted[sorted.len() / 2]
    };
    let [absent, none, one, emit] = [0, 1, 2, 3].map(|i| middle(&series[i]));
    for (name, series) in [
        "insert alone",
        "ctx.hooks:run without hooks",
        "with one pre hook",
        "with an emit that nobody hears",
    ]
    .iter()
    .zip(series)
    {
        report(name, series);
    }
    let share = none.as_secs_f64() / absent.as_secs_f64();
    let verdict = |reached: bool| if reached { "reached" } else { "missed" };
    println!(
        "without hooks / alone: {share:.3} (goal: {GOAL_SHARE}, {})",
        verdict(share <= GOAL_SHARE)
    );
    let hook = one.saturating_sub(none);
    println!("one pre hook adds {hook:.1?} (goal: {GOAL_HOOK:?}, {})", verdict(hook < GOAL_HOOK));
    println!("an emit that nobody hears adds {:.1?}", emit.saturating_sub(absent));
}
