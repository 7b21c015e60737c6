//! The database itself refuses what is behind a fence, whatever text gets there.

use std::sync::Arc;

use rstest::rstest;

use super::testing::{On, TestDatabase};
use super::{Cell, DbErrorKind, Fence, Session, Statement, Store, StoreOptions};
use crate::store::plugins;

/// A store with one connection of each kind, the tables `own_t` and `other_t`, and on PostgreSQL a
/// role that may use the first.
async fn fenced_store(database: &TestDatabase) -> (Arc<Store>, Fence) {
    let options = StoreOptions { connections: Some(1), ..StoreOptions::default() };
    let store = database.open_with(options).await;
    let session = store.session();
    let role = format!("moondock_test_{}", uuid::Uuid::new_v4().simple());
    let mut commands = vec![
        "CREATE TABLE own_t (n INT)".to_owned(),
        "CREATE TABLE other_t (n INT)".to_owned(),
        "INSERT INTO other_t VALUES (7)".to_owned(),
    ];
    if store.dialect() == super::Dialect::Postgres {
        commands.push(format!("CREATE ROLE \"{role}\" NOLOGIN"));
        commands.push(format!("GRANT SELECT, INSERT, UPDATE, DELETE ON own_t TO \"{role}\""));
    }
    for command in commands {
        session.execute(Statement::command(command)).await.unwrap();
    }
    let functions: fn(&str) -> bool = |name| matches!(name, "count" | "max");
    let tables = vec!["own_t".to_owned()];
    (store, Fence { role, tables, functions: Some(functions), ..Fence::default() })
}

const BOTH: [&str; 12] = [
    "SELECT n FROM other_t",
    "SELECT plugin_id FROM plugins",
    "SELECT (SELECT max(n) FROM other_t) FROM own_t",
    "WITH x AS (SELECT n FROM other_t) SELECT n FROM x",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM other_t)",
    "SELECT count(*) FROM other_t",
    "INSERT INTO own_t SELECT n FROM other_t",
    "DELETE FROM other_t",
    "UPDATE plugins SET plugin_id = 'x'",
    "CREATE TABLE mine (n INT)",
    "DROP TABLE own_t",
    "ALTER TABLE own_t RENAME TO x",
];
const SQLITE: [&str; 10] = [
    "PRAGMA user_version = 5",
    "PRAGMA table_info(plugins)",
    "ATTACH ':memory:' AS x",
    "SELECT load_extension('x')",
    "SELECT sql FROM sqlite_schema",
    "SELECT name FROM pragma_table_info('plugins')",
    "SELECT abs(1)",
    "REINDEX",
    "CREATE TEMP TABLE x (n INT)",
    "SAVEPOINT x",
];
const POSTGRES: [&str; 9] = [
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "COPY own_t TO PROGRAM 'true'",
    "COPY own_t FROM '/etc/passwd'",
    "SELECT pg_terminate_backend(pg_backend_pid() + 1) FROM plugins",
    "SELECT passwd FROM pg_shadow",
    "CREATE ROLE moondock_x",
    "GRANT SELECT ON other_t TO PUBLIC",
    "TRUNCATE other_t",
];

fn statement(session: &Session, sql: &str, writes: bool, fence: &Fence) -> Statement {
    let fence = Arc::new(fence.clone());
    Statement::fenced(session.dialect(), vec![sql.to_owned()], vec![], writes, fence)
}

#[rstest]
#[tokio::test]
async fn the_database_refuses_what_is_behind_a_fence(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    let (store, fence) = fenced_store(&database).await;
    let session = store.session();
    let own = if on == On::Sqlite { &SQLITE[..] } else { &POSTGRES[..] };
    for sql in BOTH.iter().chain(own) {
        for writes in [false, true] {
            let refused = session.query(statement(&session, sql, writes, &fence)).await;
            let error = refused.expect_err(sql);
            assert_eq!(error.kind, DbErrorKind::Invalid, "{sql}: {error}");
            // The same connection is the host's again right after.
            assert!(plugins::by_plugin_id(&session, "none").await.unwrap().is_none(), "{sql}");
        }
        // In a transaction it takes back nothing but itself.
        let tx = store.begin().await.unwrap();
        let inside = tx.session();
        inside
            .execute(statement(inside, "INSERT INTO own_t VALUES (1)", true, &fence))
            .await
            .unwrap();
        assert!(inside.query(statement(inside, sql, true, &fence)).await.is_err(), "{sql}");
        let count =
            inside.query(statement(inside, "SELECT count(*) FROM own_t", false, &fence)).await;
        assert_eq!(count.unwrap().rows, [[Cell::Int(1)]], "{sql}");
        plugins::insert(inside, "in").await.unwrap();
        tx.rollback().await;
    }
    let others = Statement::command("DELETE FROM other_t WHERE n = 7");
    assert_eq!(session.execute(others).await, Ok(1), "nobody has touched it");
}

#[rstest]
#[tokio::test]
async fn what_is_inside_of_a_fence_works(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    let (store, fence) = fenced_store(&database).await;
    let session = store.session();
    let fence = Fence { subqueries: vec!["other_t".into()], ..fence };
    for (sql, writes) in [
        ("INSERT INTO own_t VALUES (1), (2)", true),
        ("UPDATE own_t SET n = 3 WHERE n = 2", true),
        ("WITH other_t AS (SELECT n FROM own_t) SELECT count(*) FROM other_t", false),
        ("SELECT max(n) FROM own_t WHERE n IN (SELECT n FROM own_t)", false),
        ("DELETE FROM own_t WHERE n = 1", true),
    ] {
        session
            .query(statement(&session, sql, writes, &fence))
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let left = statement(&session, "SELECT n FROM own_t", false, &fence);
    assert_eq!(session.query(left).await.unwrap().rows, [[Cell::Int(3)]]);
}

/// A read that is not one must not write.
#[rstest]
#[tokio::test]
async fn a_statement_that_claims_to_read_cannot_write(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    let (store, fence) = fenced_store(&database).await;
    let session = store.session();
    let lie = statement(&session, "INSERT INTO own_t VALUES (1)", false, &fence);
    assert!(session.query(lie).await.is_err());
    let count = statement(&session, "SELECT count(*) FROM own_t", false, &fence);
    assert_eq!(session.query(count).await.unwrap().rows, [[Cell::Int(0)]]);
}
