use super::super::model::ColumnDef;
use super::*;

fn column(ty: ColumnType) -> Column {
    let def = ColumnDef::new("c", ty);
    Column {
        name: def.name.clone(),
        physical: def.name,
        values: match &def.ty {
            ColumnType::Enum(_) => ["open".to_owned(), "it's".to_owned()].into(),
            _ => [].into(),
        },
        enum_type: String::new(),
        ty: def.ty,
        primary_key: false,
        not_null: false,
        unique: false,
        default: None,
        foreign_key: None,
    }
}

fn round(ty: ColumnType, value: impl Into<Value>) -> Result<Value, String> {
    let column = column(ty);
    let sql = to_sql("t", &column, &value.into()).map_err(|e| e.message)?;
    let cell = match sql {
        Sql::String(Some(s)) => Cell::Text(s),
        Sql::BigInt(Some(i)) => Cell::Int(i),
        Sql::Bool(Some(b)) => Cell::Bool(b),
        Sql::Double(Some(f)) => Cell::Real(f),
        Sql::Bytes(Some(b)) => Cell::Blob(b),
        _ => Cell::Null,
    };
    from_sql(&Cipher::random(), "p", "t", &column, cell).map_err(|e| e.message)
}

#[test]
fn integers_are_exact_or_refused() {
    use ColumnType::{BigInt, Integer};
    assert_eq!(round(Integer, 3.0), Ok(Value::Int(3)));
    assert_eq!(round(Integer, "-12"), Ok(Value::Int(-12)));
    assert_eq!(round(BigInt, 1i64 << 53), Ok(Value::Int(1 << 53)));
    assert_eq!(round(BigInt, "9223372036854775807"), Ok("9223372036854775807".into()));
    assert_eq!(round(BigInt, i64::MIN), Ok("-9223372036854775808".into()));
    for wrong in [Value::Int(1 << 31), 1.5.into(), "1x".into(), "".into(), true.into()] {
        assert!(round(Integer, wrong.clone()).is_err(), "{wrong:?}");
    }
    for wrong in ["9223372036854775808".into(), Value::Float(1e18), Value::Float(f64::NAN)] {
        assert!(round(BigInt, wrong.clone()).is_err(), "{wrong:?}");
    }
}

#[test]
fn times_have_one_spelling() {
    use ColumnType::{Date, Time, Timestamp};
    for (ty, written, read) in [
        (Timestamp, "2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000Z"),
        (Timestamp, "2026-01-02T03:04:05.6789Z", "2026-01-02T03:04:05.678Z"),
        (Timestamp, "1969-12-31t23:59:59.5z", "1969-12-31T23:59:59.500Z"),
        (Date, "2024-02-29", "2024-02-29"),
        (Time, "03:04", "03:04:00"),
        (Time, "23:59:59.001", "23:59:59.001"),
    ] {
        assert_eq!(round(ty, written), Ok(read.into()), "{written}");
    }
    for (ty, wrong) in [
        (Timestamp, "2026-01-02"),
        (Timestamp, "2026-01-02T03:04:05"),
        (Timestamp, "2026-13-02T03:04:05Z"),
        (Timestamp, "2026-01-02T03:04:05+01:00[Europe/Rome]"),
        (Timestamp, "0000-01-02T03:04:05Z"),
        (Timestamp, "now"),
        (Timestamp, "é026-01-02T03:04:05Z"),
        (Date, "2026-02-29"),
        (Date, "2026-1-2"),
        (Date, "0000-01-01"),
        (Time, "25:00"),
        (Time, "030405"),
        (Time, "03:04Z"),
        (Time, "é"),
    ] {
        assert!(round(ty.clone(), wrong).is_err(), "{wrong}");
    }
    assert!(round(Timestamp, 5i64).is_err());
}

#[test]
fn a_wrong_value_is_named_with_its_place() {
    assert_eq!(
        round(ColumnType::Uuid, "x"),
        Err("t.c: expected a UUID such as \"6f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0\", found string \"x\"".into())
    );
    assert_eq!(
        round(ColumnType::Boolean, 1i64),
        Err("t.c: expected a boolean, found integer 1".into())
    );
    assert_eq!(
        round(ColumnType::Enum("e".into()), "shut"),
        Err("t.c: expected one of open, it's, found string \"shut\"".into())
    );
    assert!(round(ColumnType::Text, "a\0b").is_err());
    assert!(round(ColumnType::Text, Value::Bytes(vec![0xff])).is_err());
    assert!(round(ColumnType::Json, Value::List(vec![Value::Bytes(vec![0xff])])).is_err());
    assert!(round(ColumnType::Real, f64::INFINITY).is_err());
}

#[test]
fn decimals_keep_their_digits() {
    let pi = "3.14159265358979323846264338327950288419716939937510";
    assert_eq!(round(ColumnType::Decimal, pi), Ok(pi.into()));
    assert_eq!(round(ColumnType::Decimal, 0.1), Ok("0.1".into()));
    assert_eq!(round(ColumnType::Decimal, "+01.50"), Ok("1.50".into()));
    assert!(round(ColumnType::Decimal, "1e5").is_err());
}

#[test]
fn uuids_bytes_and_json_come_back() {
    assert_eq!(
        round(ColumnType::Uuid, "6F1E2D3C4B5A49788796A5B4C3D2E1F0"),
        Ok("6f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0".into())
    );
    let bytes = Value::Bytes(vec![0, 255, 39]);
    assert_eq!(round(ColumnType::Blob, bytes.clone()), Ok(bytes));
    assert_eq!(round(ColumnType::Blob, "a"), Ok(Value::Bytes(vec![97])));
    let json: Value = serde_json::from_str(r#"{"a":[null,"\u0000",1,2.5]}"#).unwrap();
    assert_eq!(round(ColumnType::Json, json.clone()), Ok(json));
}

#[test]
fn floats_in_json_are_exact() {
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let float = f64::from_bits(bits);
        if float.is_finite() && float.fract() != 0.0 {
            let value = Value::List(vec![float.into()]);
            assert_eq!(round(ColumnType::Json, value.clone()), Ok(value));
        }
    }
}

#[test]
fn json_that_could_not_be_read_back_is_refused() {
    let nested = |levels| (0..levels).fold(Value::Null, |v, _| Value::List(vec![v]));
    assert_eq!(round(ColumnType::Json, nested(100)), Ok(nested(100)));
    assert!(round(ColumnType::Json, nested(101)).is_err());
}
