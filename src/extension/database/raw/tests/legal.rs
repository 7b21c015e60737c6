//! What authors may write. The text that goes on is prepared by a real SQLite, too.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _, Statement as _};

use super::*;

/// What both databases take.
pub const BOTH: &[&str] = &[
    "select * from {notes}",
    "SELECT n.* FROM {notes} n;",
    "select {notes}.title from {notes}",
    "select id, title as t, author_id \"the author\" from {notes} where id = ?",
    "select distinct author_id from {notes} where title <> 'it''s' order by author_id desc nulls last",
    "select all id from {notes} where not (id = ? or id in (?, ?)) and id not in (select note_id from {noteTags})",
    "select count(*) as n, sum(votes) total, avg(votes), min(id), max(id) from {notes}",
    "select author_id, count(distinct title) from {notes} group by author_id having count(*) > ? order by 2",
    "select count(*) filter (where votes > 3) from {notes}",
    "select case when votes > 1 then 'a' when votes is null then 'b' else 'c' end from {notes}",
    "select case votes when 1 then 'a' else 'b' end from {notes}",
    "select n.title, t.name from {notes} n join {noteTags} t on t.note_id = n.id",
    "select * from {notes} n left join {noteTags} t on t.note_id = n.id and t.name = ?",
    "select * from {notes} n inner join {noteTags} t on t.note_id = n.id cross join {notes} m",
    "select * from {notes} n left outer join ({noteTags} t join {notes} m on m.id = t.note_id) on n.id = m.id",
    "select * from {notes} a join {notes} b using (id, title)",
    "select * from {notes} a natural join {noteTags} b",
    "select * from {notes}, {noteTags} where note_id = id",
    "select * from journal_notes where journal_notes.id between ? and ? + 1",
    "select * from {notes} where title like ? and title not like '%x' escape '!'",
    "select * from {notes} where title is null or title is not null",
    "select * from {notes} where votes is not distinct from 1",
    "select * from {notes} where (votes > 1) = true and not false",
    "select * from {notes} where exists (select 1 from {noteTags} where note_id = id) limit 10 offset 20",
    "select * from {notes} n where not exists (select 1 from {noteTags} t where t.note_id = n.id)",
    "select (select max(id) from {notes}) as m, 1 + - - 2 * (3 - 4) / 5 % 6, -votes from {notes}",
    "select id from {notes} union all select note_id from {noteTags} union select 1 order by 1 limit ?",
    "select id from {notes} except select note_id from {noteTags}",
    "select id from {notes} intersect select note_id from {noteTags}",
    "values (1, 'a'), (2, 'b')",
    "select * from (values (1, 2)) v",
    "select * from (select id, title from {notes} where id > ?) s where s.id < ?",
    "with recent as (select * from {notes} order by id desc limit 3) select title from recent where id <> ?",
    "with a (x, y) as (select id, title from {notes}), b as (select x from a) select * from b join a using (x)",
    "with recursive r (n) as (select 1 union all select n + 1 from r where n < 5) select n from r",
    "with recursive tree as (select id, votes from {notes} where id = ? union select n.id, n.votes from {notes} n join tree t on n.votes = t.id) select * from tree",
    "with notes as (select 1 as one) select one from notes",
    "with x as (select 1) select * from (with y as (select * from x) select * from y) z",
    "select row_number() over (partition by author_id order by id desc) as rn from {notes}",
    "select sum(votes) over w, rank() over (w order by id) from {notes} window w as (partition by author_id)",
    "select sum(votes) over (order by id rows between 2 preceding and current row) from {notes}",
    "select sum(votes) over (order by id range between unbounded preceding and unbounded following), lag(title, 1, '') over (order by id) from {notes}",
    "select coalesce(title, ?), nullif(title, ''), lower(title), upper(title), length(title), trim(title), ltrim(title, 'x'), replace(title, 'a', 'b'), substr(title, 1, 2), abs(votes), round(1.5) from {notes}",
    "select meta -> 'a' -> 'b' ->> 'c' from {notes}",
    "select cast(votes as text), cast(title as integer), cast(? as real), cast('1.5' as numeric(10, 2)), cast(1 as double precision) from {notes}",
    "select 'a' || title || 'b' from {notes} where (id, title) = (?, ?)",
    "select 1 & 2 | 4 << 1 >> 1, ~ votes from {notes}",
    "select current_timestamp, current_date, current_time",
    "select 1.5e-10, .5, 1., 1_000, 'ünïcödé ''quoted'' \\ 日本 \"x\" ; -- /* {notes} ? $1'",
    "insert into {notes} (id, title) values (?, ?)",
    "insert into {notes} (id, title) values (1, 'a'), (2, 'b'), (?, ?) returning id, title as t",
    "insert into {notes} (id, title) select note_id, name from {noteTags} where name = ?",
    "insert into {notes} default values",
    "insert into {notes} (id, votes) values (?, 1) on conflict (id) do update set votes = excluded.votes + {notes}.votes where excluded.votes > ? returning *",
    "insert into {notes} (id) values (?) on conflict do nothing",
    "insert into {notes} (id) values (?) on conflict (id) do nothing",
    "with s as (select 1 as a) insert into {notes} (id) select a from s",
    "update {notes} set votes = votes + 1, title = ? where id = ?",
    "update {notes} as n set votes = t.note_id from {noteTags} t where t.note_id = n.id returning id",
    "update {notes} set (title, author_id) = (?, ?) where id = ?",
    "with s as (select 1 as a) update {notes} set votes = (select a from s)",
    "delete from {notes}",
    "delete from {notes} as n where n.id in (select note_id from {noteTags}) returning *",
    "with s as (select 1 as a) delete from {notes} where id in (select a from s)",
    "/* a {comment} ? */ select -- another {nothing} ?\n id /*! inner */ from {notes} where id = ? -- end",
    "select\r\n\tid\r\nfrom\r\n\t{notes}",
    "select \"id\", \"Odd \"\"name\"\"\" from (select id, 1 as \"Odd \"\"name\"\"\" from {notes}) x",
    "select \"select\", \"from\" from (select 1 as \"select\", 2 as \"from\") \"where\"",
    "select user_name, type, value, key, data, name, date, text, year from (select 1 as user_name, 2 as type, 3 as value, 4 as key, 5 as data, 6 as name, 7 as date, 8 as text, 9 as year) x",
    "select string_agg(title, ', ' order by id) from {notes}",
];

pub const SQLITE: &[&str] = &[
    "select rowid, oid, _rowid_ from {notes}",
    "select [id], `title`, \"votes\" from [journal_notes]",
    "select ID, Title from JOURNAL_NOTES where Journal_Notes.id = ?",
    "select id from {notes} limit 5, 10",
    "select id from {notes} where votes is ? and title is not ?",
    "select id from {notes} where votes == 1 and title != 'x' and title glob 'a*'",
    "select id from {notes} where title notnull or votes not null",
    "select ifnull(title, 'x'), iif(votes > 1, 'a', 'b'), instr(title, 'a'), char(65), unicode('a'), hex(title), quote(title), typeof(votes), total(votes), group_concat(title, ',') from {notes}",
    "select strftime('%Y', created_at), datetime('now'), date(created_at, '+1 day'), time('now'), julianday('now'), unixepoch() from {notes}",
    "select json_extract(meta, '$.a'), json_group_array(title), json_object('a', 1), json_array(1, 2), json_set(meta, '$.a', 1), json_type(meta), json_valid(meta) from {notes}",
    "select n.id, e.key, e.value from {notes} n, json_each(n.meta, '$.tags') e where e.value = ?",
    "select * from json_tree(?) where type = 'text'",
    "select x'00ff', X'', length(x'41')",
    "select cast(meta as blob) from {notes}",
    "insert or ignore into {notes} (id) values (?)",
    "insert or replace into {notes} (id) values (?)",
    "replace into {notes} (id, title) values (?, ?)",
    "update or ignore {notes} set title = ?",
    "insert into {notes} (id) select 1 where true on conflict do nothing",
    "select title collate nocase from {notes} order by title collate rtrim",
    "select * from {notes} order by votes collate moondock_decimal",
    "select min(1, 2), max(id, votes) from {notes}",
    "select * from {notes} full join {noteTags} on true",
    "select * from {notes} right join {noteTags} on note_id = id",
    "select substring(title, 2), trim(title, 'x') from {notes}",
    "select 1 in () from {notes}",
    "/* /* not nested */ select 1",
    "select likely(1), round(votes, 2), random(), max(coalesce(votes, 0)) from {notes}",
];

pub const POSTGRES: &[&str] = &[
    "select ID, Title from Journal_Notes where JOURNAL_NOTES.Id = ?",
    "select distinct on (author_id) author_id, title from {notes} order by author_id, created_at desc",
    "select title::text, votes::bigint, '2020-01-01'::date, ?::int, ?::text[], 1::numeric(10, 2), now()::timestamptz from {notes}",
    "select cast(title as varchar(10)), cast(? as uuid), cast('[1]' as jsonb), cast(1 as double precision), cast(now() as timestamp(3) with time zone) from {notes}",
    "select date '2020-01-01', timestamp '2020-01-01 00:00', interval '1 day', interval '1' hour, interval '1-2' year to month, uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    "select now() at time zone 'UTC' + interval '1 day'",
    "select extract(year from now()), extract(epoch from now()), date_trunc('day', now()), date_part('hour', now()), to_char(now(), 'YYYY'), age(now())",
    "select position('a' in title), substring(title from 2 for 3), substring(title, 1, 2), substring(title from 'a.c'), overlay(title placing 'x' from 1 for 2), trim(both 'x' from title), trim(leading from title), trim(title) from {notes}",
    "select title ilike ?, title not ilike 'a%', title similar to 'a|b', title ~ 'a', title !~* 'b', title ~~ 'c', title ^@ 'd' from {notes}",
    "select meta::jsonb -> 'a' -> 0, meta::jsonb ->> 'a', meta::jsonb #> '{a,b}', meta::jsonb #>> array['a', 'b'], meta::jsonb @> '{\"a\":1}', meta::jsonb <@ ?, meta::jsonb - 'a', meta::jsonb #- '{a}', meta::jsonb @? '$.a', meta::jsonb @@ '$.a > 1' from {notes}",
    "select jsonb_exists(meta::jsonb, ?), jsonb_exists_any(meta::jsonb, array['a']), jsonb_set(meta::jsonb, '{a}', '1'), jsonb_build_object('a', 1), to_jsonb(n), row_to_json(n), jsonb_path_query_array(meta::jsonb, '$.a') from {notes} n",
    "select jsonb_agg(title order by id) from {notes}",
    "select e.key, e.value from {notes} n, jsonb_each(n.meta::jsonb) e",
    "select * from {notes} n cross join lateral jsonb_array_elements_text(n.meta::jsonb) as t(tag)",
    "select * from {notes} n left join lateral (select count(*) c from {noteTags} t where t.note_id = n.id) x on true",
    "select * from unnest(array[1, 2], array['a', 'b']) with ordinality as t(a, b, n)",
    "select * from generate_series(1, ?) as s(n)",
    "select id from {notes} where id = any (?) or id = all (select note_id from {noteTags}) or id <> some (array[1, 2])",
    "select array[[1, 2], [3, 4]], (array[1, 2, 3])[2], (array[1, 2, 3])[1:2], array(select id from {notes}), array_agg(distinct title order by title), cardinality(array[1]) from {notes}",
    "select count(*), author_id, votes from {notes} group by grouping sets ((author_id), (votes), ())",
    "select count(*), author_id, votes, grouping(votes) from {notes} group by rollup (author_id, votes)",
    "select count(*), author_id, votes from {notes} group by cube (author_id, (votes))",
    "select percentile_cont(0.5) within group (order by votes), mode() within group (order by title), bool_and(votes > 1), stddev(votes) from {notes}",
    "select sum(votes) over (order by id groups between 1 preceding and 1 following) from {notes}",
    "select * from {notes} where id = ? for update",
    "select * from {notes} for share nowait",
    "select * from {notes} for update skip locked limit 1",
    "select * from {notes} order by id fetch first 5 rows only",
    "select * from {notes} order by id offset 5 rows fetch first 5 rows with ties",
    "select id from {notes} limit ? offset ?",
    "(select id from {notes} limit 1) union all (select note_id from {noteTags} limit 1) order by 1",
    "select id from {notes} union distinct select 1",
    "with gone as (delete from {notes} where id = ? returning *) select count(*) from gone",
    "with a as materialized (select 1 x), b as not materialized (select 2 y) select * from a, b",
    "with moved as (delete from {notes} where votes > ? returning id, title) insert into {notes} (id, title) select id + 100, title from moved returning id",
    "with s as (update {notes} set votes = 1 returning id) select * from {noteTags} where note_id in (select id from s)",
    "insert into {notes} as n (id, votes) values (?, default) on conflict (id) do update set votes = n.votes + 1, title = default",
    "insert into {notes} (id) values (1) on conflict on constraint journal_notes_pkey do nothing",
    "insert into {notes} (id) overriding user value values (1)",
    "delete from {notes} n using {noteTags} t where t.note_id = n.id",
    "update {notes} n set title = t.name from {noteTags} t join {notes} m on m.id = t.note_id where n.id = t.note_id",
    "insert into {noteTags} (note_id, name, state) values (1, 'x', 'on'::{state})",
    "select ?::{state}, cast('on' as journal_state_enum), state::text from {noteTags}",
    "select E'a\\nb\\'c\\\\', 'back\\slash', $$dollar 'quoted'$$, $t$with $$ in it$t$",
    "select /* outer /* inner */ still */ 1",
    "select /*+ seqscan(n) */ n.id from {notes} n",
    "select to_tsvector('english', title) @@ plainto_tsquery('english', ?), ts_rank(to_tsvector(title), to_tsquery('a')) from {notes}",
    "select title collate \"C\" from {notes} order by title collate \"und-x-icu\"",
    "select make_interval(days => 3), greatest(1, 2), least(1, ?), left(title, 2), right(title, 2), split_part(title, ',', 1), md5(title), regexp_replace(title, 'a', 'b', 'g'), gen_random_uuid() from {notes}",
    "select row(1, 2) = row(1, 2), (1, 2) < (1, 3), (now(), now()) overlaps (now(), now())",
    "select count(n.*) from {notes} n",
    "select votes ^ 2, votes # 1, array[1] && array[2] from {notes}",
    "select 1 from {notes} where (votes > 1) is unknown is not true or title is null",
    "select localtimestamp, localtime, current_timestamp(3), ceil(1.2), floor(1.7), power(2, 3), sqrt(2)",
    "select * from {notes} a join {notes} b join {notes} c on b.id = c.id on a.id = b.id",
];

/// Every legal statement of a dialect.
pub fn statements(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    let own = match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    };
    BOTH.iter().chain(own).copied()
}

#[test]
fn what_is_legal_is_written_again_and_reads_the_same() {
    for dialect in DIALECTS {
        for sql in statements(dialect) {
            let statement = call(dialect, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
            let again = joined(&statement);
            assert_eq!(call(dialect, &again), Ok(statement), "{sql}\n{again}");
        }
    }
}

#[tokio::test]
async fn what_is_legal_is_legal_in_sqlite() {
    let mut sqlite = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    for sql in [
        "CREATE TABLE journal_notes (id INTEGER PRIMARY KEY, title TEXT, author_id TEXT, \
         votes INTEGER, meta TEXT, created_at TEXT)",
        "CREATE TABLE journal_note_tags (note_id INTEGER, name TEXT, state TEXT)",
    ] {
        sqlite.execute(sql).await.unwrap();
    }
    for sql in statements(Dialect::Sqlite) {
        // The host adds this one to its connections.
        if sql.contains(DECIMAL_COLLATION) {
            continue;
        }
        let statement = call(Dialect::Sqlite, sql).unwrap();
        let text = numbered(&statement, "?");
        let prepared = sqlite.prepare(AssertSqlSafe(text.clone()).into_sql_str()).await;
        let prepared = prepared.unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(!prepared.columns().is_empty(), statement.returns_rows, "{text}");
    }
}

#[test]
fn the_text_is_the_one_that_was_meant() {
    use Dialect::{Postgres, Sqlite};
    for (dialect, sql, expected, writes, returns_rows) in [
        (
            Sqlite,
            "SELECT Count(*) AS n, title FROM {notes} WHERE author_id = ? -- all",
            r#"SELECT Count(*) AS `n`, `title` FROM "journal_notes" WHERE `author_id` = ?"#,
            false,
            true,
        ),
        (
            Postgres,
            r#"select Title, "Title" from {notes} as N where meta::jsonb->>'a'=?and votes<- -1"#,
            r#"SELECT "title", "Title" FROM "journal_notes" AS "n" WHERE "meta" :: JSONB ->> 'a' = ? AND "votes" < - - 1"#,
            false,
            true,
        ),
        (
            Sqlite,
            r#"insert into {notes} (title) values (?), ('{notes} ? \ '' "')"#,
            r#"INSERT INTO "journal_notes" (`title`) VALUES (?), ('{notes} ? \ '' "')"#,
            true,
            false,
        ),
        (
            Postgres,
            r"insert into {notes} (title) values ('{notes} ? \ '''), (E'\'\\\t\x41\u00e9'), ($a$'?$a$)",
            "INSERT INTO \"journal_notes\" (\"title\") VALUES (E'{notes} ? \\\\ '''), (E'''\\\\\tAé'), ('''?')",
            true,
            false,
        ),
        (
            Postgres,
            "with gone as (delete from {notes} returning id) select count(*) from gone",
            r#"WITH "gone" AS (DELETE FROM "journal_notes" RETURNING "id") SELECT count(*) FROM "gone""#,
            true,
            true,
        ),
        (
            Postgres,
            "select 1 from {notes} for update nowait",
            r#"SELECT 1 FROM "journal_notes" FOR UPDATE NOWAIT"#,
            true,
            true,
        ),
    ] {
        let statement = call(dialect, sql).unwrap();
        assert_eq!(joined(&statement), expected);
        assert_eq!((statement.writes, statement.returns_rows), (writes, returns_rows), "{sql}");
    }
}

#[test]
fn parameters_keep_their_order() {
    let statement = call(Dialect::Sqlite, "select ?, 'a?' || ? from {notes} limit ?").unwrap();
    assert_eq!(statement.pieces, ["SELECT ", ", 'a?' || ", r#" FROM "journal_notes" LIMIT "#, ""]);
    // The database wants the limit first, so the two values would change places.
    let error = call(Dialect::Postgres, "select 1 offset ? limit ?").unwrap_err();
    assert!(error.ends_with("write LIMIT before OFFSET"), "{error}");
}

#[test]
fn errors_say_where_and_what() {
    use Dialect::{Postgres, Sqlite};
    for (dialect, sql, expected) in [
        (
            Sqlite,
            "select *\n  from {note}",
            r#"line 2, column 8: the plugin has no table "note"; did you mean "notes"?"#,
        ),
        (
            Sqlite,
            "select * from notes",
            r#"line 1, column 15: "notes" is not a table of the plugin; write {notes}"#,
        ),
        (
            Sqlite,
            "select * from users",
            r#"line 1, column 15: "users" is not a table of the plugin; the plugin's tables are written as {notes}"#,
        ),
        (
            Sqlite,
            "select * frm {notes}",
            "line 1, column 10: expected the end of the statement, found frm",
        ),
        (
            Sqlite,
            "select\nzeroblob(5)",
            r#"line 2, column 1: the function "zeroblob" is not allowed in raw SQL"#,
        ),
        (
            Sqlite,
            "pragma journal_mode",
            r#"line 1, column 1: expected SELECT, INSERT, UPDATE or DELETE, found "PRAGMA""#,
        ),
        (
            Sqlite,
            "drop table {notes}",
            "line 1, column 1: DROP is not allowed here: tables are declared, and changed in migrations",
        ),
        (
            Sqlite,
            "select 1; select 2",
            "line 1, column 11: expected the end of the statement, found select",
        ),
        (Sqlite, " ", "line 1, column 1: expected a statement, found nothing"),
        (Sqlite, "select $1", r#"line 1, column 8: write ? for a parameter, not "$1""#),
        (Sqlite, "update {notes} set", "the text ends too early: expected: identifier, found: EOF"),
        (
            Postgres,
            "select meta ? 'a' from {notes}",
            "line 1, column 13: expected an operator, found ?, which is a parameter; for JSON write jsonb_exists(value, key)",
        ),
        (
            Postgres,
            "select 1\nwhere 'a'::regclass = 1",
            "line 2, column 7: the type REGCLASS is not allowed in raw SQL",
        ),
        (
            Sqlite,
            "select 1 from {notes}\u{200b}",
            r"line 1, column 22: there is a '\u{200b}' (U+200B) outside of strings and comments, where only ASCII is allowed",
        ),
    ] {
        let found = call(dialect, sql).unwrap_err();
        let expected = match expected.strip_prefix("line") {
            Some(_) => format!("raw SQL, {expected}"),
            None => format!("raw SQL: {expected}"),
        };
        assert_eq!(found, expected);
    }
}
