//! Rows between the database and Lua.

use sea_query::{Expr, Value as Sql};
use uuid::Uuid;

use super::convert;
use super::model::{Column, ColumnType, Default, Table, TableSet};
use crate::store::{Cipher, DbError, DbErrorKind, Dialect, Row, Session};
use crate::value::{Map, Value};

/// A row as Lua sees it: NULL columns are absent.
pub(super) fn read_row(
    cipher: &Cipher,
    set: &TableSet,
    table: &Table,
    columns: &[usize],
    cells: Row,
) -> Result<Map, DbError> {
    let mut row = Map::with_capacity(cells.len());
    for (index, cell) in columns.iter().zip(cells) {
        let column = &table.columns[*index];
        match convert::from_sql(cipher, &set.plugin_id, &table.name, column, cell)? {
            Value::Null => {}
            value => {
                row.insert(column.name.clone(), value);
            }
        }
    }
    Ok(row)
}

/// A value as it is stored: a secret is encrypted.
pub(super) fn stored(
    session: &Session,
    set: &TableSet,
    table: &Table,
    column: &Column,
    value: &Value,
) -> Result<Expr, DbError> {
    let mut sql = convert::to_sql(&table.name, column, value)?;
    if let (ColumnType::Secret, Sql::String(Some(text))) = (&column.ty, &sql) {
        sql = Sql::from(session.cipher().seal(&set.plugin_id, text));
    }
    Ok(convert::bound(session.dialect(), column, sql))
}

/// What an insert writes into a column for which it has no value; `None` if the database does that.
pub(super) fn generated(dialect: Dialect, column: &Column) -> Option<Expr> {
    let value = match &column.default {
        Some(Default::Now) => convert::now(&column.ty),
        Some(Default::Random) => Sql::from(Uuid::new_v4().to_string()),
        Some(Default::Value(_)) | None => return None,
    };
    Some(convert::bound(dialect, column, value))
}

/// The columns of a row that must have a value and would have none.
pub(super) fn missing(table: &Table, row: &Map) -> Vec<String> {
    let lacks = |column: &&Column| match row.get(&column.name) {
        Some(value) => value.is_null() && column.not_null,
        None => column.not_null && column.default.is_none() && !column.ty.is_serial(),
    };
    table.columns.iter().filter(lacks).map(|column| column.name.clone()).collect()
}

/// The error of columns that must have a value.
pub(super) fn required(table: &Table, columns: Vec<String>) -> DbError {
    let message = match columns.as_slice() {
        [one] => format!("{}.{one}: a value is required", table.name),
        many => format!("{} ({}): values are required", table.name, many.join(", ")),
    };
    DbError::new(DbErrorKind::NotNullViolation, message).at(&table.name, columns)
}
