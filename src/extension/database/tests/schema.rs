//! Tables are created and dropped whole or not at all, and never over another's.

use super::*;
use crate::extension::database::Installed;
use crate::store::plugins;
use crate::store::{DbErrorKind, Statement};
use ColumnType as T;

#[rstest]
#[tokio::test]
async fn a_dropped_transaction_leaves_neither_tables_nor_rows(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let db = database(on).await;
    let set = Arc::new(polls().unwrap());
    let tables = Tables::new(set.clone());
    let row = map(json!({ "title": "a" }));

    let tx = db.store.begin().await.unwrap();
    upgrade::create(tx.session(), &set).await.unwrap();
    tables.insert(tx.session(), "polls", &row).await.unwrap();
    plugins::insert(tx.session(), "polls").await.unwrap();
    drop(tx);
    assert!(plugins::by_plugin_id(&db.session, "polls").await.unwrap().is_none());
    assert!(tables.insert(&db.session, "polls", &row).await.is_err());

    db.create(&set).await.unwrap();
    tables.insert(&db.session, "polls", &row).await.unwrap();
    let tx = db.store.begin().await.unwrap();
    upgrade::drop(tx.session(), &set).await.unwrap();
    drop(tx);
    assert_eq!(tables.from("polls").unwrap().count(&db.session).await, Ok(1));
}

#[rstest]
#[tokio::test]
async fn what_was_created_is_dropped_and_can_be_created_again(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let db = database(on).await;
    let set = polls().unwrap();
    for _ in 0..2 {
        db.create(&set).await.unwrap();
        let tables = Tables::new(Arc::new(set.clone()));
        let poll =
            tables.insert(&db.session, "polls", &map(json!({ "title": "a" }))).await.unwrap();
        let mut vote = map(json!({ "userId": "u" }));
        vote.insert("pollId".into(), poll["id"].clone());
        let vote = tables.insert(&db.session, "pollVotes", &vote).await.unwrap();
        assert_eq!(vote["id"], Value::Int(1));
        db.drop(&set).await.unwrap();
        db.drop(&set).await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn a_table_whose_rows_refer_to_each_other_can_be_dropped(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    for on_delete in [OnDelete::NoAction, OnDelete::Restrict, OnDelete::Cascade] {
        let db = database(on).await;
        let tree = table("tree", &[("id", T::Integer, "primaryKey"), ("parent", T::Integer, "")]);
        let set = TableSet::new(
            "p",
            vec![tree],
            vec![],
            vec![relation("tree.parent", "tree.id", on_delete)],
        )
        .unwrap();
        db.create(&set).await.unwrap();
        let tables = Tables::new(Arc::new(set.clone()));
        for row in
            [json!({ "id": 1 }), json!({ "id": 2, "parent": 1 }), json!({ "id": 3, "parent": 2 })]
        {
            tables.insert(&db.session, "tree", &map(row)).await.unwrap();
        }
        db.drop(&set).await.unwrap_or_else(|e| panic!("{on_delete:?}: {e}"));
    }
}

#[rstest]
#[tokio::test]
async fn a_name_taken_by_another_plugin_is_refused(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let one = |plugin: &str, name: &str| {
        TableSet::new(plugin, vec![table(name, &[("x", T::Text, "")])], vec![], vec![]).unwrap()
    };
    plugins::insert(&db.session, "a").await.unwrap();
    let set = one("a", "b_c");
    db.create(&set).await.unwrap();
    let installed = Installed { set, migrations: vec!["0001_first".into()] };
    Installed::remember(&db.session, "a", Some(&installed)).await.unwrap();

    let error = db.create(&one("a_b", "c")).await.unwrap_err();
    assert_eq!(error.kind, DbErrorKind::Invalid);
    assert_eq!(
        error.message,
        "table c of plugin a_b needs the name a_b_c in the database, which is taken by plugin a; rename the table"
    );
    db.create(&one("a_b", "d")).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn tables_change_in_transactions_only(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let set = polls().unwrap();
    assert!(upgrade::create(&db.session, &set).await.is_err());
    assert!(upgrade::drop(&db.session, &set).await.is_err());
}

#[rstest]
#[tokio::test]
async fn defaults_and_checks_are_in_the_database_too(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let set = TableSet::new(
        "p",
        vec![table(
            "t",
            &[
                ("id", T::Serial, "primaryKey"),
                ("i", T::Integer, "notNull default=-3"),
                ("f", T::Real, "notNull default=2.5"),
                ("w", T::DoublePrecision, "notNull default=1e300"),
                ("d", T::Decimal, "notNull default=\"1.50\""),
                ("b", T::Boolean, "notNull default=false"),
                ("s", T::Text, "notNull default=\"it's\\\";--?\""),
                ("j", T::Json, "notNull default={\"a\":[\"'?$1\"]}"),
                ("n", T::BigInt, "default=\"9223372036854775807\""),
                ("at", T::Timestamp, "now"),
                ("day", T::Date, "now"),
                ("clock", T::Time, "now"),
            ],
        )],
        vec![],
        vec![],
    )
    .unwrap();
    let tables = db.with(set).await;
    let row = tables.insert(&db.session, "t", &empty()).await.unwrap();
    let expected = map(json!({
        "id": 1, "i": -3, "f": 2.5, "w": 1e300, "d": "1.50", "b": false,
        "s": "it's\";--?", "j": { "a": ["'?$1"] }, "n": "9223372036854775807",
    }));
    for (key, value) in expected {
        assert_eq!(row[&key], value, "{key}");
    }
    assert_eq!(row["at"].as_str().map(str::len), Some(24));
    assert_eq!(row["day"].as_str().map(str::len), Some(10));
    assert!(row["clock"].as_str().is_some_and(|t| t.len() == 8 || t.len() == 12));

    // A row that something else inserts has the same defaults.
    let raw = sea_query::Query::insert().into_table("p_t").or_default_values().to_owned();
    db.session.execute(Statement::write(db.session.dialect(), &raw)).await.unwrap();
    let query = tables.from("t").unwrap().where_op("id", "=", &Value::Int(2)).unwrap();
    let other = query.first(&db.session).await.unwrap().unwrap();
    assert_eq!(other.len(), row.len());
    for (key, value) in &other {
        if !matches!(key.as_str(), "id" | "at" | "day" | "clock") {
            assert_eq!(row[key], *value, "{key}");
        }
    }
    assert_eq!(tables.update(&db.session, "t", &other, &map(json!({ "id": 2 }))).await, Ok(1));
}
