//! Connections that the server ends. SQLite has none.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sqlx::Connection as _;

use super::*;
use crate::store::{Dialect, Fence, Session, Statement};

/// A read for which the host is another role meanwhile, and so begins a transaction.
fn fenced(role: &str) -> Statement {
    let fence = Fence { role: role.into(), ..Fence::default() };
    let sql = vec!["SELECT count(*) FROM t".to_owned()];
    Statement::fenced(Dialect::Postgres, sql, vec![], false, Arc::new(fence))
}

/// Ends all connections of a database but its own, and gives their number.
async fn terminate(admin: &mut sqlx::PgConnection) -> i64 {
    let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query_scalar(all).fetch_one(admin).await.unwrap()
}

async fn store_with_table(database: &TestDatabase) -> (Arc<Store>, String) {
    let store = database.open().await;
    let role = format!("moondock_test_{}", uuid::Uuid::new_v4().simple());
    for sql in [
        "CREATE TABLE t (n int UNIQUE)".to_owned(),
        format!("CREATE ROLE {role}"),
        format!("GRANT SELECT, INSERT ON t TO {role}"),
    ] {
        store.session().execute(Statement::schema_text(sql)).await.unwrap();
    }
    (store, role)
}

/// Opens many connections, all of which are idle afterwards.
async fn warm_up(session: &Session) {
    let sleeping = || Statement::command("SELECT pg_sleep(0.05)");
    let all = futures_util::future::join_all((0..8).map(|_| session.execute(sleeping()))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_do_not_notice_that_idle_connections_were_lost() {
    let database = TestDatabase::new(On::Postgres).await;
    let (store, role) = store_with_table(&database).await;
    let session = store.session();
    let mut admin = sqlx::PgConnection::connect(&database.url).await.unwrap();
    for round in 0..3 {
        warm_up(&session).await;
        assert!(terminate(&mut admin).await >= 8);
        let reads = (0..20).map(|_| session.fetch(fenced(&role)));
        for read in futures_util::future::join_all(reads).await {
            read.unwrap();
        }
        warm_up(&session).await;
        terminate(&mut admin).await;
        let reads = (0..20).map(|_| plugins::by_plugin_id(&session, "none"));
        for read in futures_util::future::join_all(reads).await {
            assert_eq!(read, Ok(None));
        }
        // A transaction that begins now has lost nothing either.
        warm_up(&session).await;
        terminate(&mut admin).await;
        let tx = store.begin().await.unwrap();
        plugins::insert(tx.session(), &format!("p{round}")).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Reads never fail, and of the writes only those that were under way.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_only_what_is_under_way_is_lost() {
    const WRITERS: u32 = 4;
    const ROUNDS: u32 = 5;
    let database = TestDatabase::new(On::Postgres).await;
    let (store, role) = store_with_table(&database).await;
    let mut admin = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU32::new(0));
    let mut readers = Vec::new();
    for i in 0..8 {
        let (session, stop, reads) = (store.session(), Arc::clone(&stop), Arc::clone(&reads));
        let role = role.clone();
        readers.push(tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                match i % 2 {
                    0 => plugins::by_plugin_id(&session, "none").await.map(drop)?,
                    _ => session.fetch(fenced(&role)).await.map(drop)?,
                }
                reads.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<(), DbError>(())
        }));
    }
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (session, stop) = (store.session(), Arc::clone(&stop));
        writers.push(tokio::spawn(async move {
            let (mut done, mut failed) = (Vec::new(), 0);
            for i in (0..).take_while(|_| !stop.load(Ordering::SeqCst)) {
                let n = writer * 1_000_000 + i;
                let insert = Statement::command(format!("INSERT INTO t (n) VALUES ({n})"));
                match session.execute(insert).await {
                    Ok(_) => done.push(n),
                    Err(error) => {
                        assert_eq!(error.kind, DbErrorKind::Busy, "{error}");
                        failed += 1;
                    }
                }
            }
            (done, failed)
        }));
    }
    for _ in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(150)).await;
        terminate(&mut admin).await;
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    stop.store(true, Ordering::SeqCst);
    let all = async {
        for reader in readers {
            reader.await.unwrap().unwrap();
        }
        let mut all = Vec::new();
        for writer in writers {
            all.push(writer.await.unwrap());
        }
        all
    };
    let all = tokio::time::timeout(Duration::from_secs(5), all).await.expect("nothing hangs");
    assert!(reads.load(Ordering::SeqCst) > 100, "{reads:?}");
    let failed: u32 = all.iter().map(|(_, failed)| failed).sum();
    assert!(failed <= WRITERS * ROUNDS, "{failed} writes failed");
    let done: Vec<u32> = all.into_iter().flat_map(|(done, _)| done).collect();
    let numbers = format!("SELECT CAST(count(*) AS int) FROM t WHERE n = ANY(ARRAY{done:?})");
    let there: i32 =
        sqlx::query_scalar(sqlx::AssertSqlSafe(numbers)).fetch_one(&mut admin).await.unwrap();
    assert_eq!(there as usize, done.len(), "what was acknowledged is there");
}
