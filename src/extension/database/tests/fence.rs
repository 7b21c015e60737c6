//! What the database itself refuses to a plugin's statement, whatever its text is: here nothing
//! checks it before.
//!
//! On PostgreSQL the role is all there is, and a statement may give it up: `SET ROLE NONE`, `DO` and
//! whatever runs SQL from a text (`query_to_xml`, after `set_config('role', 'none', …)`) get past it,
//! as do temporary tables and large objects, which everybody may make. Those the checks of `raw` alone
//! keep out; what is left to show here is that the connection is the host's again afterwards. On
//! SQLite a common table expression with the name of a table lets `count(*)` of that table through,
//! but only if the checks had confused the two.

use std::time::{Duration, Instant};

use sea_query::{Expr, Order::Asc, Query as Select};

use super::*;
use crate::extension::database::{raw, role};
use crate::store::{Cell, Dialect, Fence, Isolation, Statement, plugins};
use ColumnType as T;

/// What the neighbor's row and the host's have in them.
const MARK: &str = "for_nobody_else";

/// For both databases. The plugin `journal` has the table `notes`, its neighbor `other` has `secrets`.
const BOTH: &[&str] = &[
    "SELECT * FROM plugins",
    "SELECT count(*) FROM plugins",
    "SELECT 1 FROM plugins",
    "SELECT * FROM other_secrets",
    "SELECT text FROM other_secrets WHERE id = 1",
    "SELECT * FROM journal_notes, other_secrets",
    "SELECT (SELECT max(text) FROM other_secrets)",
    "SELECT * FROM journal_notes WHERE EXISTS (SELECT 1 FROM plugins)",
    "WITH x AS (SELECT * FROM other_secrets) SELECT * FROM x",
    "WITH RECURSIVE x AS (SELECT id FROM other_secrets UNION ALL SELECT id + 1 FROM x) SELECT * FROM x",
    "SELECT id FROM journal_notes UNION SELECT id FROM other_secrets",
    "SELECT * FROM _sqlx_migrations",
    "INSERT INTO plugins (id, plugin_id, created_at) VALUES ('a', 'b', 'c')",
    "UPDATE plugins SET plugin_id = 'x'",
    "UPDATE plugins SET plugin_id = 'x' WHERE 1 = 0",
    "DELETE FROM plugins",
    "DELETE FROM plugins WHERE 1 = 0",
    "INSERT INTO other_secrets (text) VALUES ('x')",
    "UPDATE other_secrets SET text = 'x'",
    "DELETE FROM other_secrets RETURNING text",
    "INSERT INTO journal_notes (title) SELECT text FROM other_secrets",
    "UPDATE journal_notes SET title = (SELECT text FROM other_secrets)",
    "DELETE FROM journal_notes WHERE title IN (SELECT plugin_id FROM plugins)",
    "INSERT INTO journal_notes (title) VALUES ('x') RETURNING (SELECT text FROM other_secrets)",
    "CREATE TABLE x (a int)",
    "CREATE TABLE x AS SELECT * FROM other_secrets",
    "CREATE INDEX x ON journal_notes (title)",
    "CREATE INDEX x ON other_secrets (text)",
    "CREATE VIEW x AS SELECT * FROM journal_notes",
    "DROP TABLE journal_notes",
    "DROP TABLE other_secrets",
    "DROP TABLE plugins",
    "ALTER TABLE journal_notes ADD COLUMN x int",
    "ALTER TABLE journal_notes RENAME TO x",
    "ALTER TABLE other_secrets RENAME COLUMN text TO x",
    "EXPLAIN SELECT * FROM other_secrets",
    "SELECT unknown_function(1)",
    "nonsense",
];

const SQLITE: &[&str] = &[
    "PRAGMA table_info(plugins)",
    "PRAGMA writable_schema = on",
    "PRAGMA query_only = off",
    "PRAGMA foreign_keys = off",
    "PRAGMA database_list",
    "ATTACH ':memory:' AS m",
    "ATTACH '/etc/passwd' AS m",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '/nowhere/x.db'",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "RELEASE x",
    "REINDEX",
    "ANALYZE",
    "ANALYZE other_secrets",
    "CREATE TEMP TABLE x (a)",
    "CREATE TEMP VIEW plugins AS SELECT 1",
    "CREATE TRIGGER x AFTER INSERT ON journal_notes BEGIN DELETE FROM plugins; END",
    "CREATE VIRTUAL TABLE x USING fts5(a)",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM sqlite_master",
    "SELECT sql FROM sqlite_temp_schema",
    "SELECT * FROM sqlite_sequence",
    "UPDATE sqlite_sequence SET seq = 9",
    "DELETE FROM sqlite_schema",
    "SELECT * FROM pragma_table_info('plugins')",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    "SELECT load_extension('x')",
    "SELECT load_extension('x', 'y')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_version()",
    "SELECT zeroblob(1000000)",
    "SELECT printf('%1000000d', 1)",
    "SELECT randomblob(1000000)",
    "SELECT last_insert_rowid()",
    "SELECT moondock_decimal_sum(title) FROM journal_notes",
    "SELECT 1; SELECT * FROM plugins",
    "SELECT 1; DELETE FROM other_secrets",
    "REPLACE INTO plugins (id, plugin_id, created_at) VALUES ('a', 'b', 'c')",
    "INSERT OR ROLLBACK INTO other_secrets (id, text) VALUES (1, 'x')",
    "WITH x AS (SELECT 1) SELECT count(*) FROM main.plugins",
];

const POSTGRES: &[&str] = &[
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_stat_file('/etc/passwd')",
    "SELECT * FROM pg_ls_logdir()",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/nowhere/x')",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "COPY journal_notes FROM PROGRAM 'id'",
    "COPY (SELECT 1) TO '/nowhere/x'",
    "COPY journal_notes FROM '/etc/passwd'",
    "SELECT dblink('dbname=x', 'SELECT 1')",
    "CREATE EXTENSION dblink",
    "CREATE ROLE moondock_never SUPERUSER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA x",
    "CREATE TYPE x AS (a int)",
    "CREATE RULE x AS ON SELECT TO journal_notes DO INSTEAD SELECT * FROM plugins",
    "CREATE POLICY x ON journal_notes",
    "CREATE TRIGGER x AFTER INSERT ON journal_notes EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "DROP ROLE CURRENT_USER",
    "DROP SCHEMA public CASCADE",
    "TRUNCATE journal_notes",
    "TRUNCATE other_secrets",
    "LOCK TABLE other_secrets",
    "GRANT SELECT ON other_secrets TO PUBLIC",
    "GRANT ALL ON other_secrets TO CURRENT_USER",
    "SELECT nextval('other_secrets_id_seq')",
    "SELECT setval('other_secrets_id_seq', 1)",
    "SELECT last_value FROM other_secrets_id_seq",
    "SELECT pg_reload_conf()",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_cancel_backend(pg_backend_pid())",
    "SELECT * FROM ONLY other_secrets",
    "SELECT * FROM public.other_secrets",
    "SELECT table_to_xml('other_secrets', true, true, '')",
    "SELECT query_to_xml('SELECT * FROM plugins', true, true, '')",
    "SELECT * FROM ts_stat('SELECT to_tsvector(text) FROM other_secrets')",
    "WITH x AS (DELETE FROM other_secrets RETURNING *) SELECT * FROM x",
    "MERGE INTO other_secrets USING journal_notes ON true WHEN MATCHED THEN DELETE",
    "SELECT * FROM journal_notes n, other_secrets s FOR UPDATE OF s",
    // The rights are looked at before the first function runs.
    "SELECT set_config('role', 'none', false), text FROM other_secrets",
    "SELECT set_config('role', 'none', true), (SELECT max(text) FROM other_secrets)",
    "SELECT 1; SELECT * FROM plugins",
    "SET SESSION AUTHORIZATION nobody",
    "BEGIN; SELECT 1",
];

struct Fenced {
    db: Database,
    fence: Arc<Fence>,
    /// Who the host is, on PostgreSQL.
    user: Option<Cell>,
}

/// A database with one connection of each kind, in which others than the plugin have rows.
async fn fenced(on: On) -> Fenced {
    let options = StoreOptions { connections: Some(1), ..StoreOptions::default() };
    let db = database_with(on, options).await;
    let set = |id: &str, table: TableDef| {
        Arc::new(TableSet::new(id, vec![table], vec![], vec![]).unwrap())
    };
    let id = ("id", T::Serial, "primaryKey");
    let own = set("journal", table("notes", &[id.clone(), ("title", T::Text, "")]));
    let other = set("other", table("secrets", &[id, ("text", T::Text, "")]));
    for set in [&own, &other] {
        db.create(set).await.unwrap();
    }
    let s = &db.session;
    plugins::insert(s, MARK).await.unwrap();
    let secret = map(json!({ "text": MARK }));
    Tables::new(Arc::clone(&other)).insert(s, "secrets", &secret).await.unwrap();
    let mut fence = Fence {
        tables: own.tables().iter().map(|table| table.physical.clone()).collect(),
        subqueries: vec!["x".into()],
        functions: Some(|name| raw::is_allowed_function(Dialect::Sqlite, name)),
        ..Fence::default()
    };
    let mut user = None;
    if on == On::Postgres {
        let tx = db.store.begin().await.unwrap();
        fence.role = role::ensure(tx.session(), &own).await.unwrap();
        role::ensure(tx.session(), &other).await.unwrap();
        tx.commit().await.unwrap();
        user = Some(current_user(s).await);
    }
    Fenced { db, fence: Arc::new(fence), user }
}

async fn current_user(session: &Session) -> Cell {
    let query = Select::select().expr(Expr::cust("CAST(current_user AS text)")).to_owned();
    let rows = session.fetch(Statement::read(Dialect::Postgres, &query)).await.unwrap();
    rows.into_iter().flatten().next().unwrap()
}

impl Fenced {
    fn statement(&self, sql: &str, writes: bool) -> Statement {
        let dialect = self.db.session.dialect();
        Statement::fenced(dialect, vec![sql.to_owned()], vec![], writes, Arc::clone(&self.fence))
    }

    /// All that is not the plugin's, read as the host. On a connection that has kept the role this is
    /// refused.
    async fn everything(&self, session: &Session) -> String {
        let mut found = Vec::new();
        for table in ["plugins", "other_secrets", "_sqlx_migrations"] {
            let query = Select::select().expr(Expr::cust("*")).from(table).to_owned();
            let rows = session.fetch(Statement::read(session.dialect(), &query)).await;
            found.push(rows.unwrap_or_else(|e| panic!("{table}: {e}")));
        }
        if let Some(user) = &self.user {
            assert_eq!(current_user(session).await, *user);
        }
        format!("{found:?}")
    }

    async fn titles(&self, session: &Session) -> Vec<Cell> {
        let query =
            Select::select().column("title").from("journal_notes").order_by("id", Asc).to_owned();
        let rows = session.fetch(Statement::read(session.dialect(), &query)).await.unwrap();
        rows.into_iter().flatten().collect()
    }
}

fn attempts(on: On) -> impl Iterator<Item = &'static str> {
    let own = if on == On::Sqlite { SQLITE } else { POSTGRES };
    BOTH.iter().chain(own).copied()
}

#[rstest]
#[tokio::test]
async fn alone_nothing_gets_past_the_fence(#[values(On::Sqlite, On::Postgres)] on: On) {
    let it = fenced(on).await;
    let session = &it.db.session;
    let before = it.everything(session).await;
    assert_eq!(before.matches(MARK).count(), 2, "{before}");
    for sql in attempts(on) {
        for writes in [false, true] {
            let rows = session.query(it.statement(sql, writes)).await;
            let changed = session.execute(it.statement(sql, writes)).await;
            for error in [rows.expect_err(sql), changed.expect_err(sql)] {
                assert!(!error.message.contains(MARK), "{sql}: {error}");
            }
            assert_eq!(it.everything(session).await, before, "{sql}");
        }
    }
    // What says that it only reads changes nothing of the plugin's own either.
    for sql in ["INSERT INTO journal_notes (title) VALUES ('x')", "DELETE FROM journal_notes"] {
        session.execute(it.statement(sql, false)).await.expect_err(sql);
    }
    assert_eq!(it.titles(session).await, []);
    let own = it.statement("INSERT INTO journal_notes (title) VALUES ('a') RETURNING id", true);
    assert_eq!(session.fetch(own).await.unwrap(), [[Cell::Int(1)]]);
    let own = it.statement("SELECT title FROM journal_notes", false);
    assert_eq!(session.fetch(own).await.unwrap(), [[Cell::Text("a".into())]]);
}

/// A refusal takes back nothing but itself, however many there are.
#[rstest]
#[tokio::test]
async fn in_a_transaction_nothing_gets_past_the_fence(#[values(On::Sqlite, On::Postgres)] on: On) {
    let it = fenced(on).await;
    let before = it.everything(&it.db.session).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let tx = it.db.store.begin_until(Isolation::ReadCommitted, deadline).await.unwrap();
    let session = tx.session();
    let mut expected = Vec::new();
    for (i, sql) in attempts(on).enumerate() {
        let own = format!("INSERT INTO journal_notes (title) VALUES ('{i}')");
        session.execute(it.statement(&own, true)).await.unwrap();
        expected.push(Cell::Text(i.to_string()));
        for writes in [false, true] {
            let error = session.query(it.statement(sql, writes)).await.expect_err(sql);
            assert!(!error.message.contains(MARK), "{sql}: {error}");
            session.execute(it.statement(sql, writes)).await.expect_err(sql);
        }
        assert_eq!(it.everything(session).await, before, "{sql}");
        assert_eq!(it.titles(session).await, expected, "{sql}");
    }
    tx.commit().await.unwrap();
    let session = &it.db.session;
    assert_eq!(it.titles(session).await, expected);
    assert_eq!(it.everything(session).await, before);
}

/// Nothing checks the statement here, so it may take the role off, or put it on for longer. The
/// connection is the host's again all the same.
#[tokio::test]
async fn no_statement_leaves_its_role_behind() {
    let it = fenced(On::Postgres).await;
    let session = &it.db.session;
    let before = it.everything(session).await;
    let role = &it.fence.role;
    for sql in [
        "SET ROLE NONE".to_owned(),
        "RESET ROLE".to_owned(),
        "RESET ALL".to_owned(),
        "SELECT set_config('role', 'none', false)".to_owned(),
        "SELECT set_config('role', 'none', true)".to_owned(),
        format!("SET ROLE \"{role}\""),
        format!("SELECT set_config('role', '{role}', false)"),
        format!("SELECT set_config('role', '{role}', true)"),
    ] {
        for writes in [false, true] {
            let _ = session.execute(it.statement(&sql, writes)).await;
            assert_eq!(it.everything(session).await, before, "{sql}");
            let tx = it.db.store.begin().await.unwrap();
            let _ = tx.session().execute(it.statement(&sql, writes)).await;
            assert_eq!(it.everything(tx.session()).await, before, "{sql}");
            tx.commit().await.unwrap();
            assert_eq!(it.everything(session).await, before, "{sql}");
        }
    }
    for sql in ["COMMIT", "ROLLBACK"] {
        let _ = session.execute(it.statement(sql, true)).await;
        assert_eq!(it.everything(session).await, before, "{sql}");
    }
}
