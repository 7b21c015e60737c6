//! What hooks cost: the latency of a GraphQL field in Lua that does something by itself, through an
//! extension point without hooks, with one pre hook, and with an event that nobody hears; and that of the
//! same field as an operation of the embedder's own, with `Host::run_hooks` around it. Within the process,
//! where no network hides what it costs.

use std::time::{Duration, Instant};

use moondock::extension::graphql::Request;
use moondock::value::{Map, Value};

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

/// What is measured: the name, the field, and the event of `Host::run_hooks` around it, if there is one.
const WAYS: [(&str, &str, Option<&str>); 6] = [
    ("insert alone", "absent", None),
    ("Host::run_hooks without hooks", "absent", Some("bench:none")),
    ("ctx.hooks:run without hooks", "none", None),
    ("ctx.hooks:run with one pre hook", "one", None),
    ("Host::run_hooks with one pre hook", "absent", Some("shop:one")),
    ("insert and an emit that nobody hears", "emit", None),
];

async fn ask(served: &Served, request: &Request, event: Option<&str>) -> Duration {
    let start = Instant::now();
    let response = match event {
        None => served.host.execute(request, None).await,
        Some(event) => {
            let data = Map::from_iter([("item".to_owned(), Value::from("tea"))]);
            let body = async |_| Ok(served.host.execute(request, None).await);
            served.host.run_hooks(event, Value::Map(data), body).await.expect("no veto")
        }
    };
    let took = start.elapsed();
    let answer = serde_json::to_value(response.expect("a schema")).expect("JSON");
    assert!(answer.get("errors").is_none(), "{answer}");
    took
}

pub fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let served = open().await;
        let requests = WAYS.map(|(_, field, _)| Request {
            query: format!("mutation {{ shop_{field} }}"),
            ..Request::default()
        });
        let mut series: [Vec<Duration>; WAYS.len()] = Default::default();
        // In turn, so that what else the machine does meets all of them, and with another one first in
        // each round, so that none always follows the same other.
        for round in 0..ROUNDS + 200 {
            for step in 0..WAYS.len() {
                let i = if round % 2 == 0 { step } else { WAYS.len() - 1 - step };
                let i = (i + round / 2) % WAYS.len();
                let took = ask(&served, &requests[i], WAYS[i].2).await;
                if round >= 200 {
                    series[i].push(took);
                }
            }
        }
        let middle = |series: &Vec<Duration>| {
            let mut sorted = series.clone();
            sorted.sort();
            sorted[sorted.len() / 2]
        };
        let medians = series.each_ref().map(middle);
        for ((name, ..), series) in WAYS.iter().zip(series) {
            report(name, series);
        }
        let [alone, host, lua, lua_hook, host_hook, emit] = medians;
        let verdict = |reached: bool| if reached { "reached" } else { "missed" };
        for (name, none, one) in
            [("Host::run_hooks", host, host_hook), ("ctx.hooks:run", lua, lua_hook)]
        {
            let share = none.as_secs_f64() / alone.as_secs_f64();
            let reached = verdict(share <= GOAL_SHARE);
            println!("{name} without hooks / alone: {share:.3} (goal: {GOAL_SHARE}, {reached})");
            let hook = one.saturating_sub(none);
            let reached = verdict(hook < GOAL_HOOK);
            println!("{name}: one pre hook adds {hook:.1?} (goal: {GOAL_HOOK:?}, {reached})");
        }
        println!("an emit that nobody hears adds {:.1?}", emit.saturating_sub(alone));
        served.host.stop().await;
    });
}
