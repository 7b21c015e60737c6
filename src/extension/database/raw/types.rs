//! The types that a value may be cast to.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Ident, ObjectNamePart,
    TimezoneInfo,
};

use super::checker::Checker;

/// The longest type that is filled up with spaces.
const MAX_CHAR: u64 = 1_000;

/// PostgreSQL's types that the parser has no word for.
const NAMED: [&str; 11] = [
    "timetz",
    "jsonpath",
    "inet",
    "cidr",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "citext",
];

impl Checker<'_> {
    /// The type as it is written for the database; `None` if it is not allowed.
    pub(super) fn type_name(&self, ty: &DataType) -> Option<String> {
        if self.is_postgres() { self.postgres_type(ty) } else { sqlite_type(ty) }
    }

    fn postgres_type(&self, ty: &DataType) -> Option<String> {
        use DataType as T;
        let name = match ty {
            T::Text => "TEXT",
            T::Varchar(length) | T::CharacterVarying(length) | T::CharVarying(length) => {
                return with_length("VARCHAR", length.as_ref(), u64::MAX);
            }
            T::Char(length) | T::Character(length) => {
                return with_length("CHAR", length.as_ref(), MAX_CHAR);
            }
            T::Uuid => "UUID",
            T::Numeric(info) | T::Decimal(info) | T::Dec(info) => {
                return Some(with_precision("NUMERIC", info));
            }
            T::SmallInt(None) | T::Int2(None) => "SMALLINT",
            T::Int(None) | T::Integer(None) | T::Int4(None) => "INTEGER",
            T::BigInt(None) | T::Int8(None) => "BIGINT",
            T::Real | T::Float4 => "REAL",
            T::Float(ExactNumberInfo::None) | T::DoublePrecision | T::Float8 => "DOUBLE PRECISION",
            T::Bool | T::Boolean => "BOOLEAN",
            T::Date => "DATE",
            T::Time(precision, zone) => return Some(with_zone("TIME", *precision, zone)),
            T::Timestamp(precision, zone) => return Some(with_zone("TIMESTAMP", *precision, zone)),
            T::Interval { fields: None, precision: None } => "INTERVAL",
            T::JSON => "JSON",
            T::JSONB => "JSONB",
            T::Bytea => "BYTEA",
            T::TsVector => "TSVECTOR",
            T::TsQuery => "TSQUERY",
            T::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
                return Some(format!("{}[]", self.postgres_type(element)?));
            }
            T::Custom(name, modifiers) if modifiers.is_empty() => {
                let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
                return self.named_type(ident);
            }
            _ => return None,
        };
        Some(name.to_owned())
    }

    fn named_type(&self, ident: &Ident) -> Option<String> {
        let name = match ident.quote_style {
            None => ident.value.to_ascii_lowercase(),
            Some(_) => ident.value.clone(),
        };
        if self.set.enums().iter().any(|own| own.physical == name) {
            return Some(format!("\"{name}\""));
        }
        (ident.quote_style.is_none() && NAMED.contains(&name.as_str()))
            .then(|| name.to_ascii_uppercase())
    }
}

/// SQLite looks for a few syllables in a type and takes anything; these mean what they say.
fn sqlite_type(ty: &DataType) -> Option<String> {
    use DataType as T;
    let name = match ty {
        T::Text | T::Varchar(_) | T::CharacterVarying(_) | T::Char(_) | T::Character(_) => "TEXT",
        T::SmallInt(None)
        | T::Int(None)
        | T::Integer(None)
        | T::BigInt(None)
        | T::Int2(None)
        | T::Int4(None)
        | T::Int8(None)
        | T::Bool
        | T::Boolean => "INTEGER",
        T::Real
        | T::Float(ExactNumberInfo::None)
        | T::Double(ExactNumberInfo::None)
        | T::DoublePrecision => "REAL",
        T::Numeric(_) | T::Decimal(_) => "NUMERIC",
        T::Blob(None) => "BLOB",
        _ => return None,
    };
    Some(name.to_owned())
}

fn with_length(name: &str, length: Option<&CharacterLength>, max: u64) -> Option<String> {
    match length {
        None => Some(name.to_owned()),
        Some(CharacterLength::IntegerLength { length, unit: None }) if *length <= max => {
            Some(format!("{name}({length})"))
        }
        Some(_) => None,
    }
}

fn with_precision(name: &str, info: &ExactNumberInfo) -> String {
    match info {
        ExactNumberInfo::None => name.to_owned(),
        ExactNumberInfo::Precision(precision) => format!("{name}({precision})"),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => {
            format!("{name}({precision}, {scale})")
        }
    }
}

fn with_zone(name: &str, precision: Option<u64>, zone: &TimezoneInfo) -> String {
    let precision = precision.map(|n| format!("({n})")).unwrap_or_default();
    let zone = match zone {
        TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => " WITH TIME ZONE",
        TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => "",
    };
    format!("{name}{precision}{zone}")
}
