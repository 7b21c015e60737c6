//! The built-in scalars: what each accepts as input and how each is written as output.

use jiff::Timestamp;
use jiff::civil::Date;

use super::output::Output;
use crate::value::{MAX_SAFE_INTEGER, Value};

/// A built-in scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Id,
    String,
    Int,
    Float,
    Boolean,
    DateTime,
    Date,
    Json,
    BigInt,
    Uuid,
    Upload,
}

impl Scalar {
    /// All of them.
    pub const ALL: [Scalar; 11] = [
        Scalar::Id,
        Scalar::String,
        Scalar::Int,
        Scalar::Float,
        Scalar::Boolean,
        Scalar::DateTime,
        Scalar::Date,
        Scalar::Json,
        Scalar::BigInt,
        Scalar::Uuid,
        Scalar::Upload,
    ];

    /// The name in the schema.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::Id => "ID",
            Scalar::String => "String",
            Scalar::Int => "Int",
            Scalar::Float => "Float",
            Scalar::Boolean => "Boolean",
            Scalar::DateTime => "DateTime",
            Scalar::Date => "Date",
            Scalar::Json => "JSON",
            Scalar::BigInt => "BigInt",
            Scalar::Uuid => "UUID",
            Scalar::Upload => "Upload",
        }
    }

    /// The scalar of that name.
    pub fn by_name(name: &str) -> Option<Scalar> {
        Scalar::ALL.into_iter().find(|scalar| scalar.name() == name)
    }

    /// Description and `specifiedBy` URL of a scalar that is not part of the GraphQL
    /// specification; `None` for those that are.
    pub(super) fn documentation(self) -> Option<(&'static str, Option<&'static str>)> {
        Some(match self {
            Scalar::Id | Scalar::String | Scalar::Int | Scalar::Float | Scalar::Boolean => {
                return None;
            }
            Scalar::DateTime => (
                "A moment in time as RFC 3339, in UTC with milliseconds: 2026-01-02T03:04:05.678Z.",
                Some("https://scalars.graphql.org/andimarek/date-time"),
            ),
            Scalar::Date => ("A calendar date: 2026-01-02.", None),
            Scalar::Json => {
                ("Any JSON value.", Some("https://www.rfc-editor.org/rfc/rfc8259.html"))
            }
            Scalar::BigInt => (
                "An integer of any size, written as a string of digits; input may be a number.",
                None,
            ),
            Scalar::Uuid => {
                ("A UUID in lower case.", Some("https://www.rfc-editor.org/rfc/rfc9562.html"))
            }
            Scalar::Upload => (
                "A file of a multipart request.",
                Some("https://github.com/jaydenseric/graphql-multipart-request-spec"),
            ),
        })
    }

    /// What its output must be, for error messages.
    pub(super) fn expectation(self) -> &'static str {
        match self {
            Scalar::Id => "a string or an integer (ID)",
            Scalar::String => "a string in valid UTF-8 (String)",
            Scalar::Int => "a 32-bit integer (Int)",
            Scalar::Float => "a finite number (Float)",
            Scalar::Boolean => "a boolean (Boolean)",
            Scalar::DateTime => "an RFC 3339 string (DateTime)",
            Scalar::Date => "a string like 2026-01-02 (Date)",
            Scalar::Json => "what JSON can hold: finite numbers and valid UTF-8 (JSON)",
            Scalar::BigInt => "an integer or a string of digits (BigInt)",
            Scalar::Uuid => "a UUID string (UUID)",
            Scalar::Upload => "nothing, since Upload is only for input",
        }
    }

    /// Input coercion (specification, section 3.5) of a value that is not null.
    ///
    /// # Errors
    ///
    /// The message says what the scalar cannot represent.
    pub fn parse(self, value: &Value) -> Result<Value, String> {
        let found = || value.excerpt();
        match (self, value) {
            (Scalar::Json, _) => Ok(value.clone()),
            (Scalar::Id | Scalar::String, Value::String(s)) => Ok(Value::String(s.clone())),
            (Scalar::Id, Value::Int(i)) => Ok(Value::String(i.to_string())),
            (Scalar::Id, Value::Float(f)) if is_safe_integer(*f) => {
                Ok(Value::String((*f as i64).to_string()))
            }
            (Scalar::Id, _) => Err(format!("ID cannot represent value: {}", found())),
            (Scalar::String, _) => {
                Err(format!("String cannot represent a non string value: {}", found()))
            }
            (Scalar::Boolean, Value::Bool(b)) => Ok(Value::Bool(*b)),
            (Scalar::Boolean, _) => {
                Err(format!("Boolean cannot represent a non boolean value: {}", found()))
            }
            (Scalar::Int, _) => int(value).map(Value::Int),
            (Scalar::Float, Value::Int(i)) => Ok(Value::Float(*i as f64)),
            (Scalar::Float, Value::Float(f)) if f.is_finite() => Ok(Value::Float(*f)),
            (Scalar::Float, _) => {
                Err(format!("Float cannot represent non numeric value: {}", found()))
            }
            (Scalar::DateTime, Value::String(s)) => date_time(s).map(Value::String),
            (Scalar::Date, Value::String(s)) => date(s).map(|()| value.clone()),
            (Scalar::Uuid, Value::String(s)) => uuid(s).map(Value::String),
            (Scalar::DateTime | Scalar::Date | Scalar::Uuid, _) => {
                Err(format!("{} cannot represent a non string value: {}", self.name(), found()))
            }
            (Scalar::BigInt, _) => big_int(value).map(|digits| match digits.parse::<i64>() {
                Ok(i) if i.unsigned_abs() <= MAX_SAFE_INTEGER as u64 => Value::Int(i),
                _ => Value::String(digits),
            }),
            // No JSON has bytes in it, so this came from a multipart request.
            (Scalar::Upload, Value::Map(file))
                if matches!(file.get("content"), Some(Value::Bytes(_))) =>
            {
                Ok(value.clone())
            }
            (Scalar::Upload, _) => {
                Err("Upload is only accepted from a multipart request".to_owned())
            }
        }
    }

    /// Output coercion (specification, section 3.5) of a value that is not null. Moves texts out
    /// of `value`. `BigInt` is always written as a string, since many clients read JSON numbers
    /// as doubles.
    ///
    /// # Errors
    ///
    /// The message says what the scalar cannot represent.
    pub fn serialize(self, value: &mut Value) -> Result<Output, String> {
        match (self, &mut *value) {
            (_, Value::Bytes(_)) if self != Scalar::Json => {
                return Err(format!("{} must be valid UTF-8, found a binary string", self.name()));
            }
            (Scalar::String | Scalar::Id, Value::String(s)) => {
                return Ok(Output::Str(std::mem::take(s)));
            }
            (Scalar::String | Scalar::Id, Value::Int(i)) => return Ok(Output::Str(i.to_string())),
            (Scalar::String, Value::Bool(b)) => return Ok(Output::Str(b.to_string())),
            (Scalar::String, Value::Float(f)) if f.is_finite() => {
                return Ok(Output::Str(match is_safe_integer(*f) {
                    true => (*f as i64).to_string(),
                    false => f.to_string(),
                }));
            }
            (Scalar::Boolean, Value::Bool(b)) => return Ok(Output::Bool(*b)),
            (Scalar::Float, Value::Float(f)) if f.is_finite() => return Ok(Output::Float(*f)),
            (Scalar::Float, Value::Int(i)) => return Ok(Output::Int(*i)),
            (Scalar::DateTime, Value::String(s)) if is_canonical_date_time(s) => {
                return Ok(Output::Str(std::mem::take(s)));
            }
            (Scalar::Json, _) => {
                json(value)?;
                return Ok(Output::Json(std::mem::take(value)));
            }
            (Scalar::Upload, _) => return Err("Upload is not an output type".to_owned()),
            _ => {}
        }
        // What is left has the same rules in both directions.
        match self {
            Scalar::Int => int(value).map(Output::Int),
            Scalar::BigInt => big_int(value).map(Output::Str),
            _ => match self.parse(value)? {
                Value::String(s) => Ok(Output::Str(s)),
                other => Err(format!("{} cannot represent {}", self.name(), other.excerpt())),
            },
        }
    }
}

fn is_safe_integer(f: f64) -> bool {
    f.fract() == 0.0 && f.abs() <= MAX_SAFE_INTEGER as f64
}

fn int(value: &Value) -> Result<i64, String> {
    let whole = match value {
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) if f.is_finite() && f.fract() == 0.0 => Some(*f),
        _ => None,
    };
    match whole {
        Some(f) if f >= f64::from(i32::MIN) && f <= f64::from(i32::MAX) => Ok(f as i64),
        Some(_) => Err(format!(
            "Int cannot represent non 32-bit signed integer value: {}",
            value.excerpt()
        )),
        None => Err(format!("Int cannot represent non-integer value: {}", value.excerpt())),
    }
}

/// The digits, without leading zeros or a plus sign.
fn big_int(value: &Value) -> Result<String, String> {
    let wrong = || format!("BigInt cannot represent non-integer value: {}", value.excerpt());
    match value {
        Value::Int(i) => Ok(i.to_string()),
        Value::Float(f) if is_safe_integer(*f) => Ok((*f as i64).to_string()),
        // A larger double has already lost digits.
        Value::Float(f) if f.fract() == 0.0 => Err(format!(
            "BigInt cannot represent {} exactly; write it as a string of digits",
            value.excerpt()
        )),
        Value::String(s) => {
            let (sign, digits) = match s.strip_prefix('-') {
                Some(digits) => ("-", digits),
                None => ("", s.as_str()),
            };
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            Ok(match digits.trim_start_matches('0') {
                "" => "0".to_owned(),
                digits => format!("{sign}{digits}"),
            })
        }
        _ => Err(wrong()),
    }
}

/// `2026-01-02T03:04:05.678Z`, by shape: the form in which the host writes timestamps.
fn is_canonical_date_time(s: &str) -> bool {
    s.len() == 24 && s.as_bytes()[19] == b'.' && s.ends_with('Z') && timestamp(s).is_some()
}

fn timestamp(s: &str) -> Option<Timestamp> {
    // The parser also takes ISO 8601 without separators and time zone annotations.
    let bytes = s.as_bytes();
    let shaped = bytes.len() >= 20
        && [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')].iter().all(|(i, b)| bytes[*i] == *b)
        && !bytes.contains(&b'[');
    if shaped { s.parse().ok() } else { None }
}

fn date_time(s: &str) -> Result<String, String> {
    match timestamp(s) {
        Some(timestamp) => Ok(format!("{timestamp:.3}")),
        None => Err(format!(
            "DateTime cannot represent {}; expected RFC 3339 such as 2026-01-02T03:04:05Z",
            Value::from(s).excerpt()
        )),
    }
}

fn date(s: &str) -> Result<(), String> {
    let bytes = s.as_bytes();
    let shaped = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    match shaped && s.parse::<Date>().is_ok() {
        true => Ok(()),
        false => {
            Err(format!("Date cannot represent {}; expected YYYY-MM-DD", Value::from(s).excerpt()))
        }
    }
}

fn uuid(s: &str) -> Result<String, String> {
    // The parser also takes braces, URNs and digits without hyphens.
    match s.len() == 36 {
        true => s.parse::<uuid::Uuid>().ok(),
        false => None,
    }
    .map(|uuid| uuid.to_string())
    .ok_or_else(|| format!("UUID cannot represent {}", Value::from(s).excerpt()))
}

/// Finds what JSON has no notation for.
fn json(value: &Value) -> Result<(), String> {
    match value {
        Value::Float(f) if !f.is_finite() => Err(format!("JSON cannot represent {f}")),
        Value::Bytes(_) => Err("JSON must be valid UTF-8, found a binary string".to_owned()),
        Value::List(list) => list.iter().try_for_each(json),
        Value::Map(map) => map.values().try_for_each(json),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(scalar: Scalar, value: impl Into<Value>) -> Result<Value, String> {
        scalar.parse(&value.into())
    }

    fn write(scalar: Scalar, value: impl Into<Value>) -> Result<String, String> {
        scalar.serialize(&mut value.into()).map(|out| serde_json::to_string(&out).unwrap())
    }

    #[test]
    fn input() {
        assert_eq!(parse(Scalar::Int, 5.0), Ok(Value::Int(5)));
        assert_eq!(parse(Scalar::Id, 5), Ok("5".into()));
        assert_eq!(parse(Scalar::Float, 5), Ok(Value::Float(5.0)));
        assert_eq!(
            parse(Scalar::DateTime, "2026-01-02T05:04:05.6789+02:00"),
            Ok("2026-01-02T03:04:05.678Z".into())
        );
        assert_eq!(parse(Scalar::Date, "2026-01-02"), Ok("2026-01-02".into()));
        assert_eq!(
            parse(Scalar::Uuid, "00000000-0000-0000-0000-00000000000A"),
            Ok("00000000-0000-0000-0000-00000000000a".into())
        );
        assert_eq!(parse(Scalar::BigInt, "9007199254740992"), Ok(Value::Int(1 << 53)));
        assert_eq!(parse(Scalar::BigInt, "-0090071992547409930"), Ok("-90071992547409930".into()));
        assert_eq!(parse(Scalar::BigInt, i64::MIN), Ok("-9223372036854775808".into()));
    }

    #[test]
    fn refused_input_says_what_and_why() {
        let message = |scalar, value: Value| parse(scalar, value).unwrap_err();
        assert_eq!(
            message(Scalar::Int, "abc".into()),
            "Int cannot represent non-integer value: \"abc\""
        );
        assert_eq!(
            message(Scalar::Int, (1i64 << 40).into()),
            "Int cannot represent non 32-bit signed integer value: 1099511627776"
        );
        for (scalar, value) in [
            (Scalar::Int, Value::Float(1.5)),
            (Scalar::String, 1.into()),
            (Scalar::Boolean, 1.into()),
            (Scalar::Float, "1".into()),
            (Scalar::Id, true.into()),
            (Scalar::Date, "20260102".into()),
            (Scalar::Date, "2026-02-30".into()),
            (Scalar::Date, "é26-01-0".into()),
            (Scalar::DateTime, "2026-01-02".into()),
            (Scalar::DateTime, "20260102T030405Z".into()),
            (Scalar::DateTime, "2026-01-02T03:04:05".into()),
            (Scalar::DateTime, "2026-01-02T03:04:05+01:00[Europe/Paris]".into()),
            (Scalar::Uuid, "{00000000-0000-0000-0000-000000000000".into()),
            (Scalar::BigInt, "".into()),
            (Scalar::BigInt, "1e3".into()),
            (Scalar::BigInt, Value::Float(1e300)),
            (Scalar::Upload, "x".into()),
        ] {
            assert!(scalar.parse(&value).is_err(), "{scalar:?} took {value:?}");
        }
    }

    #[test]
    fn output() {
        assert_eq!(write(Scalar::Int, 5.0).unwrap(), "5");
        assert_eq!(write(Scalar::Float, 5.0).unwrap(), "5");
        assert_eq!(write(Scalar::Float, 0.5).unwrap(), "0.5");
        assert_eq!(write(Scalar::String, 5.0).unwrap(), "\"5\"");
        assert_eq!(write(Scalar::String, true).unwrap(), "\"true\"");
        assert_eq!(write(Scalar::BigInt, 7).unwrap(), "\"7\"");
        assert_eq!(write(Scalar::Id, 7).unwrap(), "\"7\"");
        assert_eq!(write(Scalar::Id, Value::Float(7.0)).unwrap(), "\"7\"");
        assert_eq!(
            write(Scalar::DateTime, "2026-01-02T03:04:05Z").unwrap(),
            "\"2026-01-02T03:04:05.000Z\""
        );
        assert_eq!(write(Scalar::Json, vec![Value::Null]).unwrap(), "[null]");
    }

    #[test]
    fn output_of_the_wrong_kind_is_an_error() {
        for (scalar, value) in [
            (Scalar::Int, Value::from("5")),
            (Scalar::Int, Value::Int(1 << 40)),
            (Scalar::Float, Value::Float(f64::NAN)),
            (Scalar::Float, "1".into()),
            (Scalar::String, Value::Bytes(vec![0xff])),
            (Scalar::String, Value::List(vec![])),
            (Scalar::Boolean, 1.into()),
            (Scalar::Id, Value::Float(1.5)),
            (Scalar::Json, Value::List(vec![Value::Bytes(vec![0xff])])),
            (Scalar::DateTime, "2026-13-02T03:04:05.678Z".into()),
        ] {
            assert!(scalar.serialize(&mut value.clone()).is_err(), "{scalar:?} wrote {value:?}");
        }
    }
}
