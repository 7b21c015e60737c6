//! Expressions.

use sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CastKind, DataType, Expr, Ident, InTarget, ObjectName,
    Subscript, UnaryOperator,
};

use super::checker::Checker;
use super::operators;
use crate::store::{DECIMAL_COLLATION, DbError};

/// How many expressions may be inside of each other, not counting those of a chain of operators.
const MAX_DEPTH: usize = 200;

impl Checker<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<(), DbError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(&self.at(), "it is nested too deeply"));
        }
        self.depth += 1;
        let written = self.expr_at_depth(expr);
        self.depth -= 1;
        written
    }

    fn expr_at_depth(&mut self, expr: &Expr) -> Result<(), DbError> {
        match expr {
            Expr::Identifier(ident) => self.identifier(ident),
            Expr::CompoundIdentifier(parts) => self.compound_identifier(expr, parts),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.subscripts(expr, root, access_chain)
            }
            Expr::Value(value) => self.value(value),
            Expr::Nested(inner) => {
                self.out.token("(");
                self.expr(inner)?;
                self.out.tight(")");
                Ok(())
            }
            Expr::Tuple(items) => self.parenthesized(items, Self::expr),
            Expr::BinaryOp { .. } => self.binary(expr),
            Expr::UnaryOp { op, expr: operand } => self.unary(expr, *op, operand),
            Expr::IsNull(operand) => self.postfix(operand, "IS NULL"),
            Expr::IsNotNull(operand) => self.postfix(operand, "IS NOT NULL"),
            Expr::IsTrue(operand) => self.postfix(operand, "IS TRUE"),
            Expr::IsNotTrue(operand) => self.postfix(operand, "IS NOT TRUE"),
            Expr::IsFalse(operand) => self.postfix(operand, "IS FALSE"),
            Expr::IsNotFalse(operand) => self.postfix(operand, "IS NOT FALSE"),
            Expr::IsUnknown(operand) => self.postfix(operand, "IS UNKNOWN"),
            Expr::IsNotUnknown(operand) => self.postfix(operand, "IS NOT UNKNOWN"),
            Expr::IsDistinctFrom(left, right) => self.infix(left, "IS DISTINCT FROM", right),
            Expr::IsNotDistinctFrom(left, right) => self.infix(left, "IS NOT DISTINCT FROM", right),
            Expr::In { expr: operand, target, negated, global } => {
                self.without(expr, *global, "GLOBAL IN")?;
                self.is_in(operand, target, *negated)
            }
            Expr::Between { expr: operand, negated, low, high } => {
                self.infix(operand, if *negated { "NOT BETWEEN" } else { "BETWEEN" }, low)?;
                self.out.token("AND");
                self.expr(high)
            }
            Expr::Like { negated, any, expr: operand, pattern, escape_char } => {
                self.without(expr, *any, "LIKE ANY")?;
                let operator = if *negated { "NOT LIKE" } else { "LIKE" };
                self.pattern(operand, operator, pattern, escape_char.as_deref())
            }
            Expr::ILike { negated, any, expr: operand, pattern, escape_char } => {
                self.without(expr, *any, "ILIKE ANY")?;
                self.postgres_only(expr, "ILIKE; its LIKE ignores case")?;
                let operator = if *negated { "NOT ILIKE" } else { "ILIKE" };
                self.pattern(operand, operator, pattern, escape_char.as_deref())
            }
            Expr::SimilarTo { negated, expr: operand, pattern, escape_char } => {
                self.postgres_only(expr, "SIMILAR TO")?;
                let operator = if *negated { "NOT SIMILAR TO" } else { "SIMILAR TO" };
                self.pattern(operand, operator, pattern, escape_char.as_deref())
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } => {
                self.quantified(expr, left, compare_op, "ANY", right)
            }
            Expr::AllOp { left, compare_op, right } => {
                self.quantified(expr, left, compare_op, "ALL", right)
            }
            Expr::Cast { kind, expr: operand, data_type, format } => {
                self.without(expr, format.is_some(), "CAST with FORMAT")?;
                self.cast(expr, kind, operand, data_type)
            }
            Expr::TypedString(literal) => {
                self.without(expr, literal.uses_odbc_syntax, "{d …}")?;
                self.postgres_only(expr, "literals with a type")?;
                let ty = self.cast_type(expr, &literal.data_type)?;
                let text = self.string(&literal.value)?;
                self.out.token(&format!("CAST({text} AS {ty})"));
                Ok(())
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                self.postgres_only(expr, "AT TIME ZONE")?;
                self.infix(timestamp, "AT TIME ZONE", time_zone)
            }
            Expr::Collate { expr: operand, collation } => {
                self.expr(operand)?;
                let name = self.collation(collation)?;
                self.out.token(&format!("COLLATE {name}"));
                Ok(())
            }
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Exists { subquery, negated } => {
                self.out.token(if *negated { "NOT EXISTS" } else { "EXISTS" });
                self.subquery(subquery)
            }
            Expr::Subquery(query) => self.subquery(query),
            Expr::Function(call) => self.function(call),
            other => self.special_form(other),
        }
    }

    fn identifier(&mut self, ident: &Ident) -> Result<(), DbError> {
        // A word that no column can have as its name.
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default") {
            self.postgres_only(ident, "DEFAULT in place of a value; leave the column out")?;
            self.out.token("DEFAULT");
            return Ok(());
        }
        self.column(ident)
    }

    fn compound_identifier(&mut self, expr: &Expr, parts: &[Ident]) -> Result<(), DbError> {
        let [table, column] = parts else {
            let message = "expected a column as column or table.column, without a schema";
            return Err(self.error(expr, message));
        };
        let table = self.name(table)?;
        let column = self.column_name(column)?;
        self.out.token(&format!("{}.{column}", self.quote(&table)));
        Ok(())
    }

    fn subscripts(
        &mut self,
        expr: &Expr,
        root: &Expr,
        chain: &[AccessExpr],
    ) -> Result<(), DbError> {
        self.postgres_only(expr, "subscripts; use -> or ->>")?;
        self.expr(root)?;
        for access in chain {
            match access {
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    self.out.tight("[");
                    self.expr(index)?;
                }
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                    self.without(expr, stride.is_some(), "a slice with a stride")?;
                    self.out.tight("[");
                    if let Some(bound) = lower_bound {
                        self.expr(bound)?;
                    }
                    self.out.token(":");
                    if let Some(bound) = upper_bound {
                        self.expr(bound)?;
                    }
                }
                // The field of a composite value, which is also how a function of it is called.
                AccessExpr::Dot(_) => return self.refuse(expr, "a field of a value"),
            }
            self.out.tight("]");
        }
        Ok(())
    }

    /// A chain of operators, which is as deep as it is long: it is not walked by recursion.
    fn binary(&mut self, expr: &Expr) -> Result<(), DbError> {
        let mut chain = Vec::new();
        let mut first = expr;
        while let Expr::BinaryOp { left, op, right } = first {
            chain.push((first, op, right));
            first = left;
        }
        self.expr(first)?;
        for (node, op, right) in chain.into_iter().rev() {
            let text = self.binary_operator(node, op)?;
            self.out.token(text);
            self.expr(right)?;
        }
        Ok(())
    }

    fn binary_operator(&self, node: &Expr, op: &BinaryOperator) -> Result<&'static str, DbError> {
        match operators::binary(self.dialect, op) {
            Some(text) => Ok(text),
            None => self.refuse(node, &format!("the operator {op}")),
        }
    }

    fn unary(&mut self, node: &Expr, op: UnaryOperator, operand: &Expr) -> Result<(), DbError> {
        match operators::unary(op) {
            Some(text) => self.out.token(text),
            None => return self.refuse(node, &format!("the operator {op}")),
        }
        self.expr(operand)
    }

    fn postfix(&mut self, operand: &Expr, operator: &str) -> Result<(), DbError> {
        self.expr(operand)?;
        self.out.token(operator);
        Ok(())
    }

    pub(super) fn infix(
        &mut self,
        left: &Expr,
        operator: &str,
        right: &Expr,
    ) -> Result<(), DbError> {
        self.expr(left)?;
        self.out.token(operator);
        self.expr(right)
    }

    /// An operand and the bracket behind it.
    pub(super) fn closing(&mut self, operand: &Expr) -> Result<(), DbError> {
        self.expr(operand)?;
        self.out.tight(")");
        Ok(())
    }

    fn is_in(&mut self, operand: &Expr, target: &InTarget, negated: bool) -> Result<(), DbError> {
        self.expr(operand)?;
        self.out.token(if negated { "NOT IN" } else { "IN" });
        match target {
            InTarget::List(items) => self.parenthesized(items, Self::expr),
            InTarget::Subquery(query) => self.subquery(query),
            InTarget::Unnest(_) => self.refuse(operand, "IN UNNEST"),
            InTarget::Table { .. } => {
                Err(self.error(operand, "write IN (SELECT …) instead of IN and a table"))
            }
        }
    }

    fn pattern(
        &mut self,
        operand: &Expr,
        operator: &str,
        pattern: &Expr,
        escape: Option<&Expr>,
    ) -> Result<(), DbError> {
        self.infix(operand, operator, pattern)?;
        if let Some(escape) = escape {
            self.out.token("ESCAPE");
            self.expr(escape)?;
        }
        Ok(())
    }

    fn quantified(
        &mut self,
        node: &Expr,
        left: &Expr,
        op: &BinaryOperator,
        quantifier: &str,
        right: &Expr,
    ) -> Result<(), DbError> {
        self.postgres_only(node, &format!("{quantifier}; use IN or EXISTS"))?;
        self.expr(left)?;
        let operator = self.binary_operator(node, op)?;
        self.out.token(operator);
        self.out.token(quantifier);
        if let Expr::Subquery(query) = right {
            return self.subquery(query);
        }
        self.out.token("(");
        self.closing(right)
    }

    fn cast(
        &mut self,
        node: &Expr,
        kind: &CastKind,
        operand: &Expr,
        ty: &DataType,
    ) -> Result<(), DbError> {
        let ty = self.cast_type(node, ty)?;
        match kind {
            CastKind::Cast => {
                self.out.token("CAST(");
                self.expr(operand)?;
                self.out.token(&format!("AS {ty}"));
                self.out.tight(")");
            }
            CastKind::DoubleColon => {
                self.postgres_only(node, "::; use CAST(… AS …)")?;
                self.expr(operand)?;
                self.out.token(&format!(":: {ty}"));
            }
            CastKind::TryCast | CastKind::SafeCast => return self.refuse(node, "this cast"),
        }
        Ok(())
    }

    fn cast_type(&self, node: &Expr, ty: &DataType) -> Result<String, DbError> {
        match self.type_name(ty) {
            Some(name) => Ok(name),
            None => self.refuse(node, &format!("the type {}", super::cut(&ty.to_string()))),
        }
    }

    fn collation(&mut self, collation: &ObjectName) -> Result<String, DbError> {
        let ident = self.single(collation, "collation")?;
        let name = self.name(&ident)?;
        let is_known = if self.is_postgres() {
            matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic" | "unicode")
                || name.ends_with("-x-icu")
        } else {
            let known = ["binary", "nocase", "rtrim", DECIMAL_COLLATION];
            known.iter().any(|known| known.eq_ignore_ascii_case(&name))
        };
        match is_known {
            true => Ok(self.quote(&name)),
            false => self.refuse(collation, &format!("the collation {name}")),
        }
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Result<(), DbError> {
        self.out.token("CASE");
        if let Some(operand) = operand {
            self.expr(operand)?;
        }
        for CaseWhen { condition, result } in conditions {
            self.out.token("WHEN");
            self.infix(condition, "THEN", result)?;
        }
        if let Some(otherwise) = otherwise {
            self.out.token("ELSE");
            self.expr(otherwise)?;
        }
        self.out.token("END");
        Ok(())
    }
}
