//! Rows survive every kind of change, in both databases.

use super::*;
use crate::store::DbErrorKind;
use ColumnType as T;

/// Runs statements in their order.
async fn sql(db: &Database, statements: &[&str]) {
    for text in statements {
        let done = db.session.execute(Statement::schema_text(*text)).await;
        done.unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

/// The first column of what a query gives, as text.
async fn texts(db: &Database, sql: &str) -> Vec<String> {
    let rows = db.session.fetch(Statement::schema_text(sql)).await;
    let rows = rows.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let text = |cell| match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Bool(b) => i64::from(b).to_string(),
        Cell::Int(n) => n.to_string(),
        Cell::Real(n) => n.to_string(),
        Cell::Text(text) | Cell::Json(text) => text,
        Cell::Blob(bytes) => format!("{bytes:?}"),
    };
    rows.into_iter().filter_map(|row| row.into_iter().next()).map(text).collect()
}

/// 1,000 numbers, as a query.
const NUMBERS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)";

#[tokio::test]
async fn children_stay_when_their_parents_are_written_anew() {
    let parents = |kind: &str| {
        table(
            "parents",
            &[
                ("id", T::Integer, "primaryKey"),
                ("parentId", T::Integer, ""),
                ("kind", T::Enum("kind".into()), kind),
            ],
        )
    };
    let children = || {
        table("children", &[("id", T::Serial, "primaryKey"), ("parentId", T::Integer, "notNull")])
    };
    for action in [OnDelete::Cascade, OnDelete::Restrict, OnDelete::NoAction] {
        let relations = [
            relation("parents.parentId", "parents.id", action),
            relation("children.parentId", "parents.id", action),
        ];
        let from =
            set(vec![parents(""), children()], &[enumeration("kind", &["a", "b"])], &relations);
        // The check of the enum is another, and the column is required.
        let to = set(
            vec![parents("notNull default=\"c\""), children()],
            &[enumeration("kind", &["c", "a"])],
            &relations,
        );
        for db in databases().await {
            db.create(&from).await.unwrap();
            sql(
                &db,
                &[
                    &format!(
                        "{NUMBERS} INSERT INTO p_parents SELECT i, nullif(i - 1, 0), 'a' FROM n"
                    ),
                    &format!("{NUMBERS} INSERT INTO p_children (parent_id) SELECT i FROM n"),
                ],
            )
            .await;
            db.change(&from, &to).await.unwrap();
            let counted = |table: &'static str| count(&db.session, table);
            assert_eq!((counted("p_parents").await, counted("p_children").await), (1000, 1000));
            assert_eq!(texts(&db, "SELECT sum(parent_id) FROM p_parents").await, ["499500"]);
            assert_eq!(texts(&db, "SELECT sum(parent_id) FROM p_children").await, ["500500"]);
            let kinds = "SELECT DISTINCT CAST(kind AS text) FROM p_parents";
            assert_eq!(texts(&db, kinds).await, ["a"]);

            // The foreign keys are there, and lead to the new table.
            sql(&db, &["INSERT INTO p_parents (id, parent_id) VALUES (1001, 1000)"]).await;
            let dangling =
                Statement::schema_text("INSERT INTO p_children (parent_id) VALUES (1002)");
            let error = db.session.execute(dangling).await.unwrap_err();
            assert_eq!(error.kind, DbErrorKind::ForeignKeyViolation);
            let delete = Statement::schema_text("DELETE FROM p_parents WHERE id = 999");
            let deleted = db.session.execute(delete).await;
            if action == OnDelete::Cascade {
                deleted.unwrap();
                assert_eq!((counted("p_parents").await, counted("p_children").await), (998, 998));
            } else {
                assert_eq!(deleted.unwrap_err().kind, DbErrorKind::ForeignKeyViolation);
            }
            db.drop(&to).await.unwrap();
        }
    }
}

#[tokio::test]
async fn values_are_converted_alike() {
    let types = [
        ("int", T::Integer, "-7", "-7"),
        ("big", T::BigInt, "9223372036854775807", "9223372036854775807"),
        ("dec", T::Decimal, "'1.50'", "1.50"),
        ("large", T::Decimal, "'100000000000000000000'", "100000000000000000000"),
        ("on", T::Boolean, "TRUE", "true"),
        ("off", T::Boolean, "FALSE", "false"),
        ("stamp", T::Timestamp, "'0009-01-02T03:04:05.678Z'", "0009-01-02T03:04:05.678Z"),
        ("whole", T::Timestamp, "'2026-01-02T03:04:05.000Z'", "2026-01-02T03:04:05.000Z"),
        ("day", T::Date, "'0009-01-02'", "0009-01-02"),
        ("clock", T::Time, "'03:04:05'", "03:04:05"),
        ("millis", T::Time, "'03:04:05.600'", "03:04:05.600"),
        ("json", T::Json, "'{\"b\": [1,\"x\"]}'", "{\"b\": [1,\"x\"]}"),
        (
            "uuid",
            T::Uuid,
            "'6f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0'",
            "6f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0",
        ),
        ("state", T::Enum("e".into()), "'it''s'", "it's"),
    ];
    let enums = [enumeration("e", &["it's", "r"])];
    let of = |columns: Vec<(&str, T, &str)>| {
        let mut all = vec![("id", T::Serial, "primaryKey")];
        all.extend(columns);
        set(vec![table("t", &all)], &enums, &[])
    };
    let from = of(types.iter().map(|(name, ty, ..)| (*name, ty.clone(), "")).collect());
    let to = of(types.iter().map(|(name, ..)| (*name, T::Text, "")).collect());
    let names: Vec<String> = types.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    let values: Vec<&str> = types.iter().map(|(_, _, value, _)| *value).collect();
    for db in databases().await {
        db.create(&from).await.unwrap();
        let (names, values) = (names.join(", "), values.join(", "));
        sql(
            &db,
            &[
                &format!("INSERT INTO p_t ({names}) VALUES ({values})"),
                "INSERT INTO p_t (id) VALUES (5)",
            ],
        )
        .await;
        db.change(&from, &to).await.unwrap();
        for (name, _, _, expected) in &types {
            let column = format!("SELECT \"{name}\" FROM p_t ORDER BY id");
            assert_eq!(texts(&db, &column).await, [*expected, "NULL"], "{name} in {:?}", db.store);
        }
    }
}

#[tokio::test]
async fn numbers_become_wider_ones_and_text_becomes_an_enum() {
    let of = |(a, b, c, d): (T, T, T, T), e: &str| {
        let columns =
            [("id", a, "primaryKey"), ("n", b, "unique default=3"), ("r", c, ""), ("s", d, e)];
        set(vec![table("t", &columns)], &[enumeration("e", &["x", "y"])], &[])
    };
    let from = of((T::Serial, T::Integer, T::Integer, T::Text), "default=\"x\"");
    let middle = of((T::BigSerial, T::BigInt, T::Real, T::Enum("e".into())), "default=\"y\"");
    let to = of((T::BigInt, T::Decimal, T::DoublePrecision, T::Text), "");
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db, &["INSERT INTO p_t (n, r, s) VALUES (-2147483648, 7, 'y'), (2, 8, NULL)"]).await;
        db.change(&from, &middle).await.unwrap();
        sql(&db, &["INSERT INTO p_t (n, r) VALUES (9223372036854775807, 0.5)"]).await;
        let all = |sql: &'static str| texts(&db, sql);
        assert_eq!(all("SELECT id FROM p_t ORDER BY id").await, ["1", "2", "3"]);
        assert_eq!(all("SELECT CAST(s AS text) FROM p_t ORDER BY id").await, ["y", "NULL", "y"]);
        assert_eq!(all("SELECT r FROM p_t ORDER BY id").await, ["7", "8", "0.5"]);
        db.change(&middle, &to).await.unwrap();
        sql(
            &db,
            &["INSERT INTO p_t (id, n) VALUES (9, '1.50')", "INSERT INTO p_t (id) VALUES (10)"],
        )
        .await;
        let numbers = ["-2147483648", "2", "9223372036854775807", "1.50", "3"];
        assert_eq!(all("SELECT n FROM p_t ORDER BY id").await, numbers);
        // It is compared as a number everywhere.
        let again = Statement::schema_text("INSERT INTO p_t (id, n) VALUES (11, '1.5')");
        assert_eq!(db.session.execute(again).await.unwrap_err().kind, DbErrorKind::UniqueViolation);
    }
}

#[tokio::test]
async fn rows_that_are_there_get_the_defaults_of_new_columns() {
    let old = [("id", T::Serial, "primaryKey")];
    let new = [
        ("id", T::Serial, "primaryKey"),
        ("token", T::Uuid, "notNull random unique"),
        ("at", T::Timestamp, "notNull now"),
        ("day", T::Date, "notNull now"),
        ("clock", T::Time, "notNull now"),
        ("n", T::Integer, "notNull default=-3"),
        ("state", T::Enum("e".into()), "notNull default=\"it's\""),
        ("meta", T::Json, "default={\"b\":1,\"a\":[\"'?$1\"]}"),
        ("empty", T::Text, ""),
    ];
    let from = one(&old);
    let to = set(vec![table("t", &new)], &[enumeration("e", &["it's"])], &[]);
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db, &[&format!("{NUMBERS} INSERT INTO p_t (id) SELECT i FROM n")]).await;
        db.change(&from, &to).await.unwrap();
        let distinct = |column: &str| texts_of(&db, format!("SELECT DISTINCT {column} FROM p_t"));
        let tokens = distinct("token").await;
        assert_eq!(tokens.len(), 1000);
        for token in tokens {
            let uuid = uuid::Uuid::parse_str(&token).unwrap();
            assert_eq!((uuid.get_version_num(), uuid.to_string()), (4, token));
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        }
        for (column, length) in [("at", 24), ("day", 10)] {
            let found = distinct(column).await;
            assert_eq!((found.len(), found[0].len()), (1, length), "{column}: {found:?}");
        }
        assert_eq!(distinct("clock").await.len(), 1);
        assert_eq!(distinct("n").await, ["-3"]);
        assert_eq!(distinct("CAST(state AS text)").await, ["it's"]);
        let meta = distinct("CAST(meta AS text)").await;
        assert_eq!(meta, ["{\"a\":[\"'?$1\"],\"b\":1}"]);
        assert_eq!(distinct("empty").await, ["NULL"]);
    }
}

async fn texts_of(db: &Database, sql: String) -> Vec<String> {
    texts(db, &sql).await
}

#[tokio::test]
async fn numbers_of_deleted_rows_are_not_given_again() {
    let from = one(&[("id", T::Serial, "primaryKey"), ("n", T::Integer, "")]);
    let to = one(&[("id", T::Serial, "primaryKey"), ("n", T::Integer, "unique")]);
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db, &["INSERT INTO p_t (n) VALUES (1), (2), (3)", "DELETE FROM p_t"]).await;
        db.change(&from, &to).await.unwrap();
        sql(&db, &["INSERT INTO p_t (n) VALUES (1)"]).await;
        db.change(&to, &from).await.unwrap();
        sql(&db, &["INSERT INTO p_t (n) VALUES (1)"]).await;
        assert_eq!(texts(&db, "SELECT id FROM p_t ORDER BY id").await, ["4", "5"]);
    }
}

#[tokio::test]
async fn keys_change() {
    let columns = [("a", T::Integer, ""), ("b", T::Text, ""), ("c", T::Text, "unique")];
    let composite = {
        let mut t = table("t", &columns);
        t.primary_key = vec!["b".into(), "a".into()];
        set(vec![t], &[], &[])
    };
    let plain = one(&[("a", T::Integer, "primaryKey"), columns[1].clone(), columns[2].clone()]);
    let serial = one(&[("a", T::Serial, "primaryKey"), columns[1].clone(), columns[2].clone()]);
    let other = one(&[("id", T::BigSerial, "primaryKey"), columns[1].clone(), columns[2].clone()]);
    for db in databases().await {
        db.create(&composite).await.unwrap();
        sql(&db, &["INSERT INTO p_t VALUES (2, 'x', 'u'), (1, 'y', 'v')"]).await;
        for (from, to) in
            [(&composite, &plain), (&plain, &serial), (&serial, &composite), (&composite, &serial)]
        {
            db.change(from, to).await.unwrap();
            assert_eq!(texts(&db, "SELECT b FROM p_t ORDER BY a").await, ["y", "x"]);
        }
        // It goes on after the numbers that are there.
        sql(&db, &["INSERT INTO p_t (b, c) VALUES ('z', 'w')"]).await;
        assert_eq!(texts(&db, "SELECT a FROM p_t WHERE b = 'z'").await, ["3"]);
        db.change(&serial, &other).await.unwrap();
        assert_eq!(texts(&db, "SELECT id FROM p_t ORDER BY id").await, ["1", "2", "3"]);
        sql(&db, &["INSERT INTO p_t (b) VALUES ('new')"]).await;
        assert_eq!(texts(&db, "SELECT id FROM p_t WHERE b = 'new'").await, ["4"]);
    }
}

#[tokio::test]
async fn columns_come_and_go_all_at_once() {
    let from = one(&[("a", T::Integer, "default=1"), ("b", T::Text, "unique")]);
    let to = one(&[("c", T::Integer, "notNull default=5"), ("d", T::Uuid, "random")]);
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db, &["INSERT INTO p_t (b) VALUES ('x'), ('y')"]).await;
        db.change(&from, &to).await.unwrap();
        assert_eq!(texts(&db, "SELECT c FROM p_t").await, ["5", "5"]);
        assert_eq!(texts(&db, "SELECT count(DISTINCT d) FROM p_t").await, ["2"]);
    }
}

#[tokio::test]
async fn columns_that_refer_to_others_come_and_go() {
    let a = || table("a", &[("id", T::Serial, "primaryKey"), ("code", T::Text, "")]);
    let b = |columns: &[(&str, T, &str)]| {
        let mut all = vec![("id", T::Serial, "primaryKey")];
        all.extend_from_slice(columns);
        table("b", &all)
    };
    let from = set(vec![a(), b(&[])], &[], &[]);
    let code = {
        let mut a = a();
        a.indexes = vec![index(&["code"], true)];
        a
    };
    // One refers to the key, one to a column that becomes unique with it.
    let to = set(
        vec![code, b(&[("aId", T::Integer, "default=1"), ("code", T::Text, "references=a.code")])],
        &[],
        &[relation("b.aId", "a.id", OnDelete::SetNull)],
    );
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db, &["INSERT INTO p_a (code) VALUES ('x')", "INSERT INTO p_b (id) VALUES (7)"]).await;
        db.change(&from, &to).await.unwrap();
        sql(&db, &["INSERT INTO p_b (code) VALUES ('x')"]).await;
        let wrong = Statement::schema_text("INSERT INTO p_b (code) VALUES ('y')");
        let error = db.session.execute(wrong).await.unwrap_err();
        assert_eq!(error.kind, DbErrorKind::ForeignKeyViolation);
        db.change(&to, &from).await.unwrap();
        assert_eq!(texts(&db, "SELECT id FROM p_b").await.len(), 2);
        sql(&db, &["DELETE FROM p_a"]).await;
    }
}

#[tokio::test]
async fn a_parent_that_goes_leaves_its_children() {
    let a = || table("a", &[("id", T::Serial, "primaryKey")]);
    let b = |ty: T| table("b", &[("id", T::Serial, "primaryKey"), ("aId", ty, "notNull")]);
    let relations = [relation("b.aId", "a.id", OnDelete::Cascade)];
    let from = set(vec![a(), b(T::Integer)], &[], &relations);
    let to = set(vec![b(T::BigInt)], &[], &[]);
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db, &["INSERT INTO p_a VALUES (1)", "INSERT INTO p_b (a_id) VALUES (1), (1)"]).await;
        db.change(&from, &to).await.unwrap();
        assert_eq!(count(&db.session, "p_b").await, 2);
    }
}

#[tokio::test]
async fn rows_that_break_a_new_rule_are_named_and_nothing_changes() {
    let base = [("id", T::Serial, "primaryKey"), ("name", T::Text, ""), ("aId", T::Integer, "")];
    let enums = [enumeration("e", &["x", "y"])];
    let with = |name: &str, a: &str, ty: T| {
        let mut t = table("t", &base);
        t.columns[1] = table("t", &[("name", ty, name)]).columns.remove(0);
        t.columns[2] = table("t", &[("aId", T::Integer, a)]).columns.remove(0);
        t
    };
    let a = || table("a", &[("id", T::Serial, "primaryKey")]);
    let of = |t: TableDef| set(vec![a(), t], &enums, &[]);
    let mut indexed = with("", "", T::Text);
    indexed.indexes = vec![index(&["name", "aId"], true)];
    let from = of(with("", "", T::Text));
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db, &["INSERT INTO p_t (name, a_id) VALUES ('z', 1), ('z', 1)"]).await;
        let before = texts(&db, "SELECT name FROM p_t").await;
        let wrong = [
            (
                with("unique", "", T::Text),
                DbErrorKind::UniqueViolation,
                "t.name: several rows have the same",
            ),
            (
                indexed.clone(),
                DbErrorKind::UniqueViolation,
                "t (name, aId): several rows have the same",
            ),
            (with("", "references=a.id", T::Text), DbErrorKind::ForeignKeyViolation, "t"),
            (with("", "", T::Enum("e".into())), DbErrorKind::CheckViolation, ""),
        ];
        for (t, kind, message) in wrong {
            let error = db.change(&from, &of(t)).await.unwrap_err();
            assert_eq!(error.kind, kind, "{:?}: {error}", db.store);
            assert!(error.message.starts_with(message), "{:?}: {error}", db.store);
            assert!(error.message.contains("row"), "{:?}: {error}", db.store);
        }
        sql(&db, &["INSERT INTO p_t (name) VALUES (NULL)"]).await;
        let error = db.change(&from, &of(with("notNull", "", T::Text))).await.unwrap_err();
        assert_eq!(error.kind, DbErrorKind::NotNullViolation);
        assert_eq!(error.message, "t.name: a row has no value, and one is required now");
        let required = with("", "", T::Text);
        let mut required_new = required.clone();
        required_new.columns.push(table("t", &[("more", T::Text, "notNull")]).columns.remove(0));
        let error = db.change(&from, &of(required_new)).await.unwrap_err();
        assert_eq!(error.message, "t.more: a row has no value, and one is required now");
        assert_eq!(texts(&db, "SELECT name FROM p_t").await.len(), before.len() + 1);
    }
}

#[tokio::test]
async fn what_cannot_be_converted_is_refused() {
    for (from, to) in [
        (T::Text, T::Integer),
        (T::BigInt, T::Integer),
        (T::BigInt, T::Real),
        (T::Real, T::Text),
        (T::Blob, T::Text),
        (T::Secret, T::Text),
        (T::Text, T::Secret),
        (T::Date, T::Timestamp),
        (T::Integer, T::Boolean),
    ] {
        let (from, to) = (one(&[("a", from, "")]), one(&[("a", to, "")]));
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let error = plan::statements(dialect, &from, &to).unwrap_err();
            assert!(error.message.starts_with("t.a changes from"), "{error}");
        }
        assert!(!Plan::new(&installed(&from), &to, &["0001_x".to_owned()]).refused.is_empty());
    }
}

#[tokio::test]
async fn what_makes_a_column_unique_changes_under_those_that_refer_to_it() {
    let of = |code: &str, indexed: bool, key: &[&str]| {
        let mut a = table("a", &[("code", T::Text, code), ("n", T::Integer, "")]);
        a.indexes = if indexed { vec![index(&["code"], true)] } else { vec![] };
        a.primary_key = key.iter().map(|c| (*c).to_owned()).collect();
        set(vec![a, table("b", &[("code", T::Text, "references=a.code")])], &[], &[])
    };
    let sets = [
        of("notNull", true, &[]),
        of("notNull unique", false, &[]),
        of("", false, &["code"]),
        of("unique", false, &["code", "n"]),
        of("notNull", true, &["n"]),
    ];
    for db in databases().await {
        db.create(&sets[0]).await.unwrap();
        sql(&db, &["INSERT INTO p_a VALUES ('x', 1)", "INSERT INTO p_b VALUES ('x')"]).await;
        for pair in sets.windows(2) {
            db.change(&pair[0], &pair[1]).await.unwrap();
            let dangling = Statement::schema_text("INSERT INTO p_b VALUES ('y')");
            let error = db.session.execute(dangling).await.unwrap_err();
            assert_eq!(error.kind, DbErrorKind::ForeignKeyViolation);
        }
    }
}
