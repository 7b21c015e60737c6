//! Raw SQL for the first time, wherever it is used first: on PostgreSQL the plugin's role has to be made
//! and to get its rights.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::databases::On;
use crate::support::{ADA, REGISTER, TestHost, getting, manifest_with, write};

fn files(columns: &str, code: &str) -> [(&'static str, String); 3] {
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "notes", "file": "tables.lua" }}]"#
    );
    let more =
        r#", "permissions": { "sql": true }, "runtime": { "timeoutMs": 20000, "instances": 4 }"#;
    let tables = format!(
        "local t = require('@std/table')\nreturn {{ notes = t.table('notes', {{ id = t.serial():primaryKey(){columns} }}) }}"
    );
    [
        ("manifest.json", manifest_with("raw", &points, more)),
        ("tables.lua", tables),
        ("init.lua", code.to_owned()),
    ]
}

async fn start(on: On, connections: usize, code: &str) -> TestHost {
    let database = on.settings().await;
    let host = TestHost::start_with(|settings| {
        database(settings);
        settings.database_connections = Some(connections);
    })
    .await;
    let files = files("", code);
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    host.plugin("raw", &files).await;
    host
}

async fn get(host: &TestHost) -> Value {
    host.data(ADA, "{ raw_get }", json!({})).await["raw_get"].clone()
}

const IN_A_TRANSACTION: &str = r#"return ctx.db:transaction(function(tx)
    tx:execute("insert into {notes} (id) values ((select count(*) + 1 from {notes}))")
    return tx:query("select count(*) as n from {notes}")[1].n
end)"#;

/// The transaction has the only connection.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn in_a_transaction_it_waits_for_nobody(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = start(on, 1, &getting(IN_A_TRANSACTION)).await;
    for n in 1..=3 {
        let start = Instant::now();
        assert_eq!(get(&host).await, n);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    host.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn many_can_be_the_first(
    #[values(On::Sqlite, On::Postgres)] on: On,
    #[values("", "readCommitted", "repeatableRead")] isolation: &str,
) {
    let count = r#"query("select count(*) as n from {notes}")[1].n"#;
    let body = match isolation {
        "" => format!("return ctx.db:{count}"),
        _ => format!(
            "return ctx.db:transaction(function(tx) tx:from('notes'):count() return tx:{count} end, \
             {{ isolation = '{isolation}' }})"
        ),
    };
    let host = start(on, 16, &getting(&body)).await;
    assert_eq!(join_all((0..30).map(|_| get(&host))).await, vec![json!(0); 30]);
    host.stop().await;
}

/// In the transaction that has just changed the table.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_used_where_the_table_was_changed(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = start(on, 16, &getting("return 1")).await;
    let code = getting(
        r#"return ctx.db:query("select count(*) as n, sum(size) as size from {notes}")[1]"#,
    );
    let code = code.replace(
        "return M",
        "function M.onLoad(ctx) ctx.db:execute('insert into {notes} (size) values (7)') end\nreturn M",
    );
    for (path, text) in files(", size = t.integer()", &code) {
        write(&host.plugins.join("raw").join(path), &text);
    }
    let start = Instant::now();
    host.host.manager().reload("raw").await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let found = get(&host).await;
    assert_eq!((&found["n"], found["size"].to_string().trim_matches('"')), (&json!(1), "7"));
    host.stop().await;
}
