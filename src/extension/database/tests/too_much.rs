//! Rows that are written and are more than one statement may give.

use super::*;
use crate::store::{DbErrorKind, MAX_RESULT_BYTES};
use ColumnType as T;

const MIB: usize = 1024 * 1024;

fn rows(count: usize, size: usize) -> Vec<Map> {
    (0..count).map(|_| map(json!({ "body": "x".repeat(size) }))).collect()
}

/// An error says that nothing has happened, here too.
#[rstest]
#[tokio::test]
async fn what_cannot_be_given_is_not_written(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let columns =
        [("id", T::Serial, "primaryKey"), ("n", T::Integer, "default=0"), ("body", T::Text, "")];
    let set = TableSet::new("p", vec![table("t", &columns)], vec![], vec![]).unwrap();
    let tables = db.with(set).await;
    let many = rows(MAX_RESULT_BYTES / MIB, MIB);
    let too_much = |e: DbError| {
        assert_eq!(e.kind, DbErrorKind::Invalid, "{e}");
        assert!(e.message.contains("larger than 16 MiB"), "{e}");
    };
    let changes = map(json!({ "n": 1 }));
    let all = tables.from("t").unwrap();
    let attempt = async |s: &Session| {
        too_much(tables.insert_many(s, "t", &many).await.unwrap_err());
        assert_eq!(all.count(s).await, Ok(0));
        for part in many.chunks(8) {
            tables.insert_many(s, "t", part).await.unwrap();
        }
        too_much(tables.update_returning(s, "t", &changes, &empty()).await.unwrap_err());
        too_much(tables.delete_returning(s, "t", &empty()).await.unwrap_err());
        let same = all.where_eq(&map(json!({ "n": 0 }))).unwrap();
        assert_eq!(same.count(s).await, Ok(many.len() as i64));
    };
    attempt(&db.session).await;
    tables.delete(&db.session, "t", &empty()).await.unwrap();
    let transaction = db.store.begin().await.unwrap();
    attempt(transaction.session()).await;
    transaction.commit().await.unwrap();
    assert_eq!(all.count(&db.session).await, Ok(many.len() as i64));
}

/// One row is what its author had in memory.
#[rstest]
#[tokio::test]
async fn one_row_is_never_too_much_to_be_written(#[values(On::Sqlite, On::Postgres)] on: On) {
    let db = database(on).await;
    let columns = [("id", T::Integer, "primaryKey"), ("body", T::Text, "")];
    let set = TableSet::new("p", vec![table("t", &columns)], vec![], vec![]).unwrap();
    let (tables, s) = (db.with(set).await, &db.session);
    let row = map(json!({ "id": 1, "body": "x".repeat(MAX_RESULT_BYTES + MIB) }));
    assert!(tables.insert(s, "t", &row).await.unwrap() == row);
    let key = ["id".to_owned()];
    assert!(tables.upsert(s, "t", &row, &key).await.unwrap() == row);
    let all = tables.from("t").unwrap();
    assert_eq!(all.first(s).await.unwrap_err().kind, DbErrorKind::Invalid);
    assert_eq!(all.select(&["id"]).unwrap().count(s).await, Ok(1));
}
