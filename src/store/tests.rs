mod limits;
mod lost;
mod together;

use std::sync::Arc;

use rstest::rstest;
use sea_query::{Expr, Query};

use super::plugins::{self, PluginChanges, PluginFilter, RecordedError};
use super::testing::{On, TestDatabase};
use super::{Backend, DbError, DbErrorKind, Store, StoreOptions};
use crate::error::{Phase, Problem};
use crate::value::Value;

#[rstest]
#[tokio::test]
async fn records_survive_a_restart(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    store.ping().await.unwrap();
    let record = plugins::insert(&store.session(), "polls").await.unwrap();
    assert_eq!((record.is_installed, record.updated_at.clone()), (false, None));
    let changes = PluginChanges {
        is_installed: Some(true),
        installed_version: Some(Some("1.0.0".into())),
        config: Some(Some(serde_json::from_str(r#"{"a":[1,"é'\""]}"#).unwrap())),
        table_set: Some(Some(serde_json::from_str(r#"{"set":{"tables":[]}}"#).unwrap())),
        last_errors: Some(vec![RecordedError::now(
            &Problem::new(Phase::Activate, "no").in_file("init.lua").at_line(3),
        )]),
        ..PluginChanges::default()
    };
    let updated = plugins::update(&store.session(), &record.id, changes).await.unwrap().unwrap();
    assert!(updated.updated_at.as_deref().is_some_and(|at| at.len() == 24 && at.ends_with('Z')));
    store.close().await;
    assert_eq!(
        plugins::by_id(&store.session(), &record.id).await.unwrap_err().kind,
        DbErrorKind::Internal
    );

    let store = database.open().await;
    let read = plugins::by_plugin_id(&store.session(), "polls").await.unwrap().unwrap();
    assert_eq!(read, updated);
    let cleared =
        PluginChanges { config: Some(None), last_errors: Some(vec![]), ..PluginChanges::default() };
    let read = plugins::update(&store.session(), &record.id, cleared).await.unwrap().unwrap();
    assert_eq!((read.config, read.last_errors, read.is_installed), (None, vec![], true));
    assert!(plugins::delete(&store.session(), &record.id).await.unwrap());
    assert!(!plugins::delete(&store.session(), &record.id).await.unwrap());
}

#[rstest]
#[tokio::test]
async fn a_plugin_has_one_record_and_filters_find_it(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let session = store.session();
    let b = plugins::insert(&session, "b").await.unwrap();
    plugins::insert(&session, "a").await.unwrap();
    let twice = plugins::insert(&session, "b").await.unwrap_err();
    assert_eq!(twice.kind, DbErrorKind::UniqueViolation);
    assert_eq!(
        (twice.table.as_deref(), twice.columns),
        (Some("plugins"), vec!["plugin_id".into()])
    );

    let on = PluginChanges { is_activated: Some(true), ..PluginChanges::default() };
    plugins::update(&session, &b.id, on).await.unwrap();
    let ids = async |filter: PluginFilter| {
        let found = plugins::list(&session, &filter).await.unwrap();
        found.into_iter().map(|r| r.plugin_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(PluginFilter::default()).await, ["a", "b"]);
    let active = PluginFilter { is_activated: Some(true), ..PluginFilter::default() };
    assert_eq!(ids(active).await, ["b"]);
    let hostile = PluginFilter { plugin_id: Some("' OR 1=1 --".into()), ..PluginFilter::default() };
    assert!(ids(hostile).await.is_empty());
    assert!(plugins::update(&session, "nobody", PluginChanges::default()).await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn what_json_cannot_hold_is_refused(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let record = plugins::insert(&store.session(), "a").await.unwrap();
    let changes =
        PluginChanges { config: Some(Some(Value::Float(f64::NAN))), ..PluginChanges::default() };
    let error = plugins::update(&store.session(), &record.id, changes).await.unwrap_err();
    assert_eq!(error.kind, DbErrorKind::Invalid);
}

#[rstest]
#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_and_frees_the_writer(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let tx = store.begin().await.unwrap();
    plugins::insert(tx.session(), "a").await.unwrap();
    assert!(plugins::by_plugin_id(tx.session(), "a").await.unwrap().is_some());
    assert!(plugins::by_plugin_id(&store.session(), "a").await.unwrap().is_none());
    drop(tx);
    plugins::insert(&store.session(), "b").await.unwrap();
    assert!(plugins::by_plugin_id(&store.session(), "a").await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn a_finished_transaction_takes_no_more_statements(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let tx = store.begin().await.unwrap();
    let clone = tx.session().clone();
    plugins::insert(&clone, "a").await.unwrap();
    tx.commit().await.unwrap();
    let over = |e: DbError| e.message == "the transaction is over";
    assert!(over(plugins::insert(&clone, "b").await.unwrap_err()));
    assert!(plugins::by_plugin_id(&store.session(), "a").await.unwrap().is_some());

    let tx = store.begin().await.unwrap();
    plugins::insert(tx.session(), "c").await.unwrap();
    tx.rollback().await;
    assert!(plugins::by_plugin_id(&store.session(), "c").await.unwrap().is_none());

    // A forgotten session does not keep the writer.
    let tx = store.begin().await.unwrap();
    let forgotten = tx.session().clone();
    plugins::insert(&forgotten, "d").await.unwrap();
    drop(tx);
    assert!(plugins::by_plugin_id(&store.session(), "d").await.unwrap().is_none());
    assert!(over(plugins::insert(&forgotten, "d").await.unwrap_err()));
}

#[rstest]
#[tokio::test]
async fn a_failed_statement_leaves_the_transaction_usable(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let tx = store.begin().await.unwrap();
    plugins::insert(tx.session(), "a").await.unwrap();
    plugins::insert(tx.session(), "a").await.unwrap_err();
    plugins::insert(tx.session(), "b").await.unwrap();
    tx.commit().await.unwrap();
    let all = plugins::list(&store.session(), &PluginFilter::default()).await.unwrap();
    assert_eq!(all.len(), 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn many_writers_queue_instead_of_failing(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let tasks = (0..50).map(|i| {
        let session = store.session();
        tokio::spawn(async move { plugins::insert(&session, &format!("p{i}")).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    let all = plugins::list(&store.session(), &PluginFilter::default()).await.unwrap();
    assert_eq!(all.len(), 50);
}

#[tokio::test]
async fn an_unusable_url_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let in_nowhere = format!("sqlite://{}/nowhere/test.db", directory.path().display());
    let is_directory = format!("sqlite://{}", directory.path().display());
    for (url, expected) in [
        ("postgres://user:secret@127.0.0.1:1/db", "database db on 127.0.0.1:1: cannot connect"),
        ("postgres://user:secret@:x/db", "expected postgres://"),
        ("mysql://user:secret@host/db", "expected sqlite:"),
        ("", "expected sqlite:"),
        ("sqlite", "expected sqlite:"),
        ("sqlite:", "no file is named"),
        ("sqlite://x.db?what=1", "unknown query parameter"),
        (in_nowhere.as_str(), "cannot use the directory"),
        (is_directory.as_str(), "is a directory"),
    ] {
        let message = Store::open(url, StoreOptions::default()).await.err().unwrap().message;
        assert!(message.contains(expected), "{url}: {message}");
        assert!(!message.contains('\n') && !message.contains("secret"), "{message}");
    }
    let text = directory.path().join("text.db");
    std::fs::write(&text, "this is not a database, but it is long enough to look like one")
        .unwrap();
    let error = Store::open(&format!("sqlite://{}", text.display()), StoreOptions::default())
        .await
        .err()
        .unwrap();
    assert!(error.message.contains("not a database"), "{error}");
}

#[tokio::test]
async fn a_file_may_have_any_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("100% #1?mode=memory 'é'.db");
    let store = Store::open_file(&path, StoreOptions::default()).await.unwrap();
    plugins::insert(&store.session(), "a").await.unwrap();
    store.close().await;
    assert!(path.metadata().unwrap().len() > 0);
    let store = Store::open_file(&path, StoreOptions::default()).await.unwrap();
    assert!(plugins::by_plugin_id(&store.session(), "a").await.unwrap().is_some());
}

/// A call that runs into its deadline is dropped wherever it waits: for the writer, in BEGIN, in a
/// statement, in COMMIT. The writer must come out of it usable and outside of any transaction.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn calls_cancelled_anywhere_leave_no_open_transaction(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let database = TestDatabase::new(on).await;
    let store = database.open().await;
    let tasks = (0..400_u64).map(|i| {
        let store = store.clone();
        tokio::spawn(async move {
            let work = async {
                let tx = store.begin().await?;
                plugins::insert(tx.session(), &format!("a{i}")).await?;
                plugins::insert(tx.session(), &format!("b{i}")).await?;
                tx.commit().await
            };
            tokio::time::timeout(std::time::Duration::from_micros(i * 40), work).await
        })
    });
    let mut finished = 0;
    for task in tasks.collect::<Vec<_>>() {
        if let Ok(result) = task.await.unwrap() {
            result.unwrap();
            finished += 1;
        }
    }
    plugins::insert(&store.session(), "after").await.unwrap();
    // A second process, as it were, sees only what is committed.
    let other = database.open().await;
    assert!(plugins::by_plugin_id(&other.session(), "after").await.unwrap().is_some());
    let all = plugins::list(&other.session(), &PluginFilter::default()).await.unwrap();
    let count = |letter: &str| all.iter().filter(|r| r.plugin_id.starts_with(letter)).count();
    assert_eq!(count("a") - 1, count("b"), "\"after\" begins with an a too");
    assert!(count("b") >= finished);
}

/// SQLite itself rolls back on a full disk. The session must notice, and the writer must stay usable.
#[tokio::test]
async fn a_full_disk_ends_the_transaction_and_nothing_else() {
    let database = TestDatabase::new(On::Sqlite).await;
    let store = database.open().await;
    let Backend::Sqlite(sqlite) = &store.backend else { panic!("SQLite") };
    let mut writer = sqlite.writer.get().await.unwrap();
    writer.command("PRAGMA max_page_count = 20").await.unwrap();
    drop(writer);
    let tx = store.begin().await.unwrap();
    let record = plugins::insert(tx.session(), "first").await.unwrap();
    let long = PluginChanges {
        config: Some(Some(Value::from("x".repeat(1 << 20)))),
        ..PluginChanges::default()
    };
    let error = plugins::update(tx.session(), &record.id, long).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (DbErrorKind::Internal, "database or disk is full")
    );
    let after = plugins::insert(tx.session(), "second").await.unwrap_err();
    assert_eq!(after.message, "the transaction is over");
    assert!(tx.commit().await.is_err());

    for plugin_id in ["third", "fourth"] {
        let tx = store.begin().await.unwrap();
        plugins::insert(tx.session(), plugin_id).await.unwrap();
        tx.commit().await.unwrap();
    }
    let all = plugins::list(&store.session(), &PluginFilter::default()).await.unwrap();
    let ids: Vec<&str> = all.iter().map(|r| r.plugin_id.as_str()).collect();
    assert_eq!(ids, ["fourth", "third"]);
}
