//! What changes is said in words, and what is not safe without a migration is refused.

use super::*;
use crate::extension::database::plan::{Change, diff};
use ColumnType as T;

fn described(changes: &[Change]) -> Vec<String> {
    let line = |c: &Change| {
        let additive = if c.additive { "" } else { " !" };
        let loses = if c.loses_data { " loses" } else { "" };
        let impossible = if c.possible { "" } else { " impossible" };
        format!("{}{additive}{loses}{impossible}: {}", c.action.as_str(), c.description)
    };
    changes.iter().map(line).collect()
}

#[test]
fn every_change_is_described() {
    let enums = |a: &[&str]| [enumeration("state", a)];
    let mut old = table(
        "posts",
        &[
            ("id", T::Serial, "primaryKey"),
            ("title", T::Text, "notNull"),
            ("author_id", T::Integer, ""),
            ("votes", T::Integer, "default=1 unique"),
            ("state", T::Enum("state".into()), ""),
            ("size", T::BigInt, "notNull"),
            ("old", T::Text, ""),
        ],
    );
    old.indexes = vec![index(&["title"], false), index(&["size"], true)];
    let users = table("users", &[("id", T::Serial, "primaryKey")]);
    let tags = table("tags", &[("name", T::Text, "primaryKey"), ("lang", T::Text, "notNull")]);
    let from = set(
        vec![users.clone(), old, tags.clone(), table("gone", &[("x", T::Text, "")])],
        &[enums(&["a", "b"])[0].clone(), enumeration("unused", &["x"])],
        &[relation("posts.author_id", "users.id", OnDelete::Cascade)],
    );
    let mut new = table(
        "posts",
        &[
            ("id", T::BigSerial, "primaryKey"),
            ("title", T::Text, "now"),
            // It has the same name in the database, so nothing happens.
            ("authorId", T::Integer, ""),
            ("votes", T::Decimal, "notNull default=2"),
            ("state", T::Enum("state".into()), "unique"),
            ("size", T::Integer, ""),
            ("slug", T::Text, "notNull"),
            ("at", T::Timestamp, "notNull now"),
        ],
    );
    new.columns[1].default = None;
    new.indexes = vec![index(&["title"], false), index(&["size", "votes"], true)];
    let mut tags = tags;
    tags.columns[0].primary_key = false;
    tags.primary_key = vec!["name".into(), "lang".into()];
    let to = set(
        vec![users, new, tags, table("fresh", &[("x", T::Text, "")])],
        &[enums(&["b", "c"])[0].clone(), enumeration("more", &["x"])],
        &[relation("posts.authorId", "users.id", OnDelete::SetNull)],
    );
    let expected = [
        "createEnum: enum more is created",
        "changeEnum !: enum state gets \"c\" and no longer has \"a\"",
        "createTable: table fresh is created",
        "addColumn !: posts.slug is added: required and without a default",
        "addColumn: posts.at is added",
        "alterColumn: posts.id changes from serial to bigserial",
        "alterColumn: posts.title may be null",
        "alterColumn: posts.authorId refers to users.id (onDelete setNull) instead of users.id (onDelete cascade)",
        "alterColumn !: posts.votes changes from integer to decimal",
        "alterColumn !: posts.votes becomes required",
        "alterColumn: posts.votes gets the default 2",
        "alterColumn: posts.votes need not be unique",
        "alterColumn: posts.state becomes unique",
        "alterColumn ! impossible: posts.size changes from bigint to integer",
        "alterColumn: posts.size may be null",
        "dropColumn ! loses: posts.old is dropped, with its values",
        "createIndex: the unique index of table posts on (size, votes) is created",
        "dropIndex: the unique index of table posts on (size) is dropped",
        "changeKey !: the primary key of table tags changes from (name) to (name, lang)",
        "dropTable ! loses: table gone is dropped, with its rows",
        "dropEnum: enum unused is dropped",
    ];
    assert_eq!(described(&diff(&from, &to)), expected);
    assert_eq!(diff(&to, &to), []);
}

#[test]
fn what_is_not_safe_needs_a_migration() {
    let from = one(&[("id", T::Serial, "primaryKey"), ("a", T::Text, ""), ("b", T::Text, "")]);
    let to = one(&[("id", T::Serial, "primaryKey"), ("a", T::Uuid, ""), ("c", T::Text, "")]);
    let names = ["0003_b".to_owned(), "0001_a".to_owned()];
    let before = Installed { set: from, migrations: names.to_vec() };
    let impossible = "t.a changes from text to uuid, which cannot be done with the values that are there: declare a new column and fill it in a migration";
    let plan = Plan::new(&before, &to, &[]);
    assert_eq!(
        plan.refused,
        [
            impossible,
            "t.b is dropped, with its values, which needs a migration: add migrations/0004_name.lua with up(db)",
        ]
    );
    assert!(plan.loses_data() && !plan.is_empty());
    assert_eq!(plan.sql(Dialect::Sqlite).unwrap(), Vec::<String>::new());

    let plan = Plan::new(&before, &to, &["0004_c".to_owned()]);
    assert_eq!(plan.refused, [impossible]);
    let same = Plan::new(&before, &before.set, &[]);
    assert!(same.is_empty() && same.refused.is_empty());
    assert!(!Plan::new(&before, &before.set, &["0004_c".to_owned()]).is_empty());
    let nothing = Installed::nothing("p");
    let plan = Plan::new(&Installed { set: to, ..nothing }, &before.set, &[]);
    assert!(plan.refused[1].contains("add migrations/0001_name.lua"), "{:?}", plan.refused);
}

#[test]
fn names_that_would_be_there_twice_are_refused() {
    let x = [("x", T::Text, "")];
    let named = |name: &str| {
        let mut t = table("t", &x);
        t.indexes = vec![IndexDef { name: Some(name.to_owned()), ..index(&["x"], false) }];
        t
    };
    let pending = ["0001_a".to_owned()];
    for (from, to, what) in [
        (
            set(vec![], &[enumeration("a", &["x"])], &[]),
            set(vec![table("a_enum", &x)], &[], &[]),
            "table a_enum is p_a_enum in the database, as enum a of the installed version is",
        ),
        (
            set(vec![table("a_enum", &x)], &[], &[]),
            set(vec![], &[enumeration("a", &["x"])], &[]),
            "enum a is p_a_enum in the database, as table a_enum of the installed version is",
        ),
        (
            set(vec![named("u")], &[], &[]),
            set(vec![table("t", &x), table("u", &x)], &[], &[]),
            "table u is p_u in the database, as an index of table t of the installed version is",
        ),
    ] {
        let refused = Plan::new(&installed(&from), &to, &pending).refused;
        assert_eq!(refused.len(), 1);
        assert!(refused[0].starts_with(what), "{refused:?}");
    }
}

#[test]
fn a_plan_says_what_it_runs() {
    let from = one(&[("id", T::Serial, "primaryKey"), ("a", T::Text, ""), ("n", T::Integer, "")]);
    let to = set(
        vec![
            table(
                "t",
                &[("id", T::Serial, "primaryKey"), ("b", T::Text, "notNull"), ("n", T::BigInt, "")],
            ),
            table("u", &[("tId", T::Integer, ""), ("on", T::Boolean, "default=true")]),
        ],
        &[],
        &[relation("u.tId", "t.id", OnDelete::SetNull)],
    );
    let plan = Plan::new(&installed(&from), &to, &["0001_move".to_owned()]);
    assert_eq!(
        plan.sql(Dialect::Postgres).unwrap(),
        [
            r#"CREATE TABLE "p_u" ( "t_id" integer, "on" boolean DEFAULT TRUE )"#,
            r#"ALTER TABLE "p_t" ADD COLUMN "b" text COLLATE "C""#,
            r#"ALTER TABLE "p_u" ADD CONSTRAINT "p_u_t_id_fkey" FOREIGN KEY ("t_id") REFERENCES "p_t" ("id") ON DELETE SET NULL DEFERRABLE"#,
            "-- migrations/0001_move",
            r#"ALTER TABLE "p_t" DROP COLUMN "a""#,
            r#"ALTER TABLE "p_t" ALTER COLUMN "n" TYPE bigint USING "n"::bigint"#,
            r#"ALTER TABLE "p_t" ALTER COLUMN "b" SET NOT NULL"#,
        ]
    );
    assert_eq!(
        plan.sql(Dialect::Sqlite).unwrap(),
        [
            r#"ALTER TABLE "p_t" ADD COLUMN "b" TEXT"#,
            r#"CREATE TABLE "p_u" ( "t_id" INT CONSTRAINT "p_u.t_id" CHECK ("t_id" BETWEEN -2147483648 AND 2147483647) REFERENCES "p_t" ("id") ON DELETE SET NULL, "on" INT DEFAULT 1 CONSTRAINT "p_u.on" CHECK ("on" IN (0, 1)) ) STRICT"#,
            "-- migrations/0001_move",
            r#"CREATE TABLE "p_t new" ( "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "b" TEXT NOT NULL, "n" INT ) STRICT"#,
            r#"INSERT INTO "p_t new" ("id", "b", "n") SELECT "id", "b", "n" FROM "p_t" ORDER BY "rowid" ASC"#,
            "DELETE FROM sqlite_sequence WHERE name = 'p_t new'",
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'p_t new', seq FROM sqlite_sequence WHERE name = 'p_t'",
            r#"DROP TABLE IF EXISTS "p_t""#,
            r#"ALTER TABLE "p_t new" RENAME TO "p_t""#,
        ]
    );
    let value = plan.to_value(Dialect::Sqlite).unwrap();
    let json = serde_json::to_value(&value).unwrap();
    assert_eq!(json["migrations"], json!(["0001_move"]));
    assert_eq!(json["refused"], json!([]));
    assert_eq!(json["sql"][0], json!("ALTER TABLE \"p_t\" ADD COLUMN \"b\" TEXT"));
    assert_eq!(
        json["changes"][1],
        json!({
            "action": "addColumn", "table": "t", "column": "b", "additive": false, "losesData": false,
            "description": "t.b is added: required and without a default",
        })
    );
}
