//! Tables change from one version to the next, and rows stay.

mod changes;
mod migrating;
mod random;
mod rows;

use super::*;
use crate::extension::database::Installed;
use crate::extension::database::plan::{self, Plan};
use crate::store::{Cell, Dialect, Statement};

/// A set of one plugin.
fn set(tables: Vec<TableDef>, enums: &[EnumDef], relations: &[RelationDef]) -> TableSet {
    TableSet::new("p", tables, enums.to_vec(), relations.to_vec())
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A set of one table, `t`.
fn one(columns: &[(&str, ColumnType, &str)]) -> TableSet {
    set(vec![table("t", columns)], &[], &[])
}

fn installed(set: &TableSet) -> Installed {
    Installed { set: set.clone(), migrations: vec![] }
}

fn index(columns: &[&str], unique: bool) -> IndexDef {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    IndexDef { columns, unique, name: None }
}

/// The only value that a query gives.
async fn value(session: &Session, sql: &str) -> Cell {
    let rows = session.fetch(Statement::schema_text(sql)).await.unwrap();
    rows.into_iter().flatten().next().unwrap_or(Cell::Null)
}

async fn count(session: &Session, table: &str) -> i64 {
    match value(session, &format!("SELECT count(*) FROM {table}")).await {
        Cell::Int(n) => n,
        other => panic!("{other:?}"),
    }
}
