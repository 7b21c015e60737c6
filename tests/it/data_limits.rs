//! Statements that take too long or give too much, a database that is busy, and one that goes away.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::databases::On;
use crate::support::{ADA, REGISTER, TestHost, getting, manifest_with};

const TABLES: &str = r#"
local t = require("@std/table")
return { notes = t.table("notes", { id = t.serial():primaryKey(), title = t.text():unique(), body = t.text(), n = t.integer() }) }"#;

const ENDLESS: &str =
    "with recursive x(n) as (select 1 union all select n + 1 from x) select count(*) as n from x";

async fn add(host: &TestHost, id: &str, timeout_ms: u32, body: &str) {
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "notes", "file": "tables.lua" }}]"#
    );
    let more = format!(
        r#", "permissions": {{ "sql": true }}, "runtime": {{ "timeoutMs": {timeout_ms}, "instances": 4 }}"#
    );
    let manifest = manifest_with(id, &points, &more);
    let main =
        getting(body).replace("type = \"JSON\"", "type = \"JSON\", args = { title = \"String\" }");
    host.plugin(id, &[("manifest.json", &manifest), ("tables.lua", TABLES), ("init.lua", &main)])
        .await;
}

async fn start(on: On, change: impl Fn(&mut moondock::settings::Settings)) -> TestHost {
    let database = on.settings().await;
    TestHost::start_with(|settings| {
        database(settings);
        change(settings);
    })
    .await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_with_its_call(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = start(on, |settings| settings.database_connections = Some(1)).await;
    add(&host, "endless", 500, &format!("return ctx.db:query(\"{ENDLESS}\")")).await;
    add(&host, "other", 3000, "return ctx.db:from('notes'):where({ n = 1 }):count()").await;
    let started = Instant::now();
    let answer = host.graphql(Some(ADA), "{ endless_get }", json!({})).await;
    assert!(answer["errors"].is_array(), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    // The one connection is free again.
    assert_eq!(host.data(ADA, "{ other_get }", json!({})).await["other_get"], 0);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    host.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_has_a_limit_of_its_own(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = start(on, |settings| {
        settings.statement_timeout = Duration::from_millis(300);
    })
    .await;
    let body = format!(
        r#"local ok, e = pcall(function() return ctx.db:query("{ENDLESS}") end)
        local inside = pcall(function() ctx.db:transaction(function(tx) tx:insert("notes", {{ title = "x" }}) tx:query("{ENDLESS}") end) end)
        local many = select(2, pcall(function()
            return ctx.db:query("with recursive x(n) as (select 1 union all select n + 1 from x where n < 10001) select n from x") end))
        return {{ kind = e.kind, inside = inside, left = ctx.db:from("notes"):count(), many = tostring(many) }}"#
    );
    add(&host, "endless", 20_000, &body).await;
    let answer = host.data(ADA, "{ endless_get }", json!({})).await["endless_get"].clone();
    assert_eq!(
        (&answer["kind"], &answer["inside"]),
        (&json!("timeout"), &json!(false)),
        "{answer}"
    );
    assert_eq!(answer["left"], 0, "the transaction is rolled back");
    assert!(answer["many"].as_str().unwrap().contains("more than 10000 rows"), "{answer}");
    host.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_result_has_a_size(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = start(on, |_| ()).await;
    let body = r#"
        local text = string.rep("x", 1000000)
        for i = 1, 20 do ctx.db:insert("notes", { body = text }) end
        local _, e = pcall(function() return ctx.db:from("notes"):all() end)
        return { kind = e.kind, text = tostring(e), count = ctx.db:from("notes"):count() }"#;
    add(&host, "large", 20_000, body).await;
    let answer = host.data(ADA, "{ large_get }", json!({})).await["large_get"].clone();
    assert_eq!((&answer["kind"], &answer["count"]), (&json!("invalid"), &json!(20)), "{answer}");
    assert!(answer["text"].as_str().unwrap().contains("larger than 16 MiB"), "{answer}");
    host.stop().await;
}

/// A transaction keeps the only connection that writes; who wants it too hears that it is busy.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_is_an_error_and_no_hang(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = start(on, |settings| {
        settings.database_connections = Some(1);
        settings.database_wait = Duration::from_millis(300);
    })
    .await;
    let slow = r#"return ctx.db:transaction(function(tx)
        tx:insert("notes", { title = "slow" })
        local from = os.clock() while os.clock() - from < 2 do end
        return "done" end)"#;
    add(&host, "slow", 20_000, slow).await;
    let quick = r#"
        local _, one = pcall(function() return ctx.db:insert("notes", { title = args.title }) end)
        local _, two = pcall(function() return ctx.db:transaction(function() end) end)
        return { one = one.kind, two = two and two.kind }"#;
    add(&host, "quick", 20_000, quick).await;
    let slow = host.data(ADA, "{ slow_get }", json!({}));
    let quick = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let started = Instant::now();
        let answers = join_all((0..4).map(|i| {
            host.data(
                ADA,
                "query($t: String) { quick_get(title: $t) }",
                json!({ "t": format!("t{i}") }),
            )
        }))
        .await;
        (answers, started.elapsed())
    };
    let (slow, (answers, elapsed)) = tokio::join!(slow, quick);
    assert_eq!(slow["slow_get"], "done");
    for answer in answers {
        assert_eq!(answer["quick_get"], json!({ "one": "busy", "two": "busy" }));
    }
    assert!(elapsed < Duration::from_millis(1_500), "{elapsed:?}");
    host.stop().await;
}

/// Single inserts are committed together; one that fails takes no other with it.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_together_fails_alone(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = start(on, |_| ()).await;
    let slow = r#"return ctx.db:execute("insert into {notes} (n) with recursive x(n) as (select 1 union all select n + 1 from x) select n from x")"#;
    add(&host, "slow", 700, slow).await;
    let body = r#"
        local ok, result = pcall(function() return ctx.db:insert("notes", { title = args.title }) end)
        return ok or result.kind"#;
    add(&host, "many", 20_000, body).await;
    let ask = |title: String| {
        let query = "query($t: String) { many_get(title: $t) }";
        let host = &host;
        async move { host.graphql(Some(ADA), query, json!({ "t": title })).await }
    };
    let inserts = join_all(
        (0..200)
            .map(|i| ask(if i % 10 == 0 { "the same".to_owned() } else { format!("title {i}") })),
    );
    let endless = host.graphql(Some(ADA), "{ slow_get }", json!({}));
    let (answers, endless) = tokio::join!(inserts, endless);
    assert!(endless["errors"].is_array(), "{endless}");
    let told = |wanted: Value| answers.iter().filter(|a| a["data"]["many_get"] == wanted).count();
    assert_eq!((told(json!(true)), told(json!("uniqueViolation"))), (181, 19));
    let main = "return ctx.db:from('notes'):whereNotNull('title'):count()";
    host.write_plugin("many", &[("init.lua", &getting(main))]);
    host.host.manager().reload("many").await.unwrap();
    assert_eq!(host.data(ADA, "{ many_get }", json!({})).await["many_get"], 181);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_are_replaced() {
    let database = On::Postgres.url().await.unwrap();
    let host = TestHost::start_with(|settings| {
        settings.database_url = Some(moondock::settings::Secret::new(&database));
    })
    .await;
    add(&host, "notes", 5_000, "ctx.db:insert('notes', {}) return ctx.db:from('notes'):count()")
        .await;
    let reads = "return ctx.db:from('notes'):count()";
    add(&host, "reads", 5_000, reads).await;
    let mut admin = sqlx::PgConnection::connect(&database).await.unwrap();
    let mut terminate = async || {
        let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query_scalar::<_, i64>(all).fetch_one(&mut admin).await.unwrap()
    };
    for i in 1..=3 {
        // Several connections are open, and idle.
        join_all((0..8).map(|_| host.data(ADA, "{ reads_get }", json!({})))).await;
        assert!(terminate().await >= 1);
        assert_eq!(host.data(ADA, "{ reads_get }", json!({})).await["reads_get"], 0);
        assert_eq!(host.data(ADA, "{ notes_get }", json!({})).await["notes_get"], i);
    }
    // Under load only what was under way fails.
    let load = join_all((0..300).map(|_| host.graphql(Some(ADA), "{ reads_get }", json!({}))));
    let (answers, ()) = tokio::join!(load, async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            terminate().await;
        }
    });
    let failed = answers.iter().filter(|a| a["errors"].is_array()).count();
    assert!(failed < 100, "{failed} of 300 reads failed");
    assert_eq!(host.data(ADA, "{ reads_get }", json!({})).await["reads_get"], 0);
    host.stop().await;
}
