//! Random pairs of sets: whatever leads from one to the other must end where a new installation
//! would begin.

mod catalog;
mod sets;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use catalog::{catalog, counts, fill};
use sets::set_of;

use super::*;
use crate::extension::database::plan::{Evolving, Structural, diff, expanded};
use crate::store::DbErrorKind;
use ColumnType as T;

/// What is in the tables before they are changed.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    None,
    /// Rows that have to be there afterwards.
    Kept,
    /// Rows that may go with their table.
    Any,
}

/// Runs `change` on the tables of `from` and compares what is there then with new
/// tables of `to`.
async fn ends_at(
    db: &Database,
    from: &TableSet,
    to: &TableSet,
    rows: Rows,
    change: impl AsyncFn(&Session) -> Result<(), DbError>,
) -> Result<(), TestCaseError> {
    let tx = db.store.begin().await.unwrap();
    upgrade::create(tx.session(), to).await.map_err(|e| TestCaseError::fail(e.message))?;
    let expected = catalog(tx.session()).await;
    tx.rollback().await;

    let tx = db.store.begin().await.unwrap();
    upgrade::create(tx.session(), from).await.map_err(|e| TestCaseError::fail(e.message))?;
    if rows != Rows::None {
        fill(tx.session(), from).await;
    }
    let before = counts(tx.session(), from).await;
    let result = change(tx.session()).await;
    match result {
        // Rows may break a new rule.
        Err(e)
            if rows != Rows::None
                && (matches!(
                    e.kind,
                    DbErrorKind::UniqueViolation
                        | DbErrorKind::NotNullViolation
                        | DbErrorKind::CheckViolation
                        | DbErrorKind::ForeignKeyViolation
                ) || e.message.contains("invalid input value for enum")) =>
        {
            tx.rollback().await;
            return Ok(());
        }
        Err(e) => return Err(TestCaseError::fail(format!("{:?}: {e}", db.store))),
        Ok(()) => {}
    }
    let found = catalog(tx.session()).await;
    let after = counts(tx.session(), to).await;
    tx.rollback().await;
    proptest::prop_assert_eq!(&found, &expected, "{:?}", db.store);
    for (table, n) in before.into_iter().filter(|_| rows == Rows::Kept) {
        if let Some((_, m)) = after.iter().find(|(name, _)| *name == table) {
            proptest::prop_assert_eq!(n, *m, "rows of {} in {:?}", table, db.store);
        }
    }
    Ok(())
}

fn run(
    cases: u32,
    test: impl AsyncFn(&[Database], TableSet, TableSet) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let databases = runtime.block_on(databases());
    let config = Config {
        cases,
        // Two of three pairs would have to give a column another type than it can get.
        max_global_rejects: 20 * cases,
        failure_persistence: None,
        ..Config::default()
    };
    let bytes = || proptest::collection::vec(proptest::num::u8::ANY, 0..220);
    TestRunner::new(config)
        .run(&(bytes(), bytes()), |(a, b)| {
            let (Some(from), Some(to)) = (set_of(&a), set_of(&b)) else {
                return Err(TestCaseError::reject("no set"));
            };
            runtime.block_on(test(&databases, from, to))
        })
        .unwrap();
}

fn is_possible(from: &TableSet, to: &TableSet) -> bool {
    Plan::new(&installed(from), to, &["0001_x".to_owned()]).refused.is_empty()
}

#[test]
fn any_set_becomes_any_other() {
    run(60, async |databases, from, to| {
        if !is_possible(&from, &to) {
            return Err(TestCaseError::reject("impossible"));
        }
        for db in databases {
            for rows in [Rows::None, Rows::Kept] {
                ends_at(db, &from, &to, rows, async |session| {
                    upgrade::change(session, &from, &to).await
                })
                .await?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_set_expands_by_what_is_additive_and_contracts_to_the_new_one() {
    run(40, async |databases, from, to| {
        if !is_possible(&from, &to) {
            return Err(TestCaseError::reject("impossible"));
        }
        let expanded = expanded(&from, &to);
        let added = diff(&from, &expanded);
        proptest::prop_assert!(added.iter().all(|change| change.additive), "{:#?}", added);
        for db in databases {
            for rows in [Rows::None, Rows::Kept] {
                ends_at(db, &from, &to, rows, async |session| {
                    upgrade::change(session, &from, &expanded).await.map_err(|mut e| {
                        e.kind = DbErrorKind::Internal;
                        e
                    })?;
                    upgrade::change(session, &expanded, &to).await
                })
                .await?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_set_is_the_same_after_it_was_kept() {
    run(60, async |_, from, to| {
        let kept: TableSet = serde_json::from_str(&serde_json::to_string(&from).unwrap()).unwrap();
        proptest::prop_assert!(diff(&kept, &from).is_empty(), "{:#?}", diff(&kept, &from));
        proptest::prop_assert_eq!(diff(&kept, &to), diff(&from, &to));
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            proptest::prop_assert!(plan::statements(dialect, &kept, &from).unwrap().is_empty());
        }
        Ok(())
    });
}

#[test]
fn what_migrations_do_to_tables_leads_to_the_new_ones_too() {
    run(40, async |databases, from, to| {
        if !is_possible(&from, &to) {
            return Err(TestCaseError::reject("impossible"));
        }
        let expanded = expanded(&from, &to);
        let changes = structural_changes(&from, &expanded);
        for db in databases {
            ends_at(db, &from, &to, Rows::Any, async |session| {
                upgrade::change(session, &from, &expanded).await?;
                let mut evolving = Evolving::new(&from, expanded.clone());
                for change in &changes {
                    // Not every change can follow every other.
                    let Ok(statements) = evolving.apply(session.dialect(), change) else {
                        continue;
                    };
                    for statement in statements {
                        session.execute(statement).await?;
                    }
                }
                // A table may have taken the place of one with other types, which is no mistake here.
                plan::statements(session.dialect(), evolving.set(), &to)
                    .map_err(|e| DbError { kind: DbErrorKind::CheckViolation, ..e })?;
                upgrade::change(session, evolving.set(), &to).await
            })
            .await?;
        }
        Ok(())
    });
}

/// Some of what a migration can do to these tables, so that their columns keep their types.
fn structural_changes(from: &TableSet, expanded: &TableSet) -> Vec<Structural> {
    let mut changes = Vec::new();
    for (t, table) in expanded.tables().iter().enumerate() {
        let name = || table.name.clone();
        for (c, column) in table.columns.iter().enumerate().filter(|(c, _)| c % 3 == t % 3) {
            let column = column.physical.clone();
            changes.push(if c % 2 == 0 {
                Structural::DropColumn { table: name(), column }
            } else {
                Structural::RenameColumn { table: name(), from: column, to: format!("other_{c}") }
            });
        }
        // The place of a table that was added, if there is one, or a new name.
        let added = expanded.tables().iter().find(|t| from.physical(&t.physical).is_none());
        let to = added.map_or("other".to_owned(), |added| added.name.clone());
        changes.push(if t == 2 {
            Structural::DropTable { table: name() }
        } else {
            Structural::RenameTable { table: name(), to }
        });
    }
    changes
}
