//! What comes out of the database.

use super::{DbError, DbErrorKind, Statement};

/// The most that one statement may give, in bytes, as they are in memory.
pub const MAX_RESULT_BYTES: usize = 16 * 1024 * 1024;

/// A value as it is in the database.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    /// SQLite has none and gives [`Cell::Int`].
    Bool(bool),
    Int(i64),
    Real(f64),
    /// Also dates, times, UUIDs, decimals and enums, in the one spelling that `convert` writes.
    Text(String),
    /// The text of a JSON value; SQLite gives [`Cell::Text`].
    Json(String),
    Blob(Vec<u8>),
}

impl Cell {
    fn size(&self) -> usize {
        size_of::<Cell>()
            + match self {
                Cell::Text(text) | Cell::Json(text) => text.len(),
                Cell::Blob(bytes) => bytes.len(),
                Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Real(_) => 0,
            }
    }
}

/// A row, in the order of the statement's columns.
pub type Row = Vec<Cell>;

/// What a column of a result is called, and the table and column that it was read from, if the
/// database knows one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    pub origin: Option<(String, String)>,
}

/// What a statement has given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Known for statements behind a fence that gave a row.
    pub columns: Vec<ResultColumn>,
    pub rows: Vec<Row>,
    /// How many rows were changed.
    pub changed: u64,
}

/// What is wanted of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Rows,
    /// The number of changed rows.
    Count,
}

/// Collects rows, within bounds.
pub(super) struct Collected {
    pub rows: Vec<Row>,
    bytes: usize,
    max_bytes: usize,
    max_rows: Option<usize>,
}

impl Collected {
    /// For what a statement gives.
    pub fn of(statement: &Statement) -> Self {
        // A row that is written already cannot be refused any more; it is in memory anyway.
        let is_written = statement.writes && statement.gives_one_row;
        let max_bytes = if is_written { usize::MAX } else { MAX_RESULT_BYTES };
        Collected { rows: Vec::new(), bytes: 0, max_bytes, max_rows: statement.max_rows }
    }

    /// # Errors
    /// `invalid` when it is one row or one byte too much.
    pub fn push(&mut self, row: Row) -> Result<(), DbError> {
        if let Some(most) = self.max_rows.filter(|most| self.rows.len() >= *most) {
            return Err(too_much(format!(
                "the result has more than {most} rows; take it in parts with LIMIT and OFFSET"
            )));
        }
        self.bytes += size_of::<Row>() + row.iter().map(Cell::size).sum::<usize>();
        if self.bytes > self.max_bytes {
            let most = MAX_RESULT_BYTES / (1024 * 1024);
            return Err(too_much(format!(
                "the result is larger than {most} MiB; take it in parts with a limit, or select \
                 fewer columns"
            )));
        }
        self.rows.push(row);
        Ok(())
    }
}

fn too_much(message: String) -> DbError {
    DbError { of_result: true, ..DbError::invalid(message) }
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> DbError {
    let message = format!("cannot read a value: {error}");
    DbError { of_result: true, ..DbError::new(DbErrorKind::Internal, message) }
}
