//! Requests per second that select a row by its key or insert one: a plugin's `ctx.db`, the same
//! GraphQL field in Rust, and an HTTP handler in Rust, of which the latter two run the same statement
//! through sqlx. Needs `wrk`; on PostgreSQL if `MOONDOCK_TEST_POSTGRES` names a server.

mod direct;

use std::time::Duration;

use moondock::settings::Secret;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use self::direct::Direct;
use crate::support::{Served, median, requests_per_second, serve, write_plugin_with, wrk};

const ROUNDS: usize = 5;
const SECONDS: usize = 4;
/// The rows that there are before anything is inserted.
const ROWS: usize = 10_000;

/// The least of what sqlx does from a Rust handler that `ctx.db` shall reach.
const GOAL: f64 = 0.7;
/// The least rows per second that `ctx.db` shall insert on SQLite.
const GOAL_SQLITE_INSERTS: f64 = 15_000.0;

const LUA: &str = r#"
builder:objectType("LuaItem", { fields = { id = "Int!", title = "String!", n = "Int!" } })
builder:queryField("item", { type = "LuaItem", auth = "public", args = { id = "Int!" },
    resolve = function(_, args, ctx) return ctx.db:from("items"):where({ id = args.id }):first() end })
builder:mutationField("add", { type = "Int!", auth = "public", args = { title = "String!", n = "Int!" },
    resolve = function(_, args, ctx) return ctx.db:insert("items", { title = args.title, n = args.n }).id end })
"#;

const TABLES: &str = r#"
local t = require("@std/table")
return {
    items = t.table("items", {
        id = t.bigserial():primaryKey(), title = t.text():notNull(), n = t.bigint():notNull(),
    }),
}
"#;

/// The plugin has a VM for each of the two threads that the figures are taken with, as one that is asked
/// so much would have; with one VM the calls wait for each other.
const POINTS: &str = r#", "database": [{ "type": "table", "name": "items", "file": "tables.lua" }] },
    "runtime": { "instances": 2"#;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Select,
    Insert,
}

/// Who answers.
#[derive(Clone, Copy)]
enum Contender {
    Lua,
    Field,
    Handler,
}

const CONTENDERS: [Contender; 3] = [Contender::Lua, Contender::Field, Contender::Handler];

/// A host and a server of the handlers, on one database.
struct Arena {
    served: Served,
    direct: Direct,
    handlers: String,
}

impl Arena {
    async fn open(url: &str) -> Arena {
        let direct = Direct::new(url);
        let database_url = Some(Secret::new(url));
        let served =
            serve(vec![direct.declarations()], |s| s.database_url = database_url.clone()).await;
        let plugins = served.dir.path().join("plugins");
        write_plugin_with(&plugins, "shop", LUA, POINTS);
        std::fs::write(plugins.join("shop").join("tables.lua"), TABLES).expect("the tables");
        served.host.manager().install("shop", false).await.expect("it installs");
        served.host.manager().activate("shop").await.expect("it activates");
        direct.fill(ROWS).await;
        let handlers = direct.serve().await;
        Arena { served, direct, handlers }
    }

    /// Asks once, and says whether the answer is right.
    async fn check(&self, contender: Contender, work: Work) {
        let client = moondock::http::new();
        let (request, expected) = match (contender, work) {
            (Contender::Handler, Work::Select) => (
                client.get(format!("{}/items/77", self.handlers)),
                json!({ "id": 77, "title": "item 77", "n": 77 }),
            ),
            (Contender::Handler, Work::Insert) => (
                client
                    .post(format!("{}/items", self.handlers))
                    .json(&json!({ "title": "new", "n": 7 })),
                json!(self.next_id().await),
            ),
            (_, Work::Select) => (
                client.post(format!("{}/graphql", self.served.url)).json(
                    &json!({ "query": document(contender, work), "variables": { "id": 77 } }),
                ),
                json!({ "data": { "it": { "id": 77, "title": "item 77", "n": 77 } } }),
            ),
            (_, Work::Insert) => (
                client.post(format!("{}/graphql", self.served.url)).json(&json!({
                    "query": document(contender, work), "variables": { "title": "new", "n": 7 }
                })),
                json!({ "data": { "it": self.next_id().await } }),
            ),
        };
        let answer = request.send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer, expected);
    }

    /// The id of the next row; none was ever deleted or failed to be inserted.
    async fn next_id(&self) -> u64 {
        self.direct.count().await + 1
    }

    /// Asks as fast as possible: requests per second.
    async fn ask(&self, contender: Contender, work: Work) -> f64 {
        self.check(contender, work).await;
        let before = self.direct.count().await;
        let script = script(contender, work);
        let url = match contender {
            Contender::Handler => self.handlers.clone(),
            Contender::Lua | Contender::Field => format!("{}/graphql", self.served.url),
        };
        let asked = tokio::task::spawn_blocking(move || {
            wrk(&["-t2", &format!("-d{SECONDS}s")], &script, &url)
        });
        let text = asked.await.expect("it does not panic");
        // wrk leaves without the last answers.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let made = self.direct.count().await - before;
        let answered = answered(&text);
        let right = match work {
            Work::Select => made == 0,
            Work::Insert => (answered..=answered + 64).contains(&made),
        };
        assert!(right, "{answered} answers, {made} rows:\n{text}");
        requests_per_second(&text)
    }

    async fn close(self) {
        self.direct.close().await;
        self.served.host.stop().await;
    }
}

/// A GraphQL document, always the same one so that the host has it in its cache.
fn document(contender: Contender, work: Work) -> String {
    let owner = match contender {
        Contender::Lua => "shop",
        Contender::Field | Contender::Handler => "rust",
    };
    match work {
        Work::Select => {
            format!("query($id: Int!) {{ it: {owner}_item(id: $id) {{ id title n }} }}")
        }
        Work::Insert => format!(
            "mutation($title: String!, $n: Int!) {{ it: {owner}_add(title: $title, n: $n) }}"
        ),
    }
}

/// The script for wrk, whose threads ask for different rows.
fn script(contender: Contender, work: Work) -> String {
    let request = match (contender, work) {
        (Contender::Handler, Work::Select) => {
            "wrk.format(\"GET\", \"/items/\" .. number)".to_owned()
        }
        (Contender::Handler, Work::Insert) => {
            "wrk.format(\"POST\", \"/items\", nil, '{\"title\":\"item ' .. number .. '\",\"n\":' .. \
             number .. '}')"
                .to_owned()
        }
        (_, Work::Select) => post(contender, work, "{\"id\":' .. number .. '}"),
        (_, Work::Insert) => {
            post(contender, work, "{\"title\":\"item ' .. number .. '\",\"n\":' .. number .. '}")
        }
    };
    format!(
        "local threads = 0\n\
         function setup(thread) threads = threads + 1 thread:set(\"seed\", threads) end\n\
         function init(args)\n\
         math.randomseed(seed) wrk.headers[\"content-type\"] = \"application/json\"\n\
         end\n\
         function request() local number = math.random(1, {ROWS}) return {request} end\n"
    )
}

fn post(contender: Contender, work: Work, variables: &str) -> String {
    let document = document(contender, work);
    format!(
        "wrk.format(\"POST\", nil, nil, '{{\"query\":\"{document}\",\"variables\":{variables}}}')"
    )
}

/// How many answers wrk got.
fn answered(text: &str) -> u64 {
    let line = text.lines().find(|line| line.contains(" requests in "));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{text}"))
}

async fn measure(name: &str, url: &str) {
    let arena = Arena::open(url).await;
    for (work, what) in [(Work::Select, "select by key"), (Work::Insert, "insert of one row")] {
        println!("{name}, {what}, requests/s:");
        let mut figures: [Vec<f64>; 3] = Default::default();
        for round in 0..ROUNDS {
            // Nobody is always first.
            for turn in 0..CONTENDERS.len() {
                let index = (round + turn) % CONTENDERS.len();
                figures[index].push(arena.ask(CONTENDERS[index], work).await);
            }
            let [lua, field, handler] = figures.each_ref().map(|of| of[round]);
            println!(
                "  ctx.db {lua:>6.0}  Rust resolver {field:>6.0}  Rust handler {handler:>6.0}"
            );
        }
        let ratio = |index: usize| {
            median(figures[0].iter().zip(&figures[index]).map(|(lua, other)| lua / other).collect())
        };
        let (to_field, to_handler) = (ratio(1), ratio(2));
        let [lua, field, handler] = figures.map(median);
        println!(
            "  medians: ctx.db {lua:.0}  Rust resolver {field:.0}  Rust handler {handler:.0}\n  \
             ctx.db / Rust resolver {to_field:.3}\n  \
             ctx.db / Rust handler {to_handler:.3}  (goal: {GOAL}, {})",
            reached(to_handler >= GOAL)
        );
        if work == Work::Insert && matches!(arena.direct, Direct::Sqlite { .. }) {
            println!(
                "  rows per second: {lua:.0}  (goal: {GOAL_SQLITE_INSERTS}, {}; WAL, \
                 synchronous=NORMAL: a commit survives a killed process, not a power cut)",
                reached(lua >= GOAL_SQLITE_INSERTS)
            );
        }
    }
    arena.close().await;
}

fn reached(reached: bool) -> &'static str {
    if reached { "reached" } else { "missed" }
}

async fn measure_postgres(server: &str) {
    let name = format!("moondock_bench_{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::PgConnection::connect(server).await.expect("a PostgreSQL server");
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(sqlx::raw_sql(create)).await.expect("a database of its own");
    let (base, _) = server.rsplit_once('/').expect("a URL with the name of a database");
    measure("PostgreSQL", &format!("{base}/{name}")).await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    connection.execute(sqlx::raw_sql(drop)).await.expect("it is dropped");
}

pub fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    runtime.block_on(measure("SQLite", &url));
    match std::env::var("MOONDOCK_TEST_POSTGRES") {
        Ok(server) => runtime.block_on(measure_postgres(&server)),
        Err(_) => println!(
            "PostgreSQL is left out: set MOONDOCK_TEST_POSTGRES to what `scripts/postgres start` \
             prints"
        ),
    }
}
