//! Reading the rows of the host's own tables.

use super::{Cell, DbError, DbErrorKind, Row};

/// The cells of a row, one after another, with the names of their columns for errors.
pub(super) struct Cells<'a> {
    table: &'a str,
    cells: std::iter::Zip<std::vec::IntoIter<Cell>, std::slice::Iter<'a, &'static str>>,
}

impl<'a> Cells<'a> {
    pub fn new(table: &'a str, columns: &'a [&'static str], row: Row) -> Self {
        Cells { table, cells: row.into_iter().zip(columns) }
    }

    fn next(&mut self) -> (Cell, &'static str) {
        let (cell, column) = self.cells.next().unwrap_or((Cell::Null, &"a column"));
        (cell, column)
    }

    /// A text, if there is one.
    pub fn text(&mut self) -> Result<Option<String>, DbError> {
        match self.next() {
            (Cell::Text(text), _) => Ok(Some(text)),
            (Cell::Null, _) => Ok(None),
            (_, column) => Err(self.unreadable(column)),
        }
    }

    /// A text that must be there.
    pub fn required(&mut self) -> Result<String, DbError> {
        match self.next() {
            (Cell::Text(text), _) => Ok(text),
            (_, column) => Err(self.unreadable(column)),
        }
    }

    /// A whole number.
    pub fn int(&mut self) -> Result<i64, DbError> {
        match self.next() {
            (Cell::Int(int), _) => Ok(int),
            (_, column) => Err(self.unreadable(column)),
        }
    }

    /// A small number from 0.
    pub fn count(&mut self) -> Result<u32, DbError> {
        match self.next() {
            (Cell::Int(int), column) => u32::try_from(int).map_err(|_| self.unreadable(column)),
            (_, column) => Err(self.unreadable(column)),
        }
    }

    /// The error of a cell that holds what this host never writes.
    pub fn unreadable(&self, column: &str) -> DbError {
        DbError::new(DbErrorKind::Internal, format!("table {}: cannot read {column}", self.table))
    }
}
