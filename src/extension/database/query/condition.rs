//! Conditions as values, written for one of the databases when the query runs.

use sea_query::{
    BinOper, Cond, Condition as SqlCondition, Expr, ExprTrait as _, LikeExpr, Value as Sql,
};

use super::pattern;
use crate::extension::database::convert::bound;
use crate::extension::database::model::{Column, Table};
use crate::store::Dialect;

/// How a column is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// The operators as plugins write them.
    pub const NAMES: [(&'static str, Operator); 7] = [
        ("=", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<>", Operator::NotEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
    ];

    fn sql(self) -> BinOper {
        match self {
            Operator::Equal => BinOper::Equal,
            Operator::NotEqual => BinOper::NotEqual,
            Operator::Less => BinOper::SmallerThan,
            Operator::LessOrEqual => BinOper::SmallerThanOrEqual,
            Operator::Greater => BinOper::GreaterThan,
            Operator::GreaterOrEqual => BinOper::GreaterThanOrEqual,
        }
    }
}

/// A condition on a row. Columns are indexes into those of the table.
#[derive(Debug, Clone)]
pub enum Condition {
    Compare(usize, Operator, Sql),
    In(usize, Vec<Sql>),
    Null(usize, bool),
    /// A pattern, checked by [`pattern`].
    Like {
        column: usize,
        pattern: String,
        ignore_case: bool,
    },
    /// At least one of them; each is a list of conditions that all hold.
    Any(Vec<Vec<Condition>>),
}

impl Condition {
    pub fn write(&self, dialect: Dialect, table: &Table) -> SqlCondition {
        let of = |index: usize| {
            let column: &Column = &table.columns[index];
            (column, Expr::col(column.physical.clone()))
        };
        let simple = match self {
            Condition::Compare(index, operator, value) => {
                let (column, itself) = of(*index);
                itself.binary(operator.sql(), bound(dialect, column, value.clone()))
            }
            Condition::In(index, values) => {
                let (column, itself) = of(*index);
                itself.is_in(values.iter().map(|value| bound(dialect, column, value.clone())))
            }
            Condition::Null(index, true) => of(*index).1.is_null(),
            Condition::Null(index, false) => of(*index).1.is_not_null(),
            Condition::Like { column, pattern, ignore_case } => {
                let itself = of(*column).1;
                match (dialect, ignore_case) {
                    // SQLite's LIKE ignores the case of ASCII letters; its GLOB does not.
                    (Dialect::Sqlite, true) => itself.like(LikeExpr::new(pattern).escape('\\')),
                    (Dialect::Sqlite, false) => {
                        itself.binary(BinOper::Custom("GLOB"), Expr::val(pattern::glob_of(pattern)))
                    }
                    (Dialect::Postgres, false) => itself.like(LikeExpr::new(pattern).escape('\\')),
                    // The columns have the collation C, in which only ASCII letters have a case.
                    // ILIKE would go by the database's own.
                    (Dialect::Postgres, true) => Expr::expr(sea_query::Func::lower(itself))
                        .like(LikeExpr::new(pattern.to_ascii_lowercase()).escape('\\')),
                }
            }
            Condition::Any(alternatives) => {
                let mut any = Cond::any();
                for all in alternatives {
                    let every = all
                        .iter()
                        .fold(Cond::all(), |every, one| every.add(one.write(dialect, table)));
                    any = any.add(every);
                }
                return any;
            }
        };
        Cond::all().add(simple)
    }
}
