//! Decimal numbers as text: one spelling for each, and an order that is numeric.

use std::cmp::Ordering;

/// The most digits that a decimal may have.
pub const MAX_DIGITS: usize = 1000;

/// The usual spelling of a decimal: no plus sign, no superfluous leading zeros, a digit on both
/// sides of the point. Trailing zeros stay, as they say how exact the number is. `None` if `text`
/// is not a decimal or has more than [`MAX_DIGITS`] digits.
pub fn normalize(text: &str) -> Option<String> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let count = whole.len() + fraction.len();
    if count == 0 || count > MAX_DIGITS || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let zero = whole == "0" && fraction.bytes().all(|b| b == b'0');
    let mut out = String::with_capacity(count + 2);
    if negative && !zero {
        out.push('-');
    }
    out.push_str(whole);
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Some(out)
}

/// The numeric order of two normalized decimals: `1.5` equals `1.50`, `9` is less than `10`.
/// Any other text has a place too, because a collation must be a total order.
pub fn compare(a: &str, b: &str) -> Ordering {
    match (Parts::of(a), Parts::of(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if digits.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Parts { negative: negative && !zero, whole, fraction })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let magnitude = || {
            (self.whole.len().cmp(&other.whole.len()))
                .then_with(|| self.whole.cmp(other.whole))
                .then_with(|| self.fraction.cmp(other.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => magnitude(),
            (true, true) => magnitude().reverse(),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_each_number() {
        for (text, expected) in [
            ("1.50", Some("1.50")),
            ("+007.5", Some("7.5")),
            (".5", Some("0.5")),
            ("5.", Some("5")),
            ("-0.00", Some("0.00")),
            ("-0", Some("0")),
            ("-12.3", Some("-12.3")),
            ("", None),
            (".", None),
            ("-", None),
            ("1e3", None),
            ("--1", None),
            ("1.2.3", None),
            ("١", None),
            ("é1", None),
            ("NaN", None),
        ] {
            assert_eq!(normalize(text).as_deref(), expected, "{text:?}");
        }
        assert!(normalize(&"9".repeat(MAX_DIGITS + 1)).is_none());
    }

    #[test]
    fn the_order_is_numeric_and_total() {
        let ordered = [
            "-10",
            "-9.5",
            "-0.1",
            "0",
            "0.05",
            "0.5",
            "9",
            "9.99",
            "10",
            "100000000000000000000",
            "",
            "x",
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        assert_eq!(compare("1.5", "1.500"), Ordering::Equal);
        assert_eq!(compare("-0.0", "0"), Ordering::Equal);
    }
}
