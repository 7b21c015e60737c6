//! Rows: round trips, queries and errors.

use super::*;
use crate::extension::database::{Aggregate, MAX_ROWS, Query};
use crate::store::DbErrorKind;
use ColumnType as T;

async fn titles(db: &Database, query: Result<Query, DbError>) -> Vec<String> {
    let rows = query.unwrap().order_by("title", "asc").unwrap().all(&db.session).await.unwrap();
    rows.iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
}

/// Polls `a` to `d`: votes 1 to 4, authors for the first two.
async fn some_polls(db: &Database) -> Tables {
    let tables = db.with(polls().unwrap()).await;
    for row in [
        json!({ "title": "a", "votes": 1, "authorId": "u1" }),
        json!({ "title": "b", "votes": 2, "authorId": "u2" }),
        json!({ "title": "c", "votes": 3 }),
        json!({ "title": "d", "votes": 4, "state": "it's closed" }),
    ] {
        tables.insert(&db.session, "polls", &map(row)).await.unwrap();
    }
    tables
}

#[rstest]
#[tokio::test]
async fn every_type_comes_back_as_it_was(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let mut columns: Vec<(&str, ColumnType, &str)> = T::NAMES
        .iter()
        .filter(|(_, ty)| !ty.is_serial())
        .map(|(n, ty)| (*n, ty.clone(), ""))
        .collect();
    columns.push(("id", T::BigSerial, "primaryKey"));
    columns.push(("state", T::Enum("e".into()), ""));
    let set = TableSet::new(
        "p",
        vec![table("all", &columns)],
        vec![enumeration("e", &["é", "it's"])],
        vec![],
    );
    let tables = db.with(set.unwrap()).await;

    let mut row = map(json!({
        "text": "é'\";--\n\u{1F600}",
        "integer": -2147483648i64,
        "bigint": "-9223372036854775808",
        "real": 0.1,
        "doublePrecision": 1.7976931348623157e308,
        "decimal": "-0.000000000000000000000000000000000000000001000",
        "boolean": false,
        "timestamp": "2026-01-02T03:04:05.678Z",
        "date": "9999-12-31",
        "time": "23:59:59.999",
        "json": { "a": [null, true, "x", { "b": 1.5 }], "é": {} },
        "uuid": "00000000-0000-0000-0000-000000000000",
        "state": "it's",
    }));
    row.insert("blob".into(), Value::Bytes((0..=255).collect()));
    let mut inserted = tables.insert(&db.session, "all", &row).await.unwrap();
    let read = tables.from("all").unwrap().first(&db.session).await.unwrap().unwrap();
    assert_eq!(inserted, read);
    assert_eq!(inserted.shift_remove("id"), Some(Value::Int(1)));
    for (key, value) in &row {
        assert_eq!(inserted[key], *value, "{key}");
        if key != "json" {
            let found = tables.from("all").unwrap().where_op(key, "=", value).unwrap();
            assert_eq!(found.count(&db.session).await, Ok(1), "{key}");
        }
    }
    assert_eq!(inserted.len(), row.len());

    // Everything NULL: every key is absent.
    let nulls: Map = row.keys().map(|key| (key.clone(), Value::Null)).collect();
    assert_eq!(tables.update(&db.session, "all", &nulls, &empty()).await, Ok(1));
    let read = tables.from("all").unwrap().first(&db.session).await.unwrap().unwrap();
    assert_eq!(read.keys().collect::<Vec<_>>(), ["id"]);
}

#[rstest]
#[tokio::test]
async fn conditions_select(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let tables = some_polls(&db).await;
    let all = tables.from("polls").unwrap();
    let op = |column, op, value: serde_json::Value| all.where_op(column, op, &Value::from(&value));

    assert_eq!(titles(&db, op("votes", ">=", json!(3))).await, ["c", "d"]);
    assert_eq!(titles(&db, op("votes", "<", json!("2"))).await, ["a"]);
    assert_eq!(titles(&db, op("title", "!=", json!("a"))).await, ["b", "c", "d"]);
    assert_eq!(titles(&db, op("title", "<>", json!("a"))).await, ["b", "c", "d"]);
    assert_eq!(titles(&db, op("authorId", "=", json!(null))).await, ["c", "d"]);
    assert_eq!(titles(&db, op("authorId", "!=", json!(null))).await, ["a", "b"]);
    assert_eq!(titles(&db, op("authorId", "!=", json!("u1"))).await, ["b"]);
    assert_eq!(titles(&db, op("state", "=", json!("it's closed"))).await, ["d"]);
    assert_eq!(titles(&db, op("votes", "in", json!([1, 4, 9]))).await, ["a", "d"]);
    assert_eq!(titles(&db, op("votes", "in", json!({}))).await, [""; 0]);
    assert_eq!(titles(&db, all.where_in("votes", &[])).await, [""; 0]);
    assert_eq!(titles(&db, all.where_null("authorId", true)).await, ["c", "d"]);
    assert_eq!(titles(&db, op("authorId", "like", json!("u_"))).await, ["a", "b"]);
    assert_eq!(titles(&db, op("authorId", "LIKE", json!("U%"))).await, [""; 0]);
    assert_eq!(titles(&db, op("authorId", "ilike", json!("U%"))).await, ["a", "b"]);
    assert_eq!(titles(&db, op("authorId", "ilike", json!("u\\%"))).await, [""; 0]);
    let both = all.where_eq(&map(json!({ "votes": 2, "authorId": "u2" })));
    assert_eq!(titles(&db, both).await, ["b"]);

    for (column, operator, value, message) in [
        ("vots", "=", json!(1), "table polls has no column \"vots\"; did you mean \"votes\"?"),
        ("votes", "~", json!(1), "polls.votes: unknown operator \"~\"; there is = !="),
        ("votes", ">", json!(null), "null cannot be compared with >"),
        ("votes", "=", json!([1]), "polls.votes: expected a whole number"),
        ("votes", "in", json!(1), "in takes a list, found integer"),
        ("votes", "in", json!([null]), "null cannot be in the list"),
        ("votes", "like", json!("1"), "like is for text columns, this is integer"),
        ("title", "like", json!("\\"), "lone \\"),
        ("meta", "=", json!("x"), "json can only be compared with null"),
        ("state", "=", json!("shut"), "expected one of open, it's closed"),
        ("state", "<", json!("open"), "have no order"),
    ] {
        let error = op(column, operator, value).unwrap_err();
        assert!(error.message.contains(message), "{}", error.message);
    }
}

#[rstest]
#[tokio::test]
async fn a_query_never_changes(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let tables = some_polls(&db).await;
    let all = tables.from("polls").unwrap();
    let few = all.where_op("votes", "<", &Value::Int(3)).unwrap();
    let fewer = few.where_op("votes", "<", &Value::Int(2)).unwrap();
    few.order_by("title", "desc").unwrap().limit(1).offset(1).select(&["title"]).unwrap();
    assert_eq!(all.count(&db.session).await, Ok(4));
    assert_eq!(few.count(&db.session).await, Ok(2));
    assert_eq!(fewer.count(&db.session).await, Ok(1));
    assert_eq!(few.all(&db.session).await.unwrap()[0].len(), 6);
}

#[rstest]
#[tokio::test]
async fn order_paging_and_columns(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let tables = some_polls(&db).await;
    let all = tables.from("polls").unwrap();
    let sorted = all.order_by("authorId", "DESC").unwrap().order_by("votes", "desc").unwrap();
    let titles = |rows: Vec<Map>| rows.iter().map(|r| r["title"].clone()).collect::<Vec<_>>();
    let all_rows = sorted.all(&db.session).await.unwrap();
    assert_eq!(titles(all_rows), ["b", "a", "d", "c"].map(Value::from));
    let page = sorted.limit(2).offset(1);
    assert_eq!(titles(page.all(&db.session).await.unwrap()), ["a", "d"].map(Value::from));
    assert_eq!(page.count(&db.session).await, Ok(2));
    assert_eq!(sorted.offset(3).count(&db.session).await, Ok(1));
    assert_eq!(sorted.offset(3).all(&db.session).await.unwrap().len(), 1);
    assert_eq!(sorted.offset(u64::MAX).exists(&db.session).await, Ok(false));
    assert_eq!(sorted.limit(0).first(&db.session).await, Ok(None));
    assert_eq!(sorted.limit(0).exists(&db.session).await, Ok(false));
    assert_eq!(sorted.exists(&db.session).await, Ok(true));
    let row = sorted.select(&["votes", "title", "votes"]).unwrap();
    let row = row.first(&db.session).await.unwrap().unwrap();
    assert_eq!(row, map(json!({ "votes": 2, "title": "b" })));
    assert!(all.order_by("title", "up").is_err());
    assert!(all.order_by("meta", "asc").is_err());
    assert!(all.select::<&str>(&[]).is_err());

    assert_eq!(all.value_of(&db.session, Aggregate::Sum, "votes").await, Ok(Value::Int(10)));
    assert_eq!(
        all.limit(2).value_of(&db.session, Aggregate::Sum, "votes").await,
        Ok(Value::Int(3))
    );
    let none = all.where_in("title", &[]).unwrap();
    assert_eq!(none.value_of(&db.session, Aggregate::Sum, "votes").await, Ok(Value::Null));
    assert!(all.value_of(&db.session, Aggregate::Sum, "title").await.is_err());
}

#[rstest]
#[tokio::test]
async fn update_and_delete_count_rows(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let tables = some_polls(&db).await;
    let s = &db.session;
    let changes = map(json!({ "votes": 9, "authorId": null }));
    let filter = map(json!({ "authorId": "u1" }));
    assert_eq!(tables.update(s, "polls", &changes, &filter).await, Ok(1));
    assert_eq!(tables.update(s, "polls", &changes, &filter).await, Ok(0));
    assert_eq!(tables.update(s, "polls", &empty(), &empty()).await, Ok(4));
    let rows = tables
        .update_returning(s, "polls", &map(json!({ "votes": 0 })), &map(json!({ "title": "b" })))
        .await
        .unwrap();
    assert_eq!((rows.len(), &rows[0]["votes"]), (1, &Value::Int(0)));
    assert_eq!(tables.delete(s, "polls", &map(json!({ "authorId": null }))).await, Ok(3));
    assert_eq!(tables.delete(s, "polls", &empty()).await, Ok(1));
}

#[rstest]
#[tokio::test]
async fn violations_name_kind_table_and_columns(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let tables = some_polls(&db).await;
    let s = &db.session;
    let insert = async |table: &str, row| tables.insert(s, table, &map(row)).await.unwrap_err();
    let facts = |e: DbError| (e.kind, e.table.unwrap(), e.columns.join(","), e.message);

    assert_eq!(
        facts(insert("polls", json!({ "title": "a" })).await),
        (
            DbErrorKind::UniqueViolation,
            "polls".into(),
            "title".into(),
            "polls.title: another row has this value".into()
        )
    );
    assert_eq!(
        facts(insert("polls", json!({ "votes": null })).await),
        (
            DbErrorKind::NotNullViolation,
            "polls".into(),
            "title,votes".into(),
            "polls (title, votes): values are required".into()
        )
    );
    let nobody = json!({ "pollId": "00000000-0000-0000-0000-000000000000", "userId": "u" });
    assert_eq!(
        facts(insert("pollVotes", nobody).await),
        (
            DbErrorKind::ForeignKeyViolation,
            "pollVotes".into(),
            "pollId".into(),
            "pollVotes.pollId: the row that is referred to does not exist".into()
        )
    );
    assert_eq!(
        insert("polls", json!({ "title": "x", "state": "shut" })).await.kind,
        DbErrorKind::CheckViolation
    );
    assert_eq!(
        insert("polls", json!({ "title": "x", "vots": 1 })).await.message,
        "table polls has no column \"vots\"; did you mean \"votes\"?"
    );
    let null = tables.update(s, "polls", &map(json!({ "title": null })), &empty()).await;
    assert_eq!(null.unwrap_err().kind, DbErrorKind::NotNullViolation);

    let poll = tables.from("polls").unwrap().first(s).await.unwrap().unwrap();
    let vote = map(json!({ "pollId": poll["id"].as_str(), "userId": "u" }));
    tables.insert(s, "pollVotes", &vote).await.unwrap();
    let twice = tables.insert(s, "pollVotes", &vote).await.unwrap_err();
    assert_eq!(
        (twice.columns.join(","), twice.message),
        ("pollId,userId".into(), "pollVotes (pollId, userId): another row has these values".into())
    );
    // The relation says cascade.
    assert_eq!(tables.delete(s, "polls", &empty()).await, Ok(4));
    assert_eq!(tables.from("pollVotes").unwrap().count(s).await, Ok(0));
}

#[rstest]
#[tokio::test]
async fn a_row_that_is_referred_to_stays(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let a = table("a", &[("id", T::Serial, "primaryKey")]);
    let b = table("b", &[("aId", T::Integer, "references=a.id")]);
    let tables = db.with(TableSet::new("p", vec![a, b], vec![], vec![]).unwrap()).await;
    let s = &db.session;
    tables.insert(s, "a", &empty()).await.unwrap();
    tables.insert(s, "b", &map(json!({ "aId": 1 }))).await.unwrap();
    let error = tables.delete(s, "a", &empty()).await.unwrap_err();
    assert_eq!(error.kind, DbErrorKind::ForeignKeyViolation);
    assert_eq!(error.message, "a: the row is still referred to");
}

#[rstest]
#[tokio::test]
async fn decimals_compare_as_numbers(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let set = TableSet::new("p", vec![table("t", &[("d", T::Decimal, "unique")])], vec![], vec![]);
    let tables = db.with(set.unwrap()).await;
    let s = &db.session;
    for d in ["10", "9.5", "-3", "9.50000000000000000000001"] {
        tables.insert(s, "t", &map(json!({ "d": d }))).await.unwrap();
    }
    let sorted = tables.from("t").unwrap().order_by("d", "asc").unwrap().all(s).await.unwrap();
    let sorted: Vec<&str> = sorted.iter().filter_map(|r| r["d"].as_str()).collect();
    assert_eq!(sorted, ["-3", "9.5", "9.50000000000000000000001", "10"]);
    let above = tables.from("t").unwrap().where_op("d", ">", &"9.50".into()).unwrap();
    assert_eq!(above.count(s).await, Ok(2));
    let same = tables.insert(s, "t", &map(json!({ "d": "10.00" }))).await.unwrap_err();
    assert_eq!(same.kind, DbErrorKind::UniqueViolation);
}

#[rstest]
#[tokio::test]
async fn limits_are_clear_errors(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let set = TableSet::new("p", vec![table("t", &[("n", T::Integer, "")])], vec![], vec![]);
    let tables = db.with(set.unwrap()).await;
    let tx = db.store.begin().await.unwrap();
    for n in 0..=MAX_ROWS as i64 {
        tables.insert(tx.session(), "t", &map(json!({ "n": n }))).await.unwrap();
    }
    tx.commit().await.unwrap();
    let all = tables.from("t").unwrap();
    let error = all.all(&db.session).await.unwrap_err();
    assert_eq!(error.kind, DbErrorKind::Invalid);
    assert!(error.message.contains("limit"), "{error}");
    assert_eq!(all.limit(20_000).all(&db.session).await.unwrap().len(), 10_001);

    let many: Vec<Value> = (0..40_000).map(Value::Int).collect();
    let error = all.where_in("n", &many).unwrap().count(&db.session).await.unwrap_err();
    assert!(error.message.contains("at most 32766 values"), "{error}");

    let mut query = all;
    let error = loop {
        match query.where_op("n", ">=", &Value::Int(0)) {
            Ok(next) => query = next,
            Err(error) => break error,
        }
    };
    assert!(error.message.contains("more than 500 conditions"), "{error}");
    assert_eq!(query.count(&db.session).await, Ok(10_001));
}
