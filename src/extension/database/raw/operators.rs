//! The operators that are allowed.

use sqlparser::ast::{BinaryOperator, UnaryOperator};

use crate::store::Dialect;

/// How the operator is written; `None` if it is not allowed.
pub(super) fn binary(dialect: Dialect, op: &BinaryOperator) -> Option<&'static str> {
    use BinaryOperator as O;
    let text = match op {
        O::Plus => "+",
        O::Minus => "-",
        O::Multiply => "*",
        O::Divide => "/",
        O::Modulo => "%",
        O::StringConcat => "||",
        O::Gt => ">",
        O::Lt => "<",
        O::GtEq => ">=",
        O::LtEq => "<=",
        O::Eq => "=",
        O::NotEq => "<>",
        O::And => "AND",
        O::Or => "OR",
        O::BitwiseOr => "|",
        O::BitwiseAnd => "&",
        O::PGBitwiseShiftLeft => "<<",
        O::PGBitwiseShiftRight => ">>",
        O::Arrow => "->",
        O::LongArrow => "->>",
        other => return one_of(dialect, other),
    };
    Some(text)
}

/// The operators that only one of the databases has.
fn one_of(dialect: Dialect, op: &BinaryOperator) -> Option<&'static str> {
    use BinaryOperator as O;
    let text = match (dialect, op) {
        // MATCH and REGEXP call functions that a program may add.
        (Dialect::Sqlite, O::Glob) => "GLOB",
        (Dialect::Sqlite, O::Is) => "IS",
        (Dialect::Sqlite, O::IsNot) => "IS NOT",
        (Dialect::Postgres, O::PGBitwiseXor) => "#",
        (Dialect::Postgres, O::PGExp) => "^",
        (Dialect::Postgres, O::PGOverlap) => "&&",
        (Dialect::Postgres, O::PGRegexMatch) => "~",
        (Dialect::Postgres, O::PGRegexIMatch) => "~*",
        (Dialect::Postgres, O::PGRegexNotMatch) => "!~",
        (Dialect::Postgres, O::PGRegexNotIMatch) => "!~*",
        (Dialect::Postgres, O::PGLikeMatch) => "~~",
        (Dialect::Postgres, O::PGILikeMatch) => "~~*",
        (Dialect::Postgres, O::PGNotLikeMatch) => "!~~",
        (Dialect::Postgres, O::PGNotILikeMatch) => "!~~*",
        (Dialect::Postgres, O::PGStartsWith) => "^@",
        (Dialect::Postgres, O::HashArrow) => "#>",
        (Dialect::Postgres, O::HashLongArrow) => "#>>",
        (Dialect::Postgres, O::HashMinus) => "#-",
        (Dialect::Postgres, O::AtAt) => "@@",
        (Dialect::Postgres, O::AtArrow) => "@>",
        (Dialect::Postgres, O::ArrowAt) => "<@",
        (Dialect::Postgres, O::AtQuestion) => "@?",
        (Dialect::Postgres, O::Overlaps) => "OVERLAPS",
        _ => return None,
    };
    Some(text)
}

/// How the operator is written before its operand; `None` if it is not allowed.
pub(super) fn unary(op: UnaryOperator) -> Option<&'static str> {
    Some(match op {
        UnaryOperator::Plus => "+",
        UnaryOperator::Minus => "-",
        UnaryOperator::Not => "NOT",
        UnaryOperator::BitwiseNot => "~",
        _ => return None,
    })
}
