//! A common table may have the name of a foreign table. Where it is in scope, by this check, it must
//! be in scope for the database too, or the database would read the foreign table.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _, ValueRef as _};

use super::*;

/// Each reads `token` of the common table `other_secrets`, and none changes what the next one reads.
const BOTH: &[&str] = &[
    "with other_secrets as (select 0 as id, 'mine' as token) select token from other_secrets",
    "with other_secrets (id, token) as (select 0, 'mine') select s.token from other_secrets s",
    "with recursive other_secrets as (select 0 as id, 'mine' as token union all select id + 1, token from other_secrets where id < 3) select token from other_secrets",
    "with other_secrets as (select 'mine' as token), b as (select token from other_secrets) select token from b",
    "with other_secrets as (select 'mine' as token) select (select token from other_secrets)",
    "with other_secrets as (select 'mine' as token) select (select (select token from other_secrets) from {notes} limit 1)",
    "with other_secrets as (select 'mine' as token) select * from (select * from (select token from other_secrets) a) b",
    "with other_secrets as (select 'mine' as token) select title from {notes} where title in (select token from other_secrets)",
    "with other_secrets as (select 'mine' as token) select 'x' union select token from other_secrets",
    "with other_secrets as (select 'mine' as token) select token from other_secrets union all select token from other_secrets order by 1",
    "with other_secrets as (select 'mine' as token) select title from {notes} order by (select token from other_secrets)",
    "with other_secrets as (select 1 as token) select title from {notes} limit (select token from other_secrets)",
    "with other_secrets as (select 'mine' as token) select max(title) from {notes} group by (select token from other_secrets) having max(title) <> (select token from other_secrets)",
    "with other_secrets as (select 'mine' as token) select max(title) over (partition by (select token from other_secrets)) from {notes}",
    "with other_secrets as (select 'mine' as token) select n.title from {notes} n join other_secrets s on s.token = (select token from other_secrets)",
    "with other_secrets as (select 'mine' as token) select * from (with b as (select token from other_secrets) select token from b) c",
    "with other_secrets as (select 'outer' as token) select * from (with other_secrets as (select 'inner' as token) select token from other_secrets) c, other_secrets d",
    "with other_secrets as (select 'mine' as token) select * from (values ((select token from other_secrets))) v",
    "with other_secrets as (select 'mine' as token) select case when exists (select 1 from other_secrets where token = 'SECRET') then 'SECRET' else 'mine' end",
    "with OTHER_SECRETS as (select 'mine' as token) select token from other_secrets",
    "with other_secrets as (select 'mine' as token) select token from Other_Secrets",
    "with \"other_secrets\" as (select 'mine' as token) select token from other_secrets",
    "with other_secrets as (select 9 as id, 'mine' as token) insert into {notes} (id, title) select id, token from other_secrets returning title",
    "with other_secrets as (select 8 as id, 'mine' as token) insert into {notes} (id, title) values ((select id from other_secrets), (select token from other_secrets)) returning title",
    "with other_secrets as (select 'mine' as token) insert into {notes} (id, title) values (1, 'x') on conflict (id) do update set title = (select token from other_secrets) returning title",
    "with other_secrets as (select 'mine' as token) insert into {notes} (id, title) select 1, 'x' where true on conflict (id) do update set title = (select token from other_secrets) where exists (select 1 from other_secrets where token = 'mine') returning title",
    "with other_secrets as (select 'mine' as token) insert into {notes} (id, title) values (7, 'x') returning (select token from other_secrets)",
    "insert into {notes} (id, title) with other_secrets as (select 6 as id, 'mine' as token) select id, token from other_secrets returning title",
    "with other_secrets as (select 'mine' as token) update {notes} set title = (select token from other_secrets) returning title",
    "with other_secrets as (select 'mine' as token) update {notes} set (title, author_id) = (select token, token from other_secrets) returning title",
    "with other_secrets as (select 'mine' as token) update {notes} set title = token from other_secrets returning title",
    "with other_secrets as (select 'mine' as token) update {notes} set title = 'mine' where title = (select token from other_secrets) returning (select token from other_secrets)",
    "with other_secrets as (select 'mine' as token) delete from {notes} where title = (select token from other_secrets) returning (select token from other_secrets)",
];

const SQLITE: &[&str] = &[
    "with other_secrets as (select '[\"mine\"]' as token) select value from json_each((select token from other_secrets))",
    "with OTHER_secrets as (select 'mine' as token) select token from [oTHER_SECRETS]",
    "with other_secrets as (select 'mine' as token) insert or replace into {notes} (id, title) select 5, token from other_secrets returning (select token from other_secrets)",
];

/// What the databases refuse, however they do: a common table that reads itself where it cannot.
const NOT_RECURSIVE: &[&str] = &[
    "with recursive other_secrets as (select * from other_secrets) select * from other_secrets",
    "with recursive other_secrets as (select id, token from other_secrets union select 1, 'mine') select * from other_secrets",
    "with recursive other_secrets as (select 1 as id, 'mine' as token union select 2, (select token from other_secrets)) select * from other_secrets",
    "with recursive other_secrets as (select 1 as id, 'mine' as token union select * from (with y as (select * from other_secrets) select * from y) z) select * from other_secrets limit 3",
    "with recursive other_secrets as (select 1 as id, 'mine' as token where exists (select 1 from other_secrets)) select * from other_secrets",
    "with recursive other_secrets as (select 1 as id, 'mine' as token order by (select token from other_secrets)) select * from other_secrets",
    "with recursive other_secrets as (values (1, (select token from other_secrets))) select * from other_secrets",
    "with recursive other_secrets as (with y as (select * from other_secrets) select * from y) select * from other_secrets",
    "with recursive other_secrets as (select 1 as id, 'mine' as token except select id, token from other_secrets) select * from other_secrets",
];

#[tokio::test]
async fn common_tables_hide_foreign_ones_in_sqlite() {
    let mut sqlite = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    for sql in [
        "CREATE TABLE journal_notes (id INTEGER PRIMARY KEY, title TEXT, author_id TEXT)",
        "CREATE TABLE other_secrets (id INTEGER, token TEXT)",
        "INSERT INTO other_secrets VALUES (1, 'SECRET')",
    ] {
        sqlite.execute(sql).await.unwrap();
    }
    for sql in NOT_RECURSIVE {
        let statement = call(Dialect::Sqlite, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let rows = sqlx::raw_sql(AssertSqlSafe(joined(&statement))).fetch_all(&mut sqlite).await;
        for row in rows.unwrap_or_default() {
            assert_ne!(row.get::<String, _>(1), "SECRET", "{sql}");
        }
    }
    for sql in BOTH.iter().chain(SQLITE) {
        sqlite.execute("DELETE FROM journal_notes").await.unwrap();
        sqlite.execute("INSERT INTO journal_notes VALUES (1, 'mine', 'x')").await.unwrap();
        let statement = call(Dialect::Sqlite, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let rows = sqlx::raw_sql(AssertSqlSafe(joined(&statement))).fetch_all(&mut sqlite).await;
        let rows = rows.unwrap_or_else(|e| panic!("{sql}: {e}"));
        for row in &rows {
            for i in 0..row.len() {
                if !row.try_get_raw(i).unwrap().is_null() {
                    assert_ne!(row.try_get::<String, _>(i).unwrap(), "SECRET", "{sql}");
                }
            }
        }
        assert!(!rows.is_empty() || sql.contains(" having "), "{sql}");
        let secrets: i64 =
            sqlx::query_scalar("SELECT count(*) FROM journal_notes WHERE title = 'SECRET'")
                .fetch_one(&mut sqlite)
                .await
                .unwrap();
        assert_eq!(secrets, 0, "{sql}");
    }
}
