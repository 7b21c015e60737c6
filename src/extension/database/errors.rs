//! Errors of the database in the plugin's own terms.

use super::model::{Table, TableSet};
use crate::store::{DbError, DbErrorKind};

impl TableSet {
    /// Replaces physical names by declared ones and says what happened in words. `table` is the one
    /// the statement was about.
    pub(super) fn explain(&self, table: &Table, error: DbError) -> DbError {
        let found =
            error.table.as_ref().and_then(|p| self.tables.iter().find(|t| t.physical == *p));
        let about = found.unwrap_or(table);
        let columns: Vec<String> = error
            .columns
            .iter()
            .filter_map(|p| about.columns.iter().find(|c| c.physical == *p))
            .map(|c| c.name.clone())
            .collect();
        let place = match columns.as_slice() {
            [] => about.name.clone(),
            [one] => format!("{}.{one}", about.name),
            many => format!("{} ({})", about.name, many.join(", ")),
        };
        let message = match error.kind {
            DbErrorKind::UniqueViolation if columns.len() > 1 => {
                format!("{place}: another row has these values")
            }
            DbErrorKind::UniqueViolation => format!("{place}: another row has this value"),
            DbErrorKind::NotNullViolation => format!("{place}: a value is required"),
            DbErrorKind::CheckViolation => format!("{place}: the value is not allowed"),
            DbErrorKind::ForeignKeyViolation => {
                format!(
                    "{place}: a row that is referred to does not exist, or is still referred to"
                )
            }
            _ => return DbError { table: None, columns: Vec::new(), ..error },
        };
        DbError { message, table: Some(about.name.clone()), columns, ..error }
    }
}
