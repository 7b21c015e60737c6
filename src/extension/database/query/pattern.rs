//! `like` and `ilike`, with the meaning that they have in PostgreSQL.

use super::at;
use super::condition::Condition;
use crate::extension::database::model::{ColumnType, Table};
use crate::store::DbError;
use crate::value::Value;

/// The most characters of a pattern: matching takes time that grows with its wildcards.
const MAX_PATTERN: usize = 1_000;

/// `column LIKE value`, with or without regard to case.
pub(super) fn condition(
    table: &Table,
    index: usize,
    op: &str,
    value: &Value,
) -> Result<Condition, DbError> {
    let column = &table.columns[index];
    if column.ty != ColumnType::Text {
        let message = format!("{op} is for text columns, this is {}", column.ty.name());
        return Err(at(table, column, message));
    }
    let Some(pattern) = value.as_str().filter(|s| !s.contains('\0')) else {
        let message = format!("{op} takes a pattern, found {}", value.type_name());
        return Err(at(table, column, message));
    };
    if pattern.chars().count() > MAX_PATTERN {
        let message = format!("a pattern has at most {MAX_PATTERN} characters");
        return Err(at(table, column, message));
    }
    if ends_in_escape(pattern) {
        return Err(at(table, column, "the pattern ends in a lone \\".into()));
    }
    Ok(Condition::Like { column: index, pattern: pattern.to_owned(), ignore_case: op == "ilike" })
}

fn ends_in_escape(pattern: &str) -> bool {
    pattern.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// A LIKE pattern as a GLOB pattern.
pub(super) fn glob_of(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '%' => {
                out.push('*');
                continue;
            }
            '_' => {
                out.push('?');
                continue;
            }
            // A pattern does not end in one that stands alone.
            '\\' => chars.next().unwrap_or('\\'),
            other => other,
        };
        if matches!(literal, '*' | '?' | '[') {
            out.extend(['[', literal, ']']);
        } else {
            out.push(literal);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns_become_glob_patterns() {
        assert_eq!(glob_of(r"a%b_\%\_*?[x]"), "a*b?%_[*][?][[]x]");
        assert_eq!(glob_of(r"\\"), r"\");
    }

    #[test]
    fn an_escape_needs_something_to_escape() {
        for (pattern, alone) in [(r"a\", true), (r"a\\", false), (r"\\\", true), ("a", false)] {
            assert_eq!(ends_in_escape(pattern), alone, "{pattern}");
        }
    }
}
