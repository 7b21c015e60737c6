//! Whether the tables in the database are those that are declared.

use sea_query::{Func, Query};

use super::ddl;
use super::model::{Table, TableSet};
use crate::store::{Cell, DbError, DbErrorKind, Session, Statement};

/// What a column is in the database.
#[derive(PartialEq)]
struct Actual {
    name: String,
    ty: String,
    not_null: bool,
    primary_key: bool,
}

/// What differs between the declarations and the tables that were created when the plugin was
/// installed, one line each; empty when they agree. It looks at tables and at the name, storage and
/// nullability of columns; a changed index, enum or reference is not noticed.
pub async fn differences(session: &Session, set: &TableSet) -> Result<Vec<String>, DbError> {
    let mut found = Vec::new();
    for table in set.tables() {
        let actual = columns(session, table).await?;
        if actual.is_empty() {
            found.push(format!("table {} is not in the database", table.name));
            continue;
        }
        for column in &table.columns {
            let place = format!("{}.{}", table.name, column.name);
            match actual.iter().find(|a| a.name == column.physical) {
                None => found.push(format!("{place} is not in the database")),
                Some(a) if a.ty != ddl::storage(column) => {
                    let stored = &a.ty;
                    found.push(format!("{place} has another type in the database ({stored})"));
                }
                Some(a) if a.primary_key != column.primary_key => {
                    let is = if a.primary_key { "is" } else { "is not" };
                    found.push(format!("{place} {is} the primary key in the database"));
                }
                Some(a) if a.not_null != column.not_null => {
                    let may = if a.not_null { "must not" } else { "may" };
                    found.push(format!("{place} {may} be NULL in the database"));
                }
                Some(_) => {}
            }
        }
        for extra in actual.iter().filter(|a| table.columns.iter().all(|c| c.physical != a.name)) {
            found.push(format!("{}: the database has a column {} more", table.name, extra.name));
        }
    }
    Ok(found)
}

async fn columns(session: &Session, table: &Table) -> Result<Vec<Actual>, DbError> {
    let info = Func::cust("pragma_table_info").arg(table.physical.clone());
    let query = Query::select()
        .columns(["name", "type", "notnull", "pk"])
        .from_function(info, "info")
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await?;
    let read = |row: Vec<Cell>| match row.as_slice() {
        [Cell::Text(name), Cell::Text(ty), Cell::Int(not_null), Cell::Int(key)] => Ok(Actual {
            name: name.clone(),
            ty: ty.clone(),
            not_null: *not_null != 0,
            primary_key: *key != 0,
        }),
        _ => Err(DbError::new(DbErrorKind::Internal, "cannot read the columns of a table")),
    };
    rows.into_iter().map(read).collect()
}
