//! How much a statement may give, and how long it may run and wait.

use std::time::{Duration, Instant};

use super::*;
use crate::store::{Cell, Isolation, MAX_RESULT_BYTES, Session, Statement};

/// More than a machine does in a day.
const ENDLESS: &str = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT (n + 1) % 1000 FROM r) \
                       SELECT count(*) FROM r";
/// What is free again within this time is not waited for. Mostly it takes some tens of milliseconds;
/// this is for unoptimized builds on busy machines.
const SOON: Duration = Duration::from_secs(4);
const MIB: usize = 1024 * 1024;

fn reads(sql: impl Into<String>) -> Statement {
    Statement { writes: false, kept: true, ..Statement::command(sql) }
}

fn writes(sql: impl Into<String>) -> Statement {
    Statement::command(sql)
}

fn options(connections: usize, wait: u64, timeout: u64) -> StoreOptions {
    StoreOptions {
        connections: Some(connections),
        wait: Duration::from_millis(wait),
        statement_timeout: Duration::from_millis(timeout),
        ..StoreOptions::default()
    }
}

/// A table `t` with as many texts of a MiB as are more than a statement may give.
async fn with_large_rows(on: On) -> (TestDatabase, Arc<Store>) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let session = store.session();
    session.execute(Statement::schema_text("CREATE TABLE t (n int, v text)")).await.unwrap();
    for _ in 0..=MAX_RESULT_BYTES / MIB {
        let row = Query::insert()
            .into_table("t")
            .columns(["n", "v"])
            .values_panic([Expr::val(0), Expr::val("x".repeat(MIB))])
            .to_owned();
        session.execute(Statement::write(store.dialect(), &row)).await.unwrap();
    }
    (database, store)
}

async fn number(session: &Session, sql: &str) -> i64 {
    let rows = session.fetch(reads(sql)).await.unwrap();
    match rows.as_slice() {
        [row] => match row.as_slice() {
            [Cell::Int(n)] => *n,
            other => panic!("{sql}: {other:?}"),
        },
        other => panic!("{sql}: {other:?}"),
    }
}

/// Also of what was written to give it: half a statement is none.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_gives_too_much_has_not_happened(#[values(On::Sqlite, On::Postgres)] on: On) {
    let (_database, store) = with_large_rows(on).await;
    let session = store.session();
    let all = number(&session, "SELECT count(*) FROM t").await;
    let attempts = [
        writes("UPDATE t SET n = 1 RETURNING v"),
        writes("INSERT INTO t (n, v) SELECT 1, v FROM t RETURNING v"),
        writes("DELETE FROM t RETURNING v"),
        writes("UPDATE t SET n = 1 RETURNING n").at_most(3),
        reads("SELECT v FROM t"),
        reads("SELECT n FROM t").at_most(3),
    ];
    for statement in &attempts {
        let error = session.fetch(statement.clone()).await.unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Invalid, "{statement:?}: {error}");
        assert!(error.message.starts_with("the result "), "{error}");
        let left = number(&session, "SELECT count(*) FROM t WHERE n = 0").await;
        assert_eq!(left, all, "{statement:?}");
        assert_eq!(number(&session, "SELECT count(*) FROM t").await, all, "{statement:?}");
    }
    // In a transaction, of which the rest is kept.
    let tx = store.begin().await.unwrap();
    for statement in &attempts {
        tx.session().execute(writes("INSERT INTO t (n) VALUES (2)")).await.unwrap();
        tx.session().fetch(statement.clone()).await.unwrap_err();
    }
    tx.commit().await.unwrap();
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE n = 0").await, all);
    assert_eq!(number(&session, "SELECT sum(n) FROM t").await, 2 * attempts.len() as i64);
    // Among those that SQLite commits together too.
    let attempts = (0..20).map(|i| {
        let (statement, session) = (attempts[i % 3].clone(), session.clone());
        async move {
            let refused = session.fetch(statement).await;
            (refused, session.execute(writes("INSERT INTO t (n) VALUES (3)")).await)
        }
    });
    for (refused, done) in futures_util::future::join_all(attempts).await {
        assert_eq!(refused.unwrap_err().kind, DbErrorKind::Invalid);
        assert_eq!(done, Ok(1));
    }
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE n = 0").await, all);
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE n = 3").await, 20);
}

/// The caller's deadline and the setting both stop what runs for ever, and then the connection, of
/// which there is one, is free again.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_for_ever_is_stopped(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    for (own, setting) in [(200, 60_000), (60_000, 200)] {
        let store = database.open_with(options(1, 5_000, setting)).await;
        let session = store.session();
        for endless in [reads(ENDLESS), writes(ENDLESS)] {
            let start = Instant::now();
            let until = session.until(start + Duration::from_millis(own));
            let error = until.fetch(endless.clone()).await.unwrap_err();
            assert_eq!(error.kind, DbErrorKind::Timeout, "{error}");
            assert!(start.elapsed() > Duration::from_millis(190), "{:?}", start.elapsed());
            assert_free(&session, start).await;

            // In a transaction it takes the transaction with it.
            let start = Instant::now();
            let deadline = start + Duration::from_millis(own);
            let tx = store.begin_until(Isolation::default(), deadline).await.unwrap();
            plugins::insert(tx.session(), "b").await.unwrap();
            let error = tx.session().fetch(endless.clone()).await.unwrap_err();
            assert_eq!(error.kind, DbErrorKind::Timeout, "{error}");
            let over = plugins::insert(tx.session(), "c").await.unwrap_err();
            assert_eq!(over.message, "the transaction is over");
            assert_free(&session, start).await;
            assert!(tx.commit().await.is_err());
        }
        store.close().await;
    }
}

/// Asserts that the database reads and writes soon after `start`, and has no row.
async fn assert_free(session: &Session, start: Instant) {
    // One that is not kept goes through the pool on SQLite too.
    let read = Statement { kept: false, ..reads("SELECT * FROM plugins") };
    assert_eq!(session.fetch(read).await.unwrap(), [[]; 0]);
    let record = plugins::insert(session, "a").await.unwrap();
    plugins::delete(session, &record.id).await.unwrap();
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

/// A statement that has given too much is not waited for, even if it never gives another row.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_has_given_too_much_is_stopped(#[values(On::Sqlite, On::Postgres)] on: On) {
    const NUMBERS: &str = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n % 1000 + 1 FROM r)";
    let database = TestDatabase::new(on).await;
    let store = database.open_with(options(1, 5_000, 60_000)).await;
    let session = store.session();
    // Long enough for PostgreSQL to send each row by itself.
    let long = "x".repeat(10_000);
    for sql in [
        format!("{NUMBERS} SELECT n, '{long}' FROM r"),
        // More than enough rows, and then no further one for ever.
        format!(
            "{NUMBERS}, s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 10) \
             SELECT i, '{long}' FROM s UNION ALL SELECT n, '' FROM r WHERE n < 0"
        ),
    ] {
        for kept in [false, true] {
            let endless = Statement { kept, ..reads(&sql) }.at_most(3);
            let start = Instant::now();
            let error = session.fetch(endless.clone()).await.unwrap_err();
            assert_eq!(error.kind, DbErrorKind::Invalid, "{error}");
            assert_free(&session, start).await;

            let start = Instant::now();
            let tx = store.begin().await.unwrap();
            let record = plugins::insert(tx.session(), "b").await.unwrap();
            let error = tx.session().fetch(endless).await.unwrap_err();
            assert_eq!(error.kind, DbErrorKind::Invalid, "{error}");
            let _ = plugins::delete(tx.session(), &record.id).await;
            let _ = tx.commit().await;
            assert_free(&session, start).await;
        }
    }
}

/// Whoever finds no connection free is told so in time, however many wait.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_hears_that_it_is_busy(#[values(On::Sqlite, On::Postgres)] on: On) {
    const WAIT: Duration = Duration::from_millis(800);
    let database = TestDatabase::new(on).await;
    let store = database.open_with(options(1, 800, 60_000)).await;
    let tx = store.begin().await.unwrap();
    plugins::insert(tx.session(), "a").await.unwrap();
    let start = Instant::now();
    let waiting = (0..20).map(|i| {
        let store = store.clone();
        tokio::spawn(async move {
            match i % 4 {
                0 => store.begin().await.map(drop).unwrap_err(),
                _ => plugins::insert(&store.session(), &format!("p{i}")).await.unwrap_err(),
            }
        })
    });
    for task in waiting.collect::<Vec<_>>() {
        let error = task.await.unwrap();
        assert_eq!(error.kind, DbErrorKind::Busy, "{error}");
    }
    let taken = start.elapsed();
    assert!(taken >= WAIT && taken < SOON, "{taken:?}");
    // One whose own time is over before that does not wait as long.
    let start = Instant::now();
    let hurried = store.session().until(start + Duration::from_millis(50));
    assert_eq!(plugins::insert(&hurried, "x").await.unwrap_err().kind, DbErrorKind::Busy);
    assert!(start.elapsed() < WAIT, "{:?}", start.elapsed());
    tx.commit().await.unwrap();
    plugins::insert(&store.session(), "b").await.unwrap();
    let all = plugins::list(&store.session(), &PluginFilter::default()).await.unwrap();
    let ids: Vec<&str> = all.iter().map(|r| r.plugin_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"], "nothing of those that were told so");
}
