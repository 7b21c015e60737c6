//! Values to SQL and back, exactly.
//!
//! | column | accepts | is read as |
//! |---|---|---|
//! | text, enum | UTF-8 strings without null bytes | string |
//! | integer, serial | whole numbers of 32 bits, strings of digits | integer |
//! | bigint, bigserial | whole numbers of 64 bits, strings of digits | integer up to 2^53, else a string of digits |
//! | real, doublePrecision | finite numbers | number |
//! | decimal | numbers, strings such as `-12.50` | string |
//! | boolean | booleans | boolean |
//! | timestamp | RFC 3339 with any offset | `2026-01-02T03:04:05.678Z` |
//! | date | `2026-01-02` | the same |
//! | time | `03:04`, `03:04:05`, `03:04:05.678` | `03:04:05`, with milliseconds if there are any |
//! | json | anything that JSON can hold | the same |
//! | uuid | a UUID in any usual spelling | lower-case with hyphens |
//! | blob | strings of any bytes | bytes |
//! | secret | as text | string |
//!
//! Years are 1 to 9999, so that the order of the texts is the order in time.

use jiff::Timestamp;
use jiff::civil;
use sea_query::{Expr, ExprTrait as _, Value as Sql};

use super::model::{Column, ColumnType};
use crate::store::{
    Cell, Cipher, DbError, DbErrorKind, Dialect, MAX_DECIMAL_DIGITS, normalize_decimal, time_text,
};
use crate::value::{MAX_SAFE_INTEGER, Value};

/// How deep JSON may be nested. The parser that reads it back gives up at 128.
const MAX_JSON_DEPTH: usize = 100;

/// The value as it is written into `column` of the table declared as `table`.
///
/// # Errors
/// `invalid`, or `checkViolation` for what is no value of an enum, naming `table.column`, what was
/// expected and what was found.
pub(super) fn to_sql(table: &str, column: &Column, value: &Value) -> Result<Sql, DbError> {
    if value.is_null() {
        return Ok(null(&column.ty));
    }
    let converted = match &column.ty {
        ColumnType::Text | ColumnType::Secret => text(value).map(Sql::from),
        ColumnType::Enum(_) => return enum_value(table, column, value),
        ColumnType::Integer | ColumnType::Serial => {
            integer(value, i64::from(i32::MIN), i64::from(i32::MAX)).map(Sql::from)
        }
        ColumnType::BigInt | ColumnType::BigSerial => {
            integer(value, i64::MIN, i64::MAX).map(Sql::from)
        }
        ColumnType::Real | ColumnType::DoublePrecision => real(value).map(Sql::from),
        ColumnType::Decimal => decimal(value).map(Sql::from),
        ColumnType::Boolean => value.as_bool().map(Sql::from).ok_or("a boolean"),
        ColumnType::Timestamp => timestamp(value).map(Sql::from),
        ColumnType::Date => date(value).map(Sql::from),
        ColumnType::Time => time(value).map(Sql::from),
        ColumnType::Json if is_deeper_than(value, MAX_JSON_DEPTH) => {
            Err("JSON of at most 100 levels")
        }
        ColumnType::Json => match serde_json::to_string(value) {
            Ok(json) => Ok(Sql::from(json)),
            Err(e) => {
                let message = format!("{table}.{}: {e}", column.name);
                return Err(DbError::invalid(message).at(table, vec![column.name.clone()]));
            }
        },
        ColumnType::Uuid => uuid(value).map(Sql::from),
        ColumnType::Blob => match value {
            Value::Bytes(bytes) => Ok(Sql::from(bytes.clone())),
            Value::String(text) => Ok(Sql::from(text.as_bytes().to_vec())),
            _ => Err("a string"),
        },
    };
    converted.map_err(|expected| wrong(table, column, expected, value))
}

/// A value of `column` as a part of a statement. What is a text here has a type of its own in
/// PostgreSQL, and is cast to it.
pub(super) fn bound(dialect: Dialect, column: &Column, value: Sql) -> Expr {
    let value = Expr::val(value);
    match (dialect, postgres_type(column)) {
        (Dialect::Postgres, Some(ty)) => value.cast_as(ty.to_owned()),
        _ => value,
    }
}

/// The type to which a text must be cast to be a value of the column in PostgreSQL.
fn postgres_type(column: &Column) -> Option<&str> {
    Some(match &column.ty {
        ColumnType::Decimal => "numeric",
        ColumnType::Timestamp => "timestamptz",
        ColumnType::Date => "date",
        ColumnType::Time => "time",
        ColumnType::Json => "json",
        ColumnType::Uuid => "uuid",
        ColumnType::Enum(_) => &column.enum_type,
        _ => return None,
    })
}

/// The value that was read from `column`; `owner` is the plugin, for whom secrets were encrypted.
///
/// # Errors
/// `internal` when something else than this host wrote it.
pub(super) fn from_sql(
    cipher: &Cipher,
    owner: &str,
    table: &str,
    column: &Column,
    cell: Cell,
) -> Result<Value, DbError> {
    Ok(match (&column.ty, cell) {
        (_, Cell::Null) => Value::Null,
        (ColumnType::Boolean, Cell::Bool(b)) => Value::Bool(b),
        (ColumnType::Secret, Cell::Text(sealed)) => match cipher.open(owner, &sealed) {
            Some(text) => Value::String(text),
            None => {
                let message = format!(
                    "{table}.{}: the secret was encrypted with another key, or was changed",
                    column.name
                );
                return Err(DbError::new(DbErrorKind::Internal, message));
            }
        },
        (ColumnType::Boolean, Cell::Int(i @ (0 | 1))) => Value::Bool(i == 1),
        (ColumnType::Integer | ColumnType::Serial, Cell::Int(i)) => Value::Int(i),
        (ColumnType::BigInt | ColumnType::BigSerial, Cell::Int(i)) => big_integer(i),
        (ColumnType::Real | ColumnType::DoublePrecision, Cell::Real(f)) => Value::Float(f),
        (ColumnType::Blob, Cell::Blob(bytes)) => Value::Bytes(bytes),
        (ColumnType::Json, Cell::Text(json) | Cell::Json(json)) => serde_json::from_str(&json)
            .map_err(|e| {
                let message = format!("{table}.{}: unreadable JSON: {e}", column.name);
                DbError::new(DbErrorKind::Internal, message)
            })?,
        (
            ColumnType::Text
            | ColumnType::Enum(_)
            | ColumnType::Decimal
            | ColumnType::Timestamp
            | ColumnType::Date
            | ColumnType::Time
            | ColumnType::Uuid,
            Cell::Text(text),
        ) => Value::String(text),
        _ => {
            let message =
                format!("{table}.{}: the database holds no {}", column.name, column.ty.name());
            return Err(DbError::new(DbErrorKind::Internal, message));
        }
    })
}

/// An integer as Lua can hold it: beyond 2^53 a string of digits.
pub(super) fn big_integer(i: i64) -> Value {
    if i.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() {
        Value::Int(i)
    } else {
        Value::String(i.to_string())
    }
}

/// The present moment as a `timestamp`, `date` or `time` column holds it, in UTC.
pub(super) fn now(ty: &ColumnType) -> Sql {
    let now = Timestamp::now();
    let utc = jiff::tz::Offset::UTC.to_datetime(now);
    Sql::from(match ty {
        ColumnType::Date => utc.date().to_string(),
        ColumnType::Time => time_text(utc.time()),
        _ => format!("{now:.3}"),
    })
}

pub(super) fn null(ty: &ColumnType) -> Sql {
    match ty {
        ColumnType::Integer | ColumnType::Serial | ColumnType::BigInt | ColumnType::BigSerial => {
            Sql::BigInt(None)
        }
        ColumnType::Boolean => Sql::Bool(None),
        ColumnType::Real | ColumnType::DoublePrecision => Sql::Double(None),
        ColumnType::Blob => Sql::Bytes(None),
        _ => Sql::String(None),
    }
}

fn wrong(table: &str, column: &Column, expected: &str, value: &Value) -> DbError {
    let found = match value {
        Value::List(_) | Value::Map(_) | Value::Bytes(_) => format!("a {}", value.type_name()),
        other => format!("{} {}", other.type_name(), other.excerpt()),
    };
    let message = format!("{table}.{}: expected {expected}, found {found}", column.name);
    let error = DbError::invalid(message).at(table, vec![column.name.clone()]);
    match value {
        Value::String(s) if s.contains('\0') => {
            error.for_client(format!("{}: a text must not have null characters in it", column.name))
        }
        _ => error,
    }
}

fn text(value: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str = "UTF-8 text without null bytes (t.blob() holds any bytes)";
    match value {
        Value::String(s) if !s.contains('\0') => Ok(s.clone()),
        _ => Err(EXPECTED),
    }
}

fn enum_value(table: &str, column: &Column, value: &Value) -> Result<Sql, DbError> {
    if let Value::String(s) = value
        && column.values.contains(s)
    {
        return Ok(Sql::from(s.clone()));
    }
    let expected = match column.values.as_ref() {
        [one] => format!("\"{one}\""),
        many => format!("one of {}", many.join(", ")),
    };
    let error = wrong(table, column, &expected, value);
    let kind =
        if value.as_str().is_some() { DbErrorKind::CheckViolation } else { DbErrorKind::Invalid };
    Err(DbError { kind, ..error })
}

fn integer(value: &Value, min: i64, max: i64) -> Result<i64, &'static str> {
    let expected = if max == i64::MAX {
        "a whole number of 64 bits, beyond 2^53 as a string of digits"
    } else {
        "a whole number between -2147483648 and 2147483647"
    };
    let number = match value {
        Value::Int(i) => Some(*i),
        // Beyond 2^53 a float no longer says which integer was meant.
        Value::Float(f) if f.fract() == 0.0 && f.abs() <= MAX_SAFE_INTEGER as f64 => {
            Some(*f as i64)
        }
        Value::String(s) if s.bytes().all(|b| b.is_ascii_digit() || b == b'-') => s.parse().ok(),
        _ => None,
    };
    number.filter(|n| (min..=max).contains(n)).ok_or(expected)
}

fn real(value: &Value) -> Result<f64, &'static str> {
    match value {
        Value::Int(i) => Ok(*i as f64),
        Value::Float(f) if f.is_finite() => Ok(*f),
        _ => Err("a finite number"),
    }
}

fn decimal(value: &Value) -> Result<String, &'static str> {
    let text = match value {
        Value::Int(i) => Some(i.to_string()),
        Value::Float(f) if f.is_finite() => Some(f.to_string()),
        Value::String(s) => Some(s.clone()),
        _ => None,
    };
    const EXPECTED: &str = "a number, or a string such as \"-12.50\" of at most 1000 digits";
    const { assert!(MAX_DECIMAL_DIGITS == 1000) };
    text.and_then(|text| normalize_decimal(&text)).ok_or(EXPECTED)
}

fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::List(list) => levels == 0 || list.iter().any(|v| is_deeper_than(v, levels - 1)),
        Value::Map(map) => levels == 0 || map.values().any(|v| is_deeper_than(v, levels - 1)),
        _ => false,
    }
}

fn is_usual_year(year: i16) -> bool {
    (1..=9999).contains(&year)
}

fn timestamp(value: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str = "an RFC 3339 timestamp such as \"2026-01-02T03:04:05Z\"";
    let text = value.as_str().ok_or(EXPECTED)?;
    let timestamp: Timestamp = text.parse().map_err(|_| EXPECTED)?;
    // The parser takes other forms too, such as time zone names, which PostgreSQL would not.
    let has_time = text.len() >= 20 && matches!(text.as_bytes()[10], b'T' | b't' | b' ');
    if text.contains('[') || !has_time {
        return Err(EXPECTED);
    }
    let utc = jiff::tz::Offset::UTC.to_datetime(timestamp);
    if !is_usual_year(utc.year()) {
        return Err("a timestamp in the years 1 to 9999");
    }
    Ok(format!("{timestamp:.3}"))
}

fn date(value: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str = "a date such as \"2026-01-02\", in the years 1 to 9999";
    let text = value.as_str().filter(|s| s.len() == 10).ok_or(EXPECTED)?;
    let date: civil::Date = text.parse().map_err(|_| EXPECTED)?;
    if is_usual_year(date.year()) { Ok(date.to_string()) } else { Err(EXPECTED) }
}

fn time(value: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str = "a time of day such as \"03:04:05\" or \"03:04:05.678\"";
    let text = value.as_str().ok_or(EXPECTED)?;
    // The parser takes dates and basic forms such as 030405 too.
    let plain = text.as_bytes().get(2) == Some(&b':')
        && text.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.');
    let time: civil::Time = text.parse().map_err(|_| EXPECTED)?;
    if plain { Ok(time_text(time)) } else { Err(EXPECTED) }
}

fn uuid(value: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str = "a UUID such as \"6f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0\"";
    let text = value.as_str().ok_or(EXPECTED)?;
    uuid::Uuid::parse_str(text).map(|uuid| uuid.to_string()).map_err(|_| EXPECTED)
}

#[cfg(test)]
mod tests;
