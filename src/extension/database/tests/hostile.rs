//! Nothing that a plugin or its users pass in reaches another table or becomes SQL.

use super::*;
use crate::extension::database::Aggregate;
use crate::store::plugins;
use ColumnType as T;

const TEXTS: [&str; 12] = [
    "'",
    "\"",
    "';drop table plugins;--",
    "\"; drop table plugins; --",
    "\\",
    "?1",
    "$1",
    ":a",
    "%s{}",
    "[a]*?",
    "ｄｒｏｐ ｔａｂｌｅ\u{202e}",
    "x' OR '1'='1",
];

#[rstest]
#[tokio::test]
async fn only_own_tables_and_columns_can_be_named(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    plugins::insert(&db.session, "polls").await.unwrap();
    let other = table("t", &[("secret", T::Text, "")]);
    db.create(&TableSet::new("other", vec![other], vec![], vec![]).unwrap()).await.unwrap();
    let tables = db.with(polls().unwrap()).await;
    let s = &db.session;
    let fixed = [
        "plugins",
        "other_t",
        "t",
        "main.plugins",
        "polls_polls",
        "POLLS",
        "sqlite_schema",
        "polls, plugins",
        "polls\" join \"plugins",
        "polls--",
        "polls\0",
        "ｐolls",
        "",
    ];
    for name in fixed.into_iter().chain(TEXTS) {
        assert!(tables.from(name).is_err(), "{name}");
        assert!(tables.insert(s, name, &empty()).await.is_err(), "{name}");
        assert!(tables.update(s, name, &empty(), &empty()).await.is_err(), "{name}");
        assert!(tables.delete(s, name, &empty()).await.is_err(), "{name}");
    }
    let all = tables.from("polls").unwrap();
    let fixed = ["rowid", "oid", "*", "author_id", "title\" --", "count(*)", "title asc", "TITLE"];
    for name in fixed.into_iter().chain(TEXTS) {
        let row: Map = [(name.to_owned(), Value::from("x"))].into_iter().collect();
        assert!(all.where_op(name, "=", &"x".into()).is_err(), "{name}");
        assert!(all.where_op("title", name, &"x".into()).is_err(), "{name}");
        assert!(all.where_eq(&row).is_err(), "{name}");
        assert!(all.where_in(name, &[]).is_err(), "{name}");
        assert!(all.where_null(name, true).is_err(), "{name}");
        assert!(all.order_by(name, "asc").is_err(), "{name}");
        assert!(all.order_by("title", name).is_err(), "{name}");
        assert!(all.select(&[name]).is_err(), "{name}");
        assert!(all.value_of(s, Aggregate::Sum, name).await.is_err(), "{name}");
        assert!(tables.insert(s, "polls", &row).await.is_err(), "{name}");
        assert!(tables.update(s, "polls", &row, &empty()).await.is_err(), "{name}");
        assert!(tables.delete(s, "polls", &row).await.is_err(), "{name}");
    }
    assert!(plugins::by_plugin_id(s, "polls").await.unwrap().is_some());
}

#[rstest]
#[tokio::test]
async fn hostile_values_are_only_values(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let tables = db.with(polls().unwrap()).await;
    let s = &db.session;
    for text in TEXTS {
        let row = map(json!({ "title": text, "meta": { text: text }, "authorId": text }));
        let read = tables.insert(s, "polls", &row).await.unwrap();
        assert_eq!((&read["title"], &read["meta"]), (&row["title"], &row["meta"]));
        let all = tables.from("polls").unwrap();
        let found = all.where_op("title", "=", &text.into()).unwrap();
        assert_eq!(found.count(s).await, Ok(1), "{text}");
        assert_eq!(all.where_in("title", &[text.into()]).unwrap().count(s).await, Ok(1), "{text}");
        for op in ["like", "ilike"] {
            let literal = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            let found = all.where_op("title", op, &literal.into()).unwrap();
            assert_eq!(found.count(s).await, Ok(1), "{op} {text}");
        }
        let filter = map(json!({ "title": text }));
        assert_eq!(tables.update(s, "polls", &filter, &filter).await, Ok(1));
    }
    let zero = map(json!({ "title": "a\0b" }));
    assert!(tables.insert(s, "polls", &zero).await.unwrap_err().message.contains("null bytes"));
    assert_eq!(tables.from("polls").unwrap().count(s).await, Ok(TEXTS.len() as i64));
}

#[rstest]
#[tokio::test]
async fn hostile_enum_values_and_defaults_are_only_values(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let db = database(on).await;
    let columns = [("e", T::Enum("e".into()), ""), ("d", T::Text, "")];
    let mut def = table("t", &columns);
    def.columns[1].default = Some(Default::Value(TEXTS[2].into()));
    let set = TableSet::new("p", vec![def], vec![enumeration("e", &TEXTS)], vec![]).unwrap();
    let tables = db.with(set).await;
    for text in TEXTS {
        let row = tables.insert(&db.session, "t", &map(json!({ "e": text }))).await.unwrap();
        assert_eq!((&row["e"], &row["d"]), (&Value::from(text), &Value::from(TEXTS[2])));
    }
}

#[rstest]
#[tokio::test]
async fn names_that_are_words_of_sql_are_ordinary_names(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let db = database(on).await;
    let columns =
        [("order", T::Text, ""), ("select", T::Integer, ""), ("group", T::Boolean, "unique")];
    let mut def = table("table", &columns);
    def.indexes = vec![IndexDef { columns: vec!["order".into()], unique: false, name: None }];
    let set = TableSet::new("index", vec![def], vec![], vec![]).unwrap();
    let tables = db.with(set).await;
    let row = map(json!({ "order": "by", "select": 1, "group": true }));
    assert_eq!(tables.insert(&db.session, "table", &row).await, Ok(row.clone()));
    let found = tables.from("table").unwrap().where_eq(&row).unwrap();
    assert_eq!(found.first(&db.session).await, Ok(Some(row)));
}
