//! Tests of the text alone; what is legal in SQLite is also prepared there.

mod attacks;
mod functions;
mod legal;
mod limits;
mod migrations;
mod scopes;
mod soup;

use super::super::model::{ColumnType as T, TableSet};
use super::super::tests::{enumeration, table};
use super::*;
use crate::store::DECIMAL_COLLATION;

pub const DIALECTS: [Dialect; 2] = [Dialect::Sqlite, Dialect::Postgres];

/// A plugin with two tables and an enum.
pub fn set() -> TableSet {
    let notes = table(
        "notes",
        &[
            ("id", T::Integer, "primaryKey"),
            ("title", T::Text, ""),
            ("authorId", T::Text, ""),
            ("votes", T::Integer, ""),
            ("meta", T::Json, ""),
            ("createdAt", T::Timestamp, ""),
        ],
    );
    let tags = table(
        "noteTags",
        &[
            ("noteId", T::Integer, "notNull"),
            ("name", T::Text, "notNull"),
            ("state", T::Enum("state".into()), ""),
        ],
    );
    TableSet::new("journal", vec![notes, tags], vec![enumeration("state", &["on", "off"])], vec![])
        .unwrap()
}

/// The text with `?` where the parameters are.
pub fn joined(statement: &RawStatement) -> String {
    statement.pieces.join("?")
}

/// The text with numbered parameters.
pub fn numbered(statement: &RawStatement, sign: &str) -> String {
    let mut pieces = statement.pieces.iter();
    let mut text = pieces.next().unwrap().clone();
    for (i, piece) in pieces.enumerate() {
        text += &format!("{sign}{}{piece}", i + 1);
    }
    text
}

/// Checks a statement of a call.
pub fn call(dialect: Dialect, sql: &str) -> Result<RawStatement, String> {
    match check(dialect, &set(), sql, Purpose::Call) {
        Ok(Checked::Statement(statement)) => Ok(statement),
        Ok(Checked::Change(change)) => panic!("{sql}: {change:?} in a call"),
        Err(error) => Err(error.message),
    }
}
