//! Errors of the database in the plugin's own terms.

use super::model::{Table, TableSet};
use crate::store::{DbError, DbErrorKind};

/// What a failed statement was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Reading,
    /// Inserting rows, or changing columns.
    Writing,
    Deleting,
}

impl TableSet {
    /// Replaces physical names by declared ones and says what happened in words. `table` is the one
    /// the statement was about.
    pub(super) fn explain(&self, table: &Table, doing: Doing, error: DbError) -> DbError {
        let is_referred_to =
            error.kind == DbErrorKind::ForeignKeyViolation && doing == Doing::Deleting;
        let found =
            error.table.as_ref().and_then(|p| self.tables.iter().find(|t| t.physical == *p));
        // PostgreSQL names the table that refers to the row, SQLite none.
        let about = found.filter(|_| !is_referred_to).unwrap_or(table);
        let mut columns = if is_referred_to { Vec::new() } else { columns_of(about, &error) };
        if columns.is_empty() && error.kind == DbErrorKind::ForeignKeyViolation {
            // SQLite does not say which; only if there is one candidate it is clear.
            columns = sole_foreign_key(about, doing);
        }
        let what = match error.kind {
            DbErrorKind::UniqueViolation if columns.len() > 1 => "another row has these values",
            DbErrorKind::UniqueViolation => "another row has this value",
            DbErrorKind::NotNullViolation => "a value is required",
            DbErrorKind::CheckViolation => "the value is not allowed",
            DbErrorKind::ForeignKeyViolation if is_referred_to => "the row is still referred to",
            DbErrorKind::ForeignKeyViolation if !columns.is_empty() => {
                "the row that is referred to does not exist"
            }
            DbErrorKind::ForeignKeyViolation => {
                "a row that is referred to does not exist, or the row is still referred to"
            }
            _ => {
                let message = format!("{}: {}", table.name, error.message);
                return DbError { message, table: None, columns: Vec::new(), ..error };
            }
        };
        let place = match columns.as_slice() {
            [] => about.name.clone(),
            [one] => format!("{}.{one}", about.name),
            many => format!("{} ({})", about.name, many.join(", ")),
        };
        let message = format!("{place}: {what}");
        DbError { message, table: Some(about.name.clone()), columns, ..error }
    }
}

/// The columns that an error is about, as declared. SQLite names them, PostgreSQL the constraint.
pub(super) fn columns_of(table: &Table, error: &DbError) -> Vec<String> {
    let named = |physical: &String| Some(table.physical(physical)?.name.clone());
    if !error.columns.is_empty() {
        return error.columns.iter().filter_map(named).collect();
    }
    let Some(constraint) = &error.constraint else { return Vec::new() };
    let at = |places: &[usize]| places.iter().map(|i| table.columns[*i].name.clone()).collect();
    if *constraint == table.key_constraint() {
        return at(&table.key);
    }
    if let Some(index) = table.indexes.iter().find(|index| index.physical == *constraint) {
        return at(&index.columns);
    }
    let column = table.columns.iter().find(|column| {
        table.unique_constraint(column) == *constraint
            || table.foreign_key_constraint(column) == *constraint
    });
    column.map(|column| column.name.clone()).into_iter().collect()
}

fn sole_foreign_key(table: &Table, doing: Doing) -> Vec<String> {
    let mut keys = table.columns.iter().filter(|c| c.foreign_key.is_some());
    match (doing, keys.next(), keys.next()) {
        (Doing::Writing, Some(only), None) => vec![only.name.clone()],
        _ => Vec::new(),
    }
}
