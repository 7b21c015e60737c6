//! Where the parts of a syntax tree are in the text.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    AlterTableOperation, Cte, Expr, FunctionArg, GroupByExpr, Ident, Join, ObjectName, Query,
    SelectItem, SetExpr, Spanned, Statement, TableAlias, TableFactor, ValueWithSpan,
};
use sqlparser::tokenizer::Location;

/// What has a place. The parser knows the places of most parts, but not of all.
pub(super) trait Place {
    /// Where it begins, or line 0 if that is not known.
    fn place(&self) -> Location;
}

impl Place for Location {
    fn place(&self) -> Location {
        *self
    }
}

impl Place for Ident {
    fn place(&self) -> Location {
        self.span.start
    }
}

impl Place for AttachedToken {
    fn place(&self) -> Location {
        self.0.span.start
    }
}

macro_rules! spanned {
    ($($node:ty),* $(,)?) => {
        $(impl Place for $node {
            fn place(&self) -> Location {
                self.span().start
            }
        })*
    };
}

spanned!(
    AlterTableOperation,
    Cte,
    Expr,
    FunctionArg,
    GroupByExpr,
    Join,
    ObjectName,
    Query,
    SelectItem,
    SetExpr,
    Statement,
    TableAlias,
    TableFactor,
    ValueWithSpan,
);
