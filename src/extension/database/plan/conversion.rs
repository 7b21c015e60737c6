//! Which types of columns can become which, and how their values are converted.

use crate::extension::database::model::{Column, ColumnType};
use crate::store::Dialect;

/// What it takes to give a column another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// It is the same.
    None,
    /// Every value fits as it is.
    Safe,
    /// A value may not fit, or reads differently afterwards: a migration has to say so.
    InMigration,
    Impossible,
}

/// What it takes to make the column `from` what `to` is.
pub fn conversion(from: &Column, to: &Column) -> Conversion {
    use ColumnType as T;
    match (&from.ty, &to.ty) {
        (T::Enum(_), T::Enum(_)) if from.enum_type == to.enum_type => Conversion::None,
        (T::Enum(_), T::Enum(_)) => Conversion::InMigration,
        (from, to) if from == to => Conversion::None,
        (T::Integer, T::BigInt) | (T::Serial, T::BigSerial) => Conversion::Safe,
        (T::Real, T::DoublePrecision) | (T::DoublePrecision, T::Real) => Conversion::Safe,
        (T::Integer, T::Serial | T::BigSerial)
        | (T::BigInt, T::BigSerial)
        | (T::Serial, T::Integer | T::BigInt)
        | (T::BigSerial, T::BigInt) => Conversion::InMigration,
        (T::Integer | T::Serial | T::BigInt | T::BigSerial, T::Decimal) => Conversion::InMigration,
        // A bigint may have more digits than a double can tell apart.
        (T::Integer | T::Serial, T::Real | T::DoublePrecision) => Conversion::InMigration,
        (T::Text, T::Enum(_)) => Conversion::InMigration,
        // Not from real, whose text is not the same in both databases, nor from blob, which may hold
        // any bytes.
        (
            T::Integer
            | T::Serial
            | T::BigInt
            | T::BigSerial
            | T::Decimal
            | T::Boolean
            | T::Timestamp
            | T::Date
            | T::Time
            | T::Json
            | T::Uuid
            | T::Enum(_),
            T::Text,
        ) => Conversion::InMigration,
        _ => Conversion::Impossible,
    }
}

/// The value of the column `from` as `to` holds it, for a conversion that is possible. Both
/// databases give the same.
pub fn converted(dialect: Dialect, from: &Column, to: &Column) -> String {
    use ColumnType as T;
    let itself = format!("\"{}\"", from.physical);
    let is_whole = matches!(from.ty, T::Integer | T::Serial | T::BigInt | T::BigSerial);
    match (dialect, &from.ty, &to.ty) {
        (Dialect::Sqlite, T::Boolean, T::Text) => {
            format!("CASE {itself} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END")
        }
        (Dialect::Sqlite, _, T::Text | T::Decimal) if is_whole => format!("CAST({itself} AS TEXT)"),
        (Dialect::Sqlite, _, T::Real | T::DoublePrecision) if is_whole => {
            format!("CAST({itself} AS REAL)")
        }
        // Everything that is not a number is text there already.
        (Dialect::Sqlite, _, _) => itself,
        // The settings of the session change how these are cast to text.
        (Dialect::Postgres, T::Date, T::Text) => {
            format!("to_char({itself}::timestamp, 'YYYY-MM-DD')")
        }
        (Dialect::Postgres, T::Timestamp, T::Text) => {
            format!("to_char({itself} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        }
        (Dialect::Postgres, T::Time, T::Text) => {
            format!("replace(to_char({itself}::interval, 'HH24:MI:SS.MS'), '.000', '')")
        }
        (Dialect::Postgres, _, T::Text) => format!("{itself}::text"),
        (Dialect::Postgres, _, T::Decimal) => format!("{itself}::numeric"),
        (Dialect::Postgres, _, T::Real | T::DoublePrecision) => {
            format!("{itself}::double precision")
        }
        (Dialect::Postgres, _, T::Enum(_)) => format!("{itself}::text::\"{}\"", to.enum_type),
        (Dialect::Postgres, _, T::BigInt | T::BigSerial) => format!("{itself}::bigint"),
        (Dialect::Postgres, _, _) => itself,
    }
}
