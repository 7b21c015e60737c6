//! Upgrades with migrations: the tables expand, the migrations run, and the tables contract.

use std::sync::Mutex;

use super::*;
use crate::error::Error;
use crate::extension::database::plan::Structural;
use crate::extension::database::upgrade::Migrating;
use crate::store::DbErrorKind;
use crate::store::plugins;
use ColumnType as T;

async fn sql(session: &Session, text: &str) {
    let done = session.execute(Statement::schema_text(text)).await;
    done.unwrap_or_else(|e| panic!("{text}: {e}"));
}

/// Runs an upgrade with the named migrations, and keeps it if it succeeds.
async fn upgrade_with<Fut: Future<Output = Result<(), Error>>>(
    db: &Database,
    from: &TableSet,
    to: &TableSet,
    pending: &[&str],
    migrate: impl FnMut(String, Migrating) -> Fut,
) -> Result<Installed, Error> {
    let pending: Vec<String> = pending.iter().map(|name| (*name).to_owned()).collect();
    let tx = db.store.begin().await?;
    let from = Installed { set: from.clone(), migrations: vec!["0001_first".into()] };
    match upgrade::upgrade(tx.session(), &from, to, &pending, migrate).await {
        Ok(installed) => {
            tx.commit().await?;
            Ok(installed)
        }
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
}

/// People with a name, and then with two.
fn people() -> (TableSet, TableSet) {
    let notes = table("notes", &[("id", T::Serial, "primaryKey"), ("byId", T::Integer, "notNull")]);
    let relations = [relation("notes.byId", "people.id", OnDelete::Cascade)];
    let id = ("id", T::Serial, "primaryKey");
    let old = [id.clone(), ("fullName", T::Text, "notNull"), ("old", T::Integer, "")];
    let new = [
        id,
        ("name", T::Text, "notNull"),
        ("surname", T::Text, "notNull unique"),
        ("state", T::Enum("state".into()), "notNull default=\"new\""),
    ];
    let from = set(vec![table("people", &old), notes.clone()], &[], &relations);
    let enums = [enumeration("state", &["new", "known"])];
    let to = set(vec![table("people", &new), notes], &enums, &relations);
    (from, to)
}

async fn fill(db: &Database) {
    for text in [
        "INSERT INTO p_people (full_name) VALUES ('Ada Lovelace'), ('Alan Turing')",
        "INSERT INTO p_notes (by_id) VALUES (1), (2), (2)",
    ] {
        sql(&db.session, text).await;
    }
}

#[tokio::test]
async fn migrations_move_rows_from_the_old_columns_to_the_new_ones() {
    let (from, to) = people();
    for db in databases().await {
        db.create(&from).await.unwrap();
        fill(&db).await;
        let seen = Mutex::new(Vec::new());
        let installed = upgrade_with(&db, &from, &to, &["0002_a", "0003_b"], async |name, now| {
            seen.lock().unwrap().push(name.clone());
            if name == "0003_b" {
                // It takes the place of the column that was added.
                let rename = |from: &str, to: &str| Structural::RenameColumn {
                    table: "people".into(),
                    from: from.into(),
                    to: to.into(),
                };
                now.change(&rename("full_name", "name")).await?;
                let set = now.set();
                let people = set.table("people").unwrap();
                let names: Vec<&str> = people.columns.iter().map(|c| c.name.as_str()).collect();
                assert_eq!(names, ["id", "name", "old", "surname", "state"]);
                assert!(now.change(&rename("old", "surname_2")).await.is_ok());
                sql(now.session(), "UPDATE p_people SET name = 'A'").await;
                return Ok(());
            }
            let set = now.set();
            let people = set.table("people").unwrap();
            let nullable: Vec<&str> =
                people.columns.iter().filter(|c| !c.not_null).map(|c| c.name.as_str()).collect();
            assert_eq!(nullable, ["old", "name", "surname"]);
            assert!(people.columns.iter().all(|c| !c.unique));
            sql(now.session(), "UPDATE p_people SET surname = substr(full_name, 5)").await;
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(*seen.lock().unwrap(), ["0002_a", "0003_b"]);
        assert_eq!(installed.migrations, ["0001_first", "0002_a", "0003_b"]);
        assert_eq!(installed.set, to);
        let found = "SELECT name || surname || CAST(state AS text) FROM p_people ORDER BY id";
        assert_eq!(value(&db.session, found).await, Cell::Text("ALovelacenew".into()));
        assert_eq!(count(&db.session, "p_notes").await, 3);
        sql(&db.session, "DELETE FROM p_people WHERE id = 2").await;
        assert_eq!(count(&db.session, "p_notes").await, 1);
    }
}

#[tokio::test]
async fn what_a_migration_leaves_undone_fails_the_upgrade() {
    let (from, to) = people();
    for db in databases().await {
        db.create(&from).await.unwrap();
        fill(&db).await;
        let nothing = async |_, _| Ok(());
        let error = upgrade_with(&db, &from, &to, &["0002_a"], nothing).await.unwrap_err();
        assert_eq!(
            error.message,
            "database: people.name: a row has no value, and one is required now"
        );
        let error = upgrade_with(&db, &from, &to, &[], nothing).await.unwrap_err();
        assert!(error.message.contains("people.fullName is dropped"), "{error}");
        assert!(error.message.contains("add migrations/0002_name.lua"), "{error}");
        let failing = async |_, _| Err(Error::unexpected("no"));
        let error = upgrade_with(&db, &from, &to, &["0002_a"], failing).await.unwrap_err();
        assert_eq!(error.message, "no");
        // Nothing of all this is left.
        let again = upgrade_with(&db, &from, &from, &[], nothing).await.unwrap();
        assert_eq!((again.set, count(&db.session, "p_people").await), (from.clone(), 2));
        sql(&db.session, "INSERT INTO p_people (full_name, old) VALUES ('x', 1)").await;
    }
}

#[tokio::test]
async fn dangling_rows_fail_the_upgrade() {
    let a = table("a", &[("id", T::Integer, "primaryKey")]);
    let b = |options: &str| table("b", &[("aId", T::Integer, options)]);
    let from = set(vec![a.clone(), b("")], &[], &[]);
    let to = set(vec![a, b("references=a.id")], &[], &[]);
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db.session, "INSERT INTO p_b VALUES (7)").await;
        let error = db.change(&from, &to).await.unwrap_err();
        assert_eq!(error.kind, DbErrorKind::ForeignKeyViolation);
        assert_eq!(error.table.as_deref(), Some("b"), "{error}");
        let fix = async |_, now: Migrating| {
            sql(now.session(), "INSERT INTO p_a VALUES (7)").await;
            Ok(())
        };
        upgrade_with(&db, &from, &to, &["0002_fix"], fix).await.unwrap();
    }
}

#[tokio::test]
async fn tables_are_renamed_and_dropped() {
    let a =
        |name: &str| table(name, &[("id", T::Serial, "primaryKey"), ("n", T::Integer, "unique")]);
    let b = || table("b", &[("id", T::Serial, "primaryKey"), ("aId", T::Integer, "notNull")]);
    let of = |name: &str, more: &[TableDef]| {
        let mut tables = vec![a(name), b()];
        tables.extend_from_slice(more);
        let to = format!("{name}.id");
        set(tables, &[], &[relation("b.aId", &to, OnDelete::Cascade)])
    };
    let from = of("a", &[table("gone", &[("x", T::Text, "")])]);
    let to = of("renamed", &[]);
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db.session, "INSERT INTO p_a (n) VALUES (5), (6)").await;
        sql(&db.session, "INSERT INTO p_b (a_id) VALUES (1), (2)").await;
        let migrate = async |_, now: Migrating| {
            now.change(&Structural::RenameTable { table: "a".into(), to: "renamed".into() })
                .await?;
            now.change(&Structural::DropTable { table: "gone".into() }).await?;
            assert!(now.set().table("gone").is_none());
            sql(now.session(), "DELETE FROM p_renamed WHERE n = 6").await;
            Ok(())
        };
        upgrade_with(&db, &from, &to, &["0002_a"], migrate).await.unwrap();
        assert_eq!(
            (count(&db.session, "p_renamed").await, count(&db.session, "p_b").await),
            (1, 1)
        );
        sql(&db.session, "INSERT INTO p_renamed (n) VALUES (7)").await;
        assert_eq!(value(&db.session, "SELECT max(id) FROM p_renamed").await, Cell::Int(3));
        // The constraints are called as those of the table.
        let twice = Statement::schema_text("INSERT INTO p_renamed (n) VALUES (7)");
        let error = db.session.execute(twice).await.unwrap_err();
        assert_eq!(error.table.as_deref(), Some("p_renamed"));
        match db.session.dialect() {
            Dialect::Sqlite => assert_eq!(error.columns, ["n"]),
            Dialect::Postgres => assert_eq!(error.constraint.as_deref(), Some("p_renamed_n_key")),
        }
        let row = Statement::schema_text("INSERT INTO p_b (a_id) VALUES (9)");
        assert_eq!(
            db.session.execute(row).await.unwrap_err().kind,
            DbErrorKind::ForeignKeyViolation
        );
    }
}

#[tokio::test]
async fn wrong_changes_are_refused_and_change_nothing() {
    let (from, to) = people();
    let rename = |from: &str, to: &str| Structural::RenameColumn {
        table: "people".into(),
        from: from.into(),
        to: to.into(),
    };
    let drop =
        |column: &str| Structural::DropColumn { table: "people".into(), column: column.into() };
    let wrong = [
        (
            rename("fullName", "name"),
            "table people has no column \"fullName\" in the database; did you mean \"full_name\"?",
        ),
        (
            rename("full_name", "fullName"),
            "column \"fullName\": a name in the database is a letter",
        ),
        (rename("full_name", "a\" b"), "column \"a\\\" b\": a name in the database is a letter"),
        (rename("full_name", "old"), "table people has a column old already"),
        (drop("id"), "people.id is part of the primary key"),
        (drop("nope"), "table people has no column \"nope\""),
        (
            Structural::DropTable { table: "poeple".into() },
            "there is no table \"poeple\"; did you mean \"people\"?",
        ),
        (
            Structural::RenameTable { table: "people".into(), to: "notes".into() },
            "there is a table notes already",
        ),
        (
            Structural::RenameTable { table: "people".into(), to: "a;b".into() },
            "table \"a;b\": a name is a letter",
        ),
    ];
    for db in databases().await {
        db.create(&from).await.unwrap();
        let wrong = &wrong;
        upgrade_with(&db, &from, &to, &["0002_a"], async |_, now: Migrating| {
            let before = now.set();
            for (change, message) in wrong {
                let error = now.change(change).await.unwrap_err();
                assert!(error.message.starts_with(message), "{error}");
                assert_eq!(error.kind, DbErrorKind::Invalid);
            }
            assert_eq!(now.set(), before);
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// A name that the migration takes may be another plugin's. What the database says then is not to be
/// passed over.
#[tokio::test]
async fn a_change_that_fails_in_the_database_fails_the_upgrade() {
    let (from, to) = people();
    for db in databases().await {
        db.create(&from).await.unwrap();
        sql(&db.session, "CREATE TABLE p_taken (x INT)").await;
        let migrate = async |_, now: Migrating| {
            let change = Structural::RenameTable { table: "notes".into(), to: "taken".into() };
            assert!(now.change(&change).await.is_err());
            Ok(())
        };
        let error = upgrade_with(&db, &from, &to, &["0002_a"], migrate).await.unwrap_err();
        assert!(error.message.contains("p_taken"), "{error}");
    }
}

#[tokio::test]
async fn what_is_installed_is_remembered() {
    let (set, _) = people();
    for db in databases().await {
        plugins::insert(&db.session, "p").await.unwrap();
        let record = async || plugins::by_plugin_id(&db.session, "p").await.unwrap().unwrap();
        assert_eq!(Installed::of(&record().await), Ok(None));
        let installed = Installed { set: set.clone(), migrations: vec!["0001_a".into()] };
        Installed::remember(&db.session, "p", Some(&installed)).await.unwrap();
        assert_eq!(Installed::of(&record().await), Ok(Some(installed.clone())));
        Installed::remember(&db.session, "p", None).await.unwrap();
        assert_eq!(Installed::of(&record().await), Ok(None));
        let nobody = Installed::remember(&db.session, "q", Some(&installed)).await.unwrap_err();
        assert_eq!(nobody.message, "plugin q has no record to keep its tables in");

        let mut broken = installed.clone();
        broken.set.tables[0].key = vec![9];
        Installed::remember(&db.session, "p", Some(&broken)).await.unwrap();
        let error = Installed::of(&record().await).unwrap_err();
        assert_eq!(error.kind, DbErrorKind::Internal);
        assert!(error.message.starts_with("the record of plugin p: table_set: "), "{error}");
    }
}
