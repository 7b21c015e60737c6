//! `like` and `ilike`, with the meaning that they have in PostgreSQL.

use sea_query::{BinOper, Expr, ExprTrait as _, LikeExpr};

use super::model::{Column, ColumnType, Table};
use super::query::at;
use crate::store::DbError;
use crate::value::Value;

/// The most characters of a pattern: matching takes time that grows with its wildcards.
const MAX_PATTERN: usize = 1_000;

/// `column LIKE value`, with or without regard to case.
pub(super) fn condition(
    table: &Table,
    column: &Column,
    op: &str,
    value: &Value,
) -> Result<Expr, DbError> {
    if column.ty != ColumnType::Text {
        let message = format!("{op} is for text columns, this is {}", column.ty.name());
        return Err(at(table, column, message));
    }
    let Some(text) = value.as_str().filter(|s| !s.contains('\0')) else {
        let message = format!("{op} takes a pattern, found {}", value.type_name());
        return Err(at(table, column, message));
    };
    if text.chars().count() > MAX_PATTERN {
        let message = format!("a pattern has at most {MAX_PATTERN} characters");
        return Err(at(table, column, message));
    }
    let Some(glob) = glob_of(text) else {
        return Err(at(table, column, "the pattern ends in a lone \\".into()));
    };
    let itself = Expr::col(column.physical.clone());
    Ok(match op {
        // SQLite's LIKE ignores case; its GLOB does not.
        "like" => itself.binary(BinOper::Custom("GLOB"), Expr::val(glob)),
        _ => itself.like(LikeExpr::new(text).escape('\\')),
    })
}

/// A LIKE pattern as a GLOB pattern; `None` if it ends in a lone backslash.
fn glob_of(pattern: &str) -> Option<String> {
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
            '\\' => chars.next()?,
            other => other,
        };
        if matches!(literal, '*' | '?' | '[') {
            out.extend(['[', literal, ']']);
        } else {
            out.push(literal);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::glob_of;

    #[test]
    fn like_patterns_become_glob_patterns() {
        assert_eq!(glob_of(r"a%b_\%\_*?[x]").as_deref(), Some("a*b?%_[*][?][[]x]"));
        assert_eq!(glob_of(r"\\").as_deref(), Some(r"\"));
        assert_eq!(glob_of(r"a\"), None);
    }
}
