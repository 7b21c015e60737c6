//! What can go wrong in the database, in terms that a plugin can branch on.

use std::fmt;

use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::error::Error;

/// The kind of a [`DbError`]. [`DbErrorKind::as_str`] is what plugins see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbErrorKind {
    /// A row with the same values in a unique column or index exists.
    UniqueViolation,
    /// A referenced row does not exist, or the row is still referenced.
    ForeignKeyViolation,
    /// A required column has no value.
    NotNullViolation,
    /// A value is not among those that the column allows.
    CheckViolation,
    /// A concurrent transaction got in the way; running the transaction again may succeed.
    SerializationFailure,
    /// The statement took too long.
    Timeout,
    /// No connection was free in time, or another process holds the database's lock.
    Busy,
    /// The statement itself is wrong: an unknown column, a value of the wrong type, too many values.
    Invalid,
    /// A failure of the database itself: the disk is full, the file is damaged, it is closed.
    Internal,
}

impl DbErrorKind {
    /// The name as plugins see it.
    pub fn as_str(self) -> &'static str {
        match self {
            DbErrorKind::UniqueViolation => "uniqueViolation",
            DbErrorKind::ForeignKeyViolation => "foreignKeyViolation",
            DbErrorKind::NotNullViolation => "notNullViolation",
            DbErrorKind::CheckViolation => "checkViolation",
            DbErrorKind::SerializationFailure => "serializationFailure",
            DbErrorKind::Timeout => "timeout",
            DbErrorKind::Busy => "busy",
            DbErrorKind::Invalid => "invalid",
            DbErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for DbErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of the database. Coming from a [`Session`](super::Session), `table` and `columns` are
/// physical names; `extension::database` translates them to the names that the plugin declared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct DbError {
    pub kind: DbErrorKind,
    pub message: String,
    /// The table that a constraint belongs to, where the database tells.
    pub table: Option<String>,
    /// The columns of that constraint.
    pub columns: Vec<String>,
    /// What a client may be told, if the value came from one: what only a client can have made up.
    pub(crate) for_client: Option<String>,
    /// The name of that constraint in the database, where the database tells.
    pub(crate) constraint: Option<String>,
    /// Whether the connection is gone.
    pub(crate) lost: bool,
    /// Whether the database has already rolled back the transaction in which this happened.
    pub(crate) ends_transaction: bool,
    /// Whether it is about what a statement has given, of which the database knows nothing: there the
    /// statement has not failed, and may still be running.
    pub(crate) of_result: bool,
}

impl DbError {
    /// An error of `kind` that names no table.
    pub fn new(kind: DbErrorKind, message: impl Into<String>) -> Self {
        DbError {
            kind,
            message: message.into(),
            table: None,
            columns: Vec::new(),
            for_client: None,
            constraint: None,
            lost: false,
            ends_transaction: false,
            of_result: false,
        }
    }

    /// A wrong statement or value.
    pub fn invalid(message: impl Into<String>) -> Self {
        DbError::new(DbErrorKind::Invalid, message)
    }

    /// Says what a client is told, unless the plugin says something else.
    pub(crate) fn for_client(mut self, message: impl Into<String>) -> Self {
        self.for_client = Some(message.into());
        self
    }

    /// Names the table and columns it is about.
    pub fn at(mut self, table: impl Into<String>, columns: Vec<String>) -> Self {
        self.table = Some(table.into());
        self.columns = columns;
        self
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        Error::unexpected(format!("database: {}", error.message))
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let error = match error {
            sqlx::Error::Database(error) => error,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
                return lost(format!("the connection to the database is lost: {error}"));
            }
            other => return DbError::new(DbErrorKind::Internal, other.to_string()),
        };
        if let Some(error) = error.try_downcast_ref::<SqliteError>() {
            return from_sqlite(error);
        }
        match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => from_postgres(error),
            None => DbError::new(DbErrorKind::Internal, error.to_string()),
        }
    }
}

/// The error of a connection that is gone.
pub(super) fn lost(message: String) -> DbError {
    DbError { lost: true, ends_transaction: true, ..DbError::new(DbErrorKind::Busy, message) }
}

/// The error of a statement that took longer than it may.
pub(super) fn timed_out() -> DbError {
    let message = "the statement took too long and was stopped";
    DbError { ends_transaction: true, ..DbError::new(DbErrorKind::Timeout, message) }
}

/// Reads PostgreSQL's SQLSTATE; see appendix A of its manual.
fn from_postgres(error: &PgDatabaseError) -> DbError {
    let code = error.code();
    let kind = match code {
        "23505" => DbErrorKind::UniqueViolation,
        // foreign_key_violation, restrict_violation
        "23503" | "23001" => DbErrorKind::ForeignKeyViolation,
        "23502" => DbErrorKind::NotNullViolation,
        "23514" => DbErrorKind::CheckViolation,
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => DbErrorKind::SerializationFailure,
        // query_canceled
        "57014" => return timed_out(),
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_in_transaction_session_timeout
        "57P01" | "57P02" | "57P03" | "25P03" => {
            return lost(format!("the database has ended the connection: {}", error.message()));
        }
        // read_only_sql_transaction
        "25006" => DbErrorKind::Invalid,
        // lock_not_available, too_many_connections
        "55P03" | "53300" => DbErrorKind::Busy,
        _ => match code.get(..2) {
            Some("08") => return lost(error.message().to_owned()),
            // data_exception, syntax_error_or_access_rule_violation, program_limit_exceeded
            Some("22" | "42" | "54") => DbErrorKind::Invalid,
            _ => DbErrorKind::Internal,
        },
    };
    let mut out = DbError::new(kind, error.message());
    out.table = error.table().map(str::to_owned);
    out.columns = match error.column() {
        Some(column) => vec![column.to_owned()],
        None => error.detail().map(key_columns).unwrap_or_default(),
    };
    out.constraint = error.constraint().map(str::to_owned);
    out.ends_transaction = kind == DbErrorKind::SerializationFailure;
    out
}

/// The columns in a detail such as `Key (a, b)=(1, 2) already exists.`, whose words depend on the
/// server's language.
fn key_columns(detail: &str) -> Vec<String> {
    let names = detail.split_once(")=(").and_then(|(before, _)| before.split_once('('));
    names.map_or(Vec::new(), |(_, names)| names.split(", ").map(str::to_owned).collect())
}

/// The primary result codes of SQLite after which it may have rolled back the transaction by itself.
const ROLLED_BACK: [i32; 5] = [
    5,  // SQLITE_BUSY
    7,  // SQLITE_NOMEM
    9,  // SQLITE_INTERRUPT
    10, // SQLITE_IOERR
    13, // SQLITE_FULL
];

/// Reads SQLite's extended result code (the low byte is the primary code) and message.
fn from_sqlite(error: &SqliteError) -> DbError {
    use sqlx::error::DatabaseError as _;
    let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
    if code & 0xff == 9 {
        return timed_out();
    }
    let message = error.message();
    let kind = match code {
        // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY, _ROWID
        2067 | 1555 | 2579 => DbErrorKind::UniqueViolation,
        // SQLITE_CONSTRAINT_FOREIGNKEY, and _TRIGGER, which RESTRICT reports
        787 | 1811 => DbErrorKind::ForeignKeyViolation,
        1299 => DbErrorKind::NotNullViolation,
        // SQLITE_CONSTRAINT_CHECK, _DATATYPE
        275 | 3091 => DbErrorKind::CheckViolation,
        // SQLITE_BUSY_SNAPSHOT
        517 => DbErrorKind::SerializationFailure,
        _ => match code & 0xff {
            5 | 6 => DbErrorKind::Busy,
            // SQLITE_ERROR, _TOOBIG, _MISMATCH, _AUTH, _RANGE
            1 | 18 | 20 | 23 | 25 => DbErrorKind::Invalid,
            _ => DbErrorKind::Internal,
        },
    };
    let mut out = DbError::new(kind, message);
    out.ends_transaction = ROLLED_BACK.contains(&(code & 0xff));
    if let Some((table, columns)) = constraint_place(message) {
        out.table = Some(table);
        out.columns = columns;
    }
    out
}

/// The table and columns in a message such as `UNIQUE constraint failed: a.x, a.y`. The checks that
/// this crate creates are named `table.column`, so they read the same.
fn constraint_place(message: &str) -> Option<(String, Vec<String>)> {
    let (_, places) = message.split_once(" constraint failed: ")?;
    let mut table = None;
    let mut columns = Vec::new();
    for place in places.split(", ") {
        let (place_table, column) = place.split_once('.')?;
        table.get_or_insert(place_table);
        columns.push(column.to_owned());
    }
    Some((table?.to_owned(), columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_name_the_columns_of_a_key() {
        assert_eq!(key_columns("Key (a, b_c)=(1, x)=(y) already exists."), ["a", "b_c"]);
        assert_eq!(key_columns("Failing row contains (1, 2)."), [""; 0]);
    }

    #[test]
    fn constraint_messages_name_their_table_and_columns() {
        assert_eq!(
            constraint_place("UNIQUE constraint failed: polls_votes.poll_id, polls_votes.user_id"),
            Some(("polls_votes".into(), vec!["poll_id".into(), "user_id".into()]))
        );
        assert_eq!(constraint_place("UNIQUE constraint failed: index 'x'"), None);
        assert_eq!(constraint_place("FOREIGN KEY constraint failed"), None);
    }
}
