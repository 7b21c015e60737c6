//! What was acknowledged stays: rows that many callers insert while the server is killed and started again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::binary::{Server, outcome, run};
use crate::support::{REGISTER, manifest_with, registering, write};

const CALLERS: usize = 50;
const ROWS: usize = 10_000;
const KILLS: usize = 5;
const PAGE: usize = 1_000;
/// For all of it. A server that hangs must not keep the tests from ending.
const DEADLINE: Duration = Duration::from_secs(120);

fn write_plugin(dir: &TempDir) {
    // The key is not unique, so that a row that was written twice would show.
    let tables = "local t = require(\"@std/table\")\nreturn { rows = t.table(\"rows\", \
                  { id = t.serial():primaryKey(), key = t.text():notNull() }) }\n";
    let fields = format!(
        r#"
builder:objectType("Row", {{ fields = {{ id = "Int!", key = "String!" }} }})
builder:mutationField("add", {{ type = "Row!", auth = "public", args = {{ key = "String!" }},
    resolve = function(_, args, ctx) return ctx.db:insert("rows", {{ key = args.key }}) end }})
builder:queryField("page", {{ type = "[Row!]!", auth = "public", args = {{ after = "Int!" }},
    resolve = function(_, args, ctx)
        return ctx.db:from("rows"):where("id", ">", args.after):orderBy("id"):limit({PAGE}):all()
    end }})
"#
    );
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "rows", "file": "tables.lua" }}]"#
    );
    let folder = dir.path().join("plugins/rows");
    // On a busy machine an insert may take long; that is not what is tested.
    let patient = r#", "runtime": { "timeoutMs": 20000 }"#;
    write(&folder.join("manifest.json"), &manifest_with("rows", &points, patient));
    write(&folder.join("init.lua"), &registering(&fields));
    write(&folder.join("tables.lua"), tables);
}

/// The keys that a caller sent: those that it was told are written, and those it heard nothing of.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<String>,
    unanswered: Vec<String>,
}

/// Asks for a row. `None` when no whole answer came: then it may be written or not.
async fn add(client: &reqwest::Client, url: &str, key: &str) -> Option<Value> {
    let query = "mutation($key: String!) { rows_add(key: $key) { key } }";
    let body = json!({ "query": query, "variables": { "key": key } });
    let sent = client.post(format!("{url}/graphql")).json(&body).send().await.ok()?;
    let text = sent.text().await.ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}")))
}

/// Inserts rows one after another, until its share of them is acknowledged. `urls` has the address of
/// the server, which is another one after every kill.
async fn call(caller: usize, mut urls: watch::Receiver<String>, total: Arc<AtomicUsize>) -> Sent {
    let client = moondock::http::new();
    let mut sent = Sent::default();
    let mut url = urls.borrow_and_update().clone();
    for n in 0.. {
        if sent.acknowledged.len() == ROWS / CALLERS {
            break;
        }
        let key = format!("{caller}-{n}");
        match add(&client, &url, &key).await {
            Some(answer) => {
                assert_eq!(answer["data"]["rows_add"]["key"], key, "{answer}");
                sent.acknowledged.push(key);
                total.fetch_add(1, Ordering::Relaxed);
            }
            // Never the same key again: the caller does not know whether it is written.
            None => {
                sent.unanswered.push(key);
                let restarted = tokio::time::timeout(Duration::from_secs(20), urls.changed()).await;
                restarted.expect("a server that was not killed did not answer").unwrap();
                url = urls.borrow_and_update().clone();
            }
        }
    }
    sent
}

/// How often each key is in the table.
async fn written(server: &Server) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    let mut after = 0;
    loop {
        let answer = server.graphql(&format!("{{ rows_page(after: {after}) {{ id key }} }}")).await;
        let rows = answer["data"]["rows_page"].as_array().unwrap_or_else(|| panic!("{answer}"));
        for row in rows {
            *counts.entry(row["key"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let Some(last) = rows.last() else { return counts };
        after = last["id"].as_i64().unwrap();
    }
}

/// Panics with the number of items and the first few, if there are any.
fn none<T: std::fmt::Debug>(what: &str, items: impl Iterator<Item = T>) {
    let items: Vec<T> = items.collect();
    let few = &items[..items.len().min(5)];
    assert!(items.is_empty(), "{what}: {} rows, such as {few:?}", items.len());
}

/// On a file of SQLite in the data folder, or on the database with this URL.
async fn acknowledged_rows_survive(database: Option<&str>) {
    let dir = tempfile::tempdir().unwrap();
    write_plugin(&dir);
    let args: Vec<&str> = database.iter().flat_map(|url| ["--database-url", url]).collect();
    let mut server = Server::start(&dir, &args);
    for command in ["install", "activate"] {
        let (code, _, err) = outcome(&run(dir.path(), &["plugin", command, "rows"]));
        assert_eq!(code, 0, "{command}: {err}");
    }

    let (at, urls) = watch::channel(server.url.clone());
    let total = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(call(caller, urls.clone(), total.clone()));
    }
    let killing = async {
        for kill in 1..=KILLS {
            while total.load(Ordering::Relaxed) < ROWS * kill / (KILLS + 1) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            server.signal(libc::SIGKILL);
            assert_eq!(server.end().0, None);
            server = Server::start(&dir, &args);
            at.send(server.url.clone()).unwrap();
        }
        Ok(server)
    };
    let calling = async {
        let mut all = Sent::default();
        while let Some(sent) = callers.join_next().await {
            let sent = sent?;
            all.acknowledged.extend(sent.acknowledged);
            all.unanswered.extend(sent.unanswered);
        }
        Ok::<_, tokio::task::JoinError>(all)
    };
    let both = tokio::time::timeout(DEADLINE, async { tokio::try_join!(killing, calling) });
    let (server, sent) = both.await.expect("callers still wait").unwrap();

    let mut written = written(&server).await;
    assert_eq!(sent.acknowledged.len(), ROWS);
    let missing = sent.acknowledged.iter().filter(|key| !written.contains_key(*key));
    none("acknowledged, but not there", missing);
    none("there more than once", written.iter().filter(|(_, count)| **count != 1));
    // Whatever else is there was sent as well, and its answer got lost.
    for key in &sent.acknowledged {
        written.remove(key);
    }
    let in_doubt = written.len();
    for key in &sent.unanswered {
        written.remove(key);
    }
    none("there, but never sent", written.iter());
    // The kills did come in the middle, and a caller loses at most one answer to each.
    let lost = sent.unanswered.len();
    assert!((KILLS..=KILLS * CALLERS).contains(&lost), "{lost} answers were lost");
    println!("{ROWS} acknowledged, {lost} answers lost, {in_doubt} of their rows written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sqlite_acknowledged_survives_kills() {
    acknowledged_rows_survive(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_postgres_acknowledged_survives_kills() {
    let admin = std::env::var("MOONDOCK_TEST_POSTGRES")
        .expect("MOONDOCK_TEST_POSTGRES has the URL of a PostgreSQL server, as in ./scripts/test");
    let name = format!("moondock_test_{}", uuid::Uuid::new_v4().simple());
    let mut url = reqwest::Url::parse(&admin).unwrap();
    url.set_path(&name);
    let admin = async |sql: String| {
        let mut connection = PgConnection::connect(&admin).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    };
    admin(format!("CREATE DATABASE {name}")).await;
    acknowledged_rows_survive(Some(url.as_str())).await;
    admin(format!("DROP DATABASE {name} WITH (FORCE)")).await;
}
