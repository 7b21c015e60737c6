//! Literals and parameters.

use sqlparser::ast::{Value, ValueWithSpan};

use super::super::names;
use super::checker::Checker;
use crate::store::{DbError, Dialect};

impl Checker<'_> {
    /// Writes a literal, or leaves a gap for a parameter.
    pub(super) fn value(&mut self, value: &ValueWithSpan) -> Result<(), DbError> {
        self.pass(value);
        match &value.value {
            Value::Number(text, false) => match decimal(text) {
                Some(text) => self.out.token(&text),
                None => return Err(self.error(value, "write the number in decimal")),
            },
            Value::SingleQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::DollarQuotedString(_) => {
                let text = self.string(value)?;
                self.out.token(&text);
            }
            Value::HexStringLiteral(digits) if !self.is_postgres() => {
                let is_valid =
                    digits.len() % 2 == 0 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                if !is_valid {
                    return Err(self.error(value, "expected pairs of hexadecimal digits in X'…'"));
                }
                self.out.token(&format!("X'{digits}'"));
            }
            Value::Boolean(true) => self.out.token("TRUE"),
            Value::Boolean(false) => self.out.token("FALSE"),
            Value::Null => self.out.token("NULL"),
            Value::Placeholder(text) => return self.parameter(value, text),
            _ => return Err(self.error(value, "write it as '…', or as a parameter")),
        }
        Ok(())
    }

    fn parameter(&mut self, value: &ValueWithSpan, text: &str) -> Result<(), DbError> {
        let Some(number) = text.strip_prefix('?').and_then(|n| n.parse::<usize>().ok()) else {
            let message = format!("write ? for a parameter, not {}", names::quoted(text));
            return Err(self.error(value, message));
        };
        // The values are bound in the order in which the author wrote the parameters.
        if number != self.out.parameters() + 1 {
            let message = "this parameter is before another that the database wants first; write LIMIT before OFFSET";
            return Err(self.error(value, message));
        }
        self.out.parameter();
        Ok(())
    }

    /// The string literal for what `value` holds.
    ///
    /// # Errors
    /// It is not a string literal.
    pub(super) fn string(&self, value: &ValueWithSpan) -> Result<String, DbError> {
        let text = match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => text,
            Value::DollarQuotedString(text) => &text.value,
            _ => return Err(self.error(value, "expected a string")),
        };
        Ok(literal(self.dialect, text))
    }
}

/// `text` as a literal.
fn literal(dialect: Dialect, text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match dialect {
        // Whether a backslash means itself in '…' is a setting; in E'…' it is escaped in any case.
        Dialect::Postgres if text.contains('\\') => {
            format!("E'{}'", doubled.replace('\\', "\\\\"))
        }
        _ => format!("'{doubled}'"),
    }
}

/// A number in decimal without the underscores between its digits; `None` if it is another number.
fn decimal(text: &str) -> Option<String> {
    let text = text.replace('_', "");
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text.as_str(), None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_mantissa =
        all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    (is_mantissa && is_exponent).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_cannot_end_early() {
        assert_eq!(literal(Dialect::Sqlite, r"it's \' a"), r"'it''s \'' a'");
        assert_eq!(literal(Dialect::Postgres, r"it's \' a"), r"E'it''s \\'' a'");
        assert_eq!(literal(Dialect::Postgres, "it's"), "'it''s'");
    }

    #[test]
    fn numbers_are_decimal() {
        for text in ["1", "1.5", ".5", "1.", "1e5", "1.5E-10"] {
            assert_eq!(decimal(text).as_deref(), Some(text));
        }
        assert_eq!(decimal("1_000").as_deref(), Some("1000"));
        for text in ["", ".", "0x1F", "0b1", "1e", "1e+", "1L", "e5", "1.2.3"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
