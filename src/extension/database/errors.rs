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
        let found =
            error.table.as_ref().and_then(|p| self.tables.iter().find(|t| t.physical == *p));
        let about = found.unwrap_or(table);
        let columns = match error.kind {
            // SQLite does not say which; only if there is one candidate it is clear.
            DbErrorKind::ForeignKeyViolation => sole_foreign_key(about, doing),
            _ => error
                .columns
                .iter()
                .filter_map(|p| about.columns.iter().find(|c| c.physical == *p))
                .map(|c| c.name.clone())
                .collect(),
        };
        let what = match error.kind {
            DbErrorKind::UniqueViolation if columns.len() > 1 => "another row has these values",
            DbErrorKind::UniqueViolation => "another row has this value",
            DbErrorKind::NotNullViolation => "a value is required",
            DbErrorKind::CheckViolation => "the value is not allowed",
            DbErrorKind::ForeignKeyViolation if doing == Doing::Deleting => {
                "the row is still referred to"
            }
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

fn sole_foreign_key(table: &Table, doing: Doing) -> Vec<String> {
    let mut keys = table.columns.iter().filter(|c| c.foreign_key.is_some());
    match (doing, keys.next(), keys.next()) {
        (Doing::Writing, Some(only), None) => vec![only.name.clone()],
        _ => Vec::new(),
    }
}
