//! Values from PostgreSQL's binary formats into the spellings that `convert` writes.
//!
//! The formats are those of the `*_send` functions of the types; they are described best by the
//! server's source, `src/backend/utils/adt`.

use jiff::civil::{self, Date, Time};
use jiff::{SignedDuration, Timestamp};
use sqlx::postgres::{PgRow, PgTypeKind, PgValueRef};
use sqlx::{Decode, Postgres, Row as _, TypeInfo as _, ValueRef as _};

use crate::store::DbError;
use crate::store::cell::{Cell, Row, unreadable};
use crate::store::time_text;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn read_row(row: &PgRow) -> Result<Row, DbError> {
    (0..row.len()).map(|index| read_cell(row.try_get_raw(index)?).map_err(unreadable)).collect()
}

fn read_cell(raw: PgValueRef<'_>) -> Result<Cell, Failure> {
    if raw.is_null() {
        return Ok(Cell::Null);
    }
    let ty = raw.type_info().into_owned();
    Ok(match ty.name() {
        "BOOL" => Cell::Bool(Decode::<Postgres>::decode(raw)?),
        "INT2" => Cell::Int(<i16 as Decode<Postgres>>::decode(raw)?.into()),
        "INT4" => Cell::Int(<i32 as Decode<Postgres>>::decode(raw)?.into()),
        "INT8" => Cell::Int(Decode::<Postgres>::decode(raw)?),
        "FLOAT4" => Cell::Real(<f32 as Decode<Postgres>>::decode(raw)?.into()),
        "FLOAT8" => Cell::Real(Decode::<Postgres>::decode(raw)?),
        "NUMERIC" => Cell::Text(numeric(raw.as_bytes()?)?),
        "BYTEA" => Cell::Blob(raw.as_bytes()?.to_vec()),
        "UUID" => Cell::Text(uuid::Uuid::from_slice(raw.as_bytes()?)?.to_string()),
        "TIMESTAMPTZ" | "TIMESTAMP" => Cell::Text(timestamp(raw.as_bytes()?)?),
        "DATE" => Cell::Text(date(raw.as_bytes()?)?),
        "TIME" => Cell::Text(time(raw.as_bytes()?)?),
        "JSON" => Cell::Json(text(raw.as_bytes()?)?),
        // A byte with the version of the format comes first.
        "JSONB" => Cell::Json(text(raw.as_bytes()?.get(1..).unwrap_or_default())?),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => Cell::Text(text(raw.as_bytes()?)?),
        "VOID" => Cell::Null,
        _ if matches!(ty.kind(), PgTypeKind::Enum(_)) => Cell::Text(text(raw.as_bytes()?)?),
        other => return Err(format!("a value of type {other}; cast it to text").into()),
    })
}

fn text(bytes: &[u8]) -> Result<String, Failure> {
    Ok(std::str::from_utf8(bytes)?.to_owned())
}

/// Microseconds since the year 2000.
fn timestamp(bytes: &[u8]) -> Result<String, Failure> {
    let micros = i64::from_be_bytes(bytes.try_into()?);
    if matches!(micros, i64::MIN | i64::MAX) {
        return Err("an infinite timestamp".into());
    }
    let epoch = Timestamp::from_second(946_684_800)?;
    Ok(format!("{:.3}", epoch.checked_add(SignedDuration::from_micros(micros))?))
}

/// Days since the year 2000.
fn date(bytes: &[u8]) -> Result<String, Failure> {
    let days = i32::from_be_bytes(bytes.try_into()?);
    let span = SignedDuration::from_hours(i64::from(days) * 24);
    Ok(Date::constant(2000, 1, 1).checked_add(span)?.to_string())
}

/// Microseconds since midnight.
fn time(bytes: &[u8]) -> Result<String, Failure> {
    let micros = i64::from_be_bytes(bytes.try_into()?);
    let time: Time = civil::Time::midnight().checked_add(SignedDuration::from_micros(micros))?;
    Ok(time_text(time))
}

/// Groups of four decimal digits, the weight of the first, the sign, and the number of digits after
/// the point.
fn numeric(bytes: &[u8]) -> Result<String, Failure> {
    const NEGATIVE: u16 = 0x4000;
    let words: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let [count, weight, sign, scale, groups @ ..] = words.as_slice() else {
        return Err("a decimal that is cut off".into());
    };
    if !matches!(*sign, 0 | NEGATIVE) || groups.len() != usize::from(*count) {
        return Err("a decimal that is no number".into());
    }
    // The weight is signed: in units of four digits, how far left of the point the first group is.
    let (weight, scale) = (i32::from(weight.cast_signed()), usize::from(*scale));
    let group = |position: i32| {
        let index = usize::try_from(weight - position).ok();
        index.and_then(|i| groups.get(i)).copied().unwrap_or(0)
    };
    let mut whole: String = (0..=weight.max(0)).rev().map(|p| format!("{:04}", group(p))).collect();
    let leading = whole.bytes().take_while(|b| *b == b'0').count().min(whole.len() - 1);
    whole.drain(..leading);
    let mut out = if *sign == NEGATIVE { format!("-{whole}") } else { whole };
    if scale > 0 {
        let last = i32::try_from(scale.div_ceil(4))?;
        let fraction: String = (1..=last).map(|p| format!("{:04}", group(-p))).collect();
        out.push('.');
        out.push_str(&fraction[..scale]);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn decimals_are_read_digit_by_digit() {
        for (binary, expected) in [
            (vec![0, 0, 0, 0], "0"),
            (vec![0, 0, 0, 2], "0.00"),
            (vec![1, 0, 0, 0, 7], "7"),
            (vec![2, 0, 0x4000, 2, 12, 5000], "-12.50"),
            (vec![1, 1, 0, 0, 1], "10000"),
            (vec![3, 1, 0, 4, 1, 2, 300], "10002.0300"),
            (vec![1, 0xffff, 0, 3, 50], "0.005"),
            (vec![1, 0xfffe, 0, 8, 7], "0.00000007"),
        ] {
            assert_eq!(numeric(&words(&binary)).unwrap(), expected);
        }
        for wrong in [vec![0, 0, 0xc000, 0], vec![1, 0, 0, 0], vec![1]] {
            assert!(numeric(&words(&wrong)).is_err());
        }
    }

    #[test]
    fn moments_count_from_the_year_2000() {
        assert_eq!(timestamp(&0i64.to_be_bytes()).unwrap(), "2000-01-01T00:00:00.000Z");
        assert_eq!(timestamp(&(-1_500i64).to_be_bytes()).unwrap(), "1999-12-31T23:59:59.998Z");
        assert!(timestamp(&i64::MAX.to_be_bytes()).is_err());
        assert_eq!(date(&(-1i32).to_be_bytes()).unwrap(), "1999-12-31");
        assert!(date(&i32::MAX.to_be_bytes()).is_err());
        assert_eq!(time(&61_000_000i64.to_be_bytes()).unwrap(), "00:01:01");
        assert_eq!(time(&1_000i64.to_be_bytes()).unwrap(), "00:00:00.001");
    }
}
