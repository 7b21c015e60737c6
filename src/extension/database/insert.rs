//! Inserting rows: one or many, and over existing ones.

use sea_query::{Expr, OnConflict};

use super::convert;
use super::model::{Default, Table, TableSet};
use super::query::{MAX_ROWS, column_of};
use super::rows::{generated, missing, required, stored};
use super::tables::every_column;
use crate::store::{DbError, Dialect, MAX_BOUND_VALUES, Session, Statement};
use crate::value::{Map, Value};

/// What an upsert does about a row that is there already.
pub(super) struct Conflict {
    /// The columns in which it is the same.
    target: Vec<usize>,
    /// The columns that are changed.
    changed: Vec<usize>,
}

impl Conflict {
    /// # Errors
    /// `invalid` unless the columns are together a primary key, a unique column or a unique index,
    /// and the row has a value for each.
    pub fn new(table: &Table, row: &Map, columns: &[String]) -> Result<Self, DbError> {
        let wrong =
            |message: String| DbError::invalid(format!("{}: upsert: {message}", table.name));
        let mut target = Vec::with_capacity(columns.len());
        for name in columns {
            let index = column_of(table, name)?;
            if row.get(name).is_none_or(Value::is_null) {
                return Err(wrong(format!("the row has no {name}, by which it would be found")));
            }
            if !target.contains(&index) {
                target.push(index);
            }
        }
        let is = |unique: &[usize]| {
            unique.len() == target.len() && unique.iter().all(|index| target.contains(index))
        };
        let known = is(&table.key)
            || matches!(target.as_slice(), [one] if table.columns[*one].unique)
            || table.indexes.iter().any(|index| index.unique && is(&index.columns));
        if target.is_empty() || !known {
            return Err(wrong(format!(
                "({}) is neither the primary key nor unique; give the columns of a key, or declare \
                 a unique index over them",
                columns.join(", ")
            )));
        }
        let mut changed = Vec::new();
        for name in row.keys() {
            let index = column_of(table, name)?;
            if !target.contains(&index) {
                changed.push(index);
            }
        }
        Ok(Conflict { target, changed })
    }

    fn write(&self, table: &Table) -> OnConflict {
        let names = |columns: &[usize]| -> Vec<String> {
            columns.iter().map(|index| table.columns[*index].physical.clone()).collect()
        };
        let mut conflict = OnConflict::columns(names(&self.target));
        // Something must be written for the row to be given.
        let changed = if self.changed.is_empty() { &self.target } else { &self.changed };
        conflict.update_columns(names(changed));
        conflict
    }
}

/// The rows in parts that each fit into one statement.
///
/// # Errors
/// `invalid` for more than [`MAX_ROWS`] rows.
pub(super) fn parts<'r>(table: &Table, rows: &'r [Map]) -> Result<Vec<&'r [Map]>, DbError> {
    if rows.len() as u64 > MAX_ROWS {
        return Err(DbError::invalid(format!(
            "{}: insertMany takes at most {MAX_ROWS} rows, these are {}; insert them in parts",
            table.name,
            rows.len()
        )));
    }
    let together = (MAX_BOUND_VALUES / table.columns.len().max(1)).max(1);
    Ok(rows.chunks(together).collect())
}

/// The statement that inserts rows and gives them.
pub(super) fn statement(
    session: &Session,
    set: &TableSet,
    table: &Table,
    rows: &[Map],
    conflict: Option<&Conflict>,
) -> Result<Statement, DbError> {
    let dialect = session.dialect();
    for row in rows {
        for name in row.keys() {
            column_of(table, name)?;
        }
        let missing = missing(table, row);
        if !missing.is_empty() {
            return Err(required(table, missing));
        }
    }
    // A column is written if any row has a value for it, or if the host generates one.
    let written: Vec<usize> = (0..table.columns.len())
        .filter(|index| {
            let column = &table.columns[*index];
            rows.iter().any(|row| row.contains_key(&column.name))
                || matches!(column.default, Some(Default::Now | Default::Random))
        })
        .collect();
    let mut insert = sea_query::Query::insert();
    insert.into_table(table.physical.clone());
    if written.is_empty() {
        insert.or_default_values_many(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    } else {
        insert.columns(written.iter().map(|index| table.columns[*index].physical.clone()));
        for row in rows {
            let mut values: Vec<Expr> = Vec::with_capacity(written.len());
            for index in &written {
                values.push(value(session, set, table, *index, row)?);
            }
            insert
                .values(values)
                .map_err(|e| DbError::new(crate::store::DbErrorKind::Internal, e.to_string()))?;
        }
    }
    if let Some(conflict) = conflict {
        insert.on_conflict(conflict.write(table));
    }
    insert.returning(every_column(table));
    let statement = Statement::write(dialect, &insert);
    Ok(if rows.len() == 1 { statement.of_one_row() } else { statement })
}

/// What a row has in a column that is written.
fn value(
    session: &Session,
    set: &TableSet,
    table: &Table,
    index: usize,
    row: &Map,
) -> Result<Expr, DbError> {
    let (dialect, column) = (session.dialect(), &table.columns[index]);
    if let Some(value) = row.get(&column.name) {
        return stored(session, set, table, column, value);
    }
    if let Some(generated) = generated(dialect, column) {
        return Ok(generated);
    }
    Ok(match &column.default {
        // SQLite knows no DEFAULT among values.
        Some(Default::Value(value)) => stored(session, set, table, column, value)?,
        // It numbers a row whose number is NULL.
        _ if column.ty.is_serial() && dialect == Dialect::Postgres => Expr::cust("DEFAULT"),
        _ => convert::bound(dialect, column, convert::null(&column.ty)),
    })
}

/// Lets numbering go on after the numbers that rows were inserted with, as SQLite does by itself.
pub(super) async fn count_on(
    session: &Session,
    set: &TableSet,
    table: &Table,
    rows: &[Map],
) -> Result<(), DbError> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    for column in table.columns.iter().filter(|column| column.ty.is_serial()) {
        if rows.iter().all(|row| row.get(&column.name).is_none_or(Value::is_null)) {
            continue;
        }
        session
            .fetch(numbering_on(&table.physical, &column.physical))
            .await
            .map_err(|e| set.explain(table, super::errors::Doing::Writing, e))?;
    }
    Ok(())
}

/// The statement that lets PostgreSQL's numbering go on after the largest number in a column. Names
/// are letters, digits and underscores.
pub(super) fn numbering_on(table: &str, column: &str) -> Statement {
    let sequence = format!("pg_get_serial_sequence('\"{table}\"', '{column}')");
    let next = Expr::cust(format!(
        "setval({sequence}, greatest((SELECT max(\"{column}\") FROM \"{table}\"), \
         (SELECT coalesce(pg_sequence_last_value({sequence}::regclass), 1))))"
    ));
    let select = sea_query::Query::select().expr(next).to_owned();
    Statement::write(Dialect::Postgres, &select).of_one_row()
}
