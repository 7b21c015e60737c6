//! Single statements that wait for SQLite's writer are committed together; on PostgreSQL they run side
//! by side. Either way one that fails takes no other with it, and each happens once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::store::{Cell, Session, Statement};

const ENDLESS: &str = "INSERT INTO t (n, word) WITH RECURSIVE r (n) AS \
    (SELECT 1 UNION ALL SELECT (n + 1) % 1000 FROM r) SELECT max(n), 'endless' FROM r";

fn insert(word: &str) -> Statement {
    Statement::command(format!("INSERT INTO t (word) VALUES ('{word}')"))
}

async fn with_table(on: On) -> (TestDatabase, Session) {
    let database = TestDatabase::new(on).await;
    let session = database.open().await.session();
    for sql in ["CREATE TABLE t (n int UNIQUE, word text)", "INSERT INTO t (n) VALUES (7)"] {
        session.execute(Statement::schema_text(sql)).await.unwrap();
    }
    (database, session)
}

/// How often each word is there.
async fn words(session: &Session) -> BTreeMap<String, i64> {
    let query = Query::select()
        .column("word")
        .expr(Expr::cust("count(*)"))
        .from("t")
        .and_where(Expr::cust("word IS NOT NULL"))
        .group_by_col("word")
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await.unwrap();
    rows.into_iter()
        .map(|row| match row.as_slice() {
            [Cell::Text(word), Cell::Int(count)] => (word.clone(), *count),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_violation_is_one_statement_s_own(#[values(On::Sqlite, On::Postgres)] on: On) {
    let (_database, session) = with_table(on).await;
    let statements: Vec<Statement> = (0..300)
        .map(|i| match i % 10 {
            3 => Statement::command("INSERT INTO t (n, word) VALUES (7, 'twice')"),
            _ => insert(&format!("w{i}")),
        })
        .collect();
    let all = statements.into_iter().map(|statement| session.execute(statement));
    for (i, done) in futures_util::future::join_all(all).await.into_iter().enumerate() {
        match i % 10 {
            3 => assert_eq!(done.unwrap_err().kind, DbErrorKind::UniqueViolation),
            _ => assert_eq!(done, Ok(1)),
        }
    }
    let words = words(&session).await;
    assert_eq!((words.len(), words.values().max()), (270, Some(&1)));
}

/// On SQLite the end of the slow one takes back all that were to be committed with it; they are run
/// again, and answered after that.
#[rstest]
#[tokio::test]
async fn one_that_is_stopped_takes_no_other_with_it(#[values(On::Sqlite, On::Postgres)] on: On) {
    let (_database, session) = with_table(on).await;
    for round in 0..3 {
        let deadline = Instant::now() + Duration::from_millis(300);
        // The first is under way while the others gather behind it.
        let all = (0..200).map(|i| {
            let (session, statement) = match i % 80 {
                40 => (session.until(deadline), Statement::command(ENDLESS)),
                _ => (session.clone(), insert(&format!("w{round} {i}"))),
            };
            async move { session.execute(statement).await }
        });
        for (i, done) in futures_util::future::join_all(all).await.into_iter().enumerate() {
            match i % 80 {
                // The second may not have had its turn in time.
                40 => assert!(matches!(
                    done.unwrap_err().kind,
                    DbErrorKind::Timeout | DbErrorKind::Busy
                )),
                _ => assert_eq!(done, Ok(1), "{i}"),
            }
        }
        let words = words(&session).await;
        assert_eq!((words.len(), words.values().max()), (198 * (round + 1), Some(&1)));
    }
}

/// Whoever gives up waiting may find it done or not, but never twice, and never half.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_leaves_the_others_alone(#[values(On::Sqlite, On::Postgres)] on: On) {
    let (_database, session) = with_table(on).await;
    let all = (0..300_u64).map(|i| {
        let session = session.clone();
        tokio::spawn(async move {
            let done = session.execute(insert(&format!("w{i}")));
            if i % 3 == 0 {
                return tokio::time::timeout(Duration::from_micros(i * 20), done).await.is_ok();
            }
            done.await == Ok(1)
        })
    });
    let mut done = Vec::new();
    for task in all.collect::<Vec<_>>() {
        done.push(task.await.unwrap());
    }
    // What nobody waits for may still be on its way.
    session.execute(insert("last")).await.unwrap();
    let words = words(&session).await;
    assert_eq!(words.values().max(), Some(&1));
    for (i, done) in done.into_iter().enumerate() {
        assert!(done || i % 3 == 0, "{i}");
        assert!(!done || words.contains_key(&format!("w{i}")), "{i} was acknowledged");
    }
}
