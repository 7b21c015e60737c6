//! Tests against a real SQLite file and a real PostgreSQL.

mod declarations;
mod fence;
mod hostile;
mod luau;
mod plan;
mod properties;
mod rows;
mod schema;
mod too_much;

use std::sync::Arc;

use rstest::rstest;
use serde_json::json;

use super::model::*;
use super::{Tables, upgrade};
use crate::error::Problem;
use crate::store::testing::{On, TestDatabase};
use crate::store::{DbError, Session, Store, StoreOptions};
use crate::value::{Map, Value};

/// A table of columns written as `("name", type, options)`, where the options are the names of
/// methods, or `default=JSON`, or `references=table.column`.
pub fn table(name: &str, columns: &[(&str, ColumnType, &str)]) -> TableDef {
    let columns = columns.iter().map(|(name, ty, options)| {
        let mut def = ColumnDef::new(*name, ty.clone());
        for option in options.split_whitespace() {
            match option.split_once('=').unwrap_or((option, "")) {
                ("primaryKey", _) => def.primary_key = true,
                ("notNull", _) => def.not_null = true,
                ("unique", _) => def.unique = true,
                ("now", _) => def.default = Some(Default::Now),
                ("random", _) => def.default = Some(Default::Random),
                ("default", json) => {
                    def.default = Some(Default::Value(serde_json::from_str(json).unwrap()));
                }
                ("references", target) => {
                    let (table, column) = target.split_once('.').unwrap();
                    def.references = Some((table.into(), column.into()));
                }
                other => panic!("unknown option {other:?}"),
            }
        }
        def
    });
    TableDef {
        export: format!("{name}Table"),
        name: name.into(),
        columns: columns.collect(),
        indexes: vec![],
        primary_key: vec![],
        place: None,
    }
}

pub fn enumeration(name: &str, values: &[&str]) -> EnumDef {
    EnumDef {
        export: name.into(),
        name: name.into(),
        values: values.iter().map(|v| (*v).to_owned()).collect(),
        place: None,
    }
}

pub fn relation(from: &str, to: &str, on_delete: OnDelete) -> RelationDef {
    let pair = |text: &str| {
        let (table, column) = text.split_once('.').unwrap();
        (table.to_owned(), column.to_owned())
    };
    RelationDef {
        export: "relation".into(),
        from: pair(from),
        to: pair(to),
        on_delete,
        place: None,
    }
}

/// The table of the contract's example, with votes that refer to it.
pub fn polls() -> Result<TableSet, Vec<Problem>> {
    use ColumnType as T;
    let mut polls = table(
        "polls",
        &[
            ("id", T::Uuid, "primaryKey random"),
            ("title", T::Text, "notNull"),
            ("votes", T::Integer, "notNull default=7"),
            ("state", T::Enum("poll_state".into()), "default=\"open\""),
            ("authorId", T::Text, ""),
            ("meta", T::Json, ""),
            ("createdAt", T::Timestamp, "notNull now"),
        ],
    );
    polls.indexes = vec![
        IndexDef { columns: vec!["authorId".into()], unique: false, name: None },
        IndexDef { columns: vec!["title".into()], unique: true, name: None },
    ];
    let mut votes = table(
        "pollVotes",
        &[
            ("id", T::BigSerial, "primaryKey"),
            ("pollId", T::Uuid, "notNull"),
            ("userId", T::Text, "notNull"),
        ],
    );
    votes.indexes = vec![IndexDef {
        columns: vec!["pollId".into(), "userId".into()],
        unique: true,
        name: None,
    }];
    TableSet::new(
        "polls",
        // Declared before what it refers to.
        vec![votes, polls],
        vec![enumeration("poll_state", &["open", "it's closed"])],
        vec![relation("pollVotes.pollId", "polls.id", OnDelete::Cascade)],
    )
}

pub struct Database {
    pub store: Arc<Store>,
    pub session: Session,
    _database: TestDatabase,
}

pub async fn database(on: On) -> Database {
    database_with(on, StoreOptions::default()).await
}

pub async fn database_with(on: On, options: StoreOptions) -> Database {
    let database = TestDatabase::new(on).await;
    let store = database.open_with(options).await;
    Database { session: store.session(), store, _database: database }
}

/// One of each.
pub async fn databases() -> Vec<Database> {
    vec![database(On::Sqlite).await, database(On::Postgres).await]
}

impl Database {
    pub async fn create(&self, set: &TableSet) -> Result<(), DbError> {
        let tx = self.store.begin().await?;
        upgrade::create(tx.session(), set).await?;
        tx.commit().await
    }

    pub async fn drop(&self, set: &TableSet) -> Result<(), DbError> {
        let tx = self.store.begin().await?;
        upgrade::drop(tx.session(), set).await?;
        tx.commit().await
    }

    /// Makes the tables of `from` those of `to`.
    pub async fn change(&self, from: &TableSet, to: &TableSet) -> Result<(), DbError> {
        let tx = self.store.begin().await?;
        upgrade::change(tx.session(), from, to).await?;
        tx.commit().await
    }

    /// Creates the tables of `set` and gives access to them.
    pub async fn with(&self, set: TableSet) -> Tables {
        self.create(&set).await.unwrap();
        Tables::new(Arc::new(set))
    }
}

pub fn map(json: serde_json::Value) -> Map {
    match Value::from(&json) {
        Value::Map(map) => map,
        other => panic!("not an object: {other:?}"),
    }
}

pub fn empty() -> Map {
    map(json!({}))
}
