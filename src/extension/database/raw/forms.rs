//! What looks like a call of a function but has a syntax of its own, and the less common literals.

use sqlparser::ast::{
    Array, CeilFloorKind, DateTimeField, Expr, ExtractSyntax, Interval, TrimWhereField,
};

use super::checker::Checker;
use crate::store::DbError;

impl Checker<'_> {
    /// Writes an expression that is none of the common ones, or refuses it by its name.
    pub(super) fn special_form(&mut self, expr: &Expr) -> Result<(), DbError> {
        match expr {
            Expr::Extract { field, syntax: ExtractSyntax::From, expr: operand } => {
                self.postgres_only(expr, "EXTRACT; use strftime")?;
                let field = self.date_part(expr, field)?;
                self.out.token(&format!("EXTRACT({field} FROM"));
                self.closing(operand)
            }
            Expr::Ceil { expr: operand, field } => self.rounding(expr, "ceil(", operand, field),
            Expr::Floor { expr: operand, field } => self.rounding(expr, "floor(", operand, field),
            Expr::Position { expr: what, r#in: text } => {
                self.postgres_only(expr, "POSITION; use instr")?;
                self.out.token("POSITION(");
                self.infix(what, "IN", text)?;
                self.out.tight(")");
                Ok(())
            }
            Expr::Substring { expr: text, substring_from, substring_for, special, shorthand } => {
                self.out.token(if *shorthand { "substr(" } else { "substring(" });
                self.expr(text)?;
                for (word, part) in [("FROM", substring_from), ("FOR", substring_for)] {
                    let Some(part) = part else { continue };
                    if *special {
                        self.out.tight(",");
                    } else {
                        self.postgres_only(expr, "SUBSTRING with FROM; use substr")?;
                        self.out.token(word);
                    }
                    self.expr(part)?;
                }
                self.out.tight(")");
                Ok(())
            }
            Expr::Trim { expr: text, trim_where, trim_what, trim_characters } => {
                self.trim(expr, text, *trim_where, trim_what.as_deref(), trim_characters.as_deref())
            }
            Expr::Overlay { expr: text, overlay_what, overlay_from, overlay_for } => {
                self.postgres_only(expr, "OVERLAY")?;
                self.out.token("OVERLAY(");
                self.infix(text, "PLACING", overlay_what)?;
                self.out.token("FROM");
                self.expr(overlay_from)?;
                if let Some(length) = overlay_for {
                    self.out.token("FOR");
                    self.expr(length)?;
                }
                self.out.tight(")");
                Ok(())
            }
            Expr::Array(Array { elem, named: true }) => {
                self.postgres_only(expr, "arrays")?;
                self.out.token("ARRAY[");
                self.elements(elem)
            }
            Expr::Array(_) => Err(self.error(expr, "write ARRAY[…]")),
            Expr::Interval(interval) => self.interval(expr, interval),
            Expr::GroupingSets(sets) => self.grouping(expr, "GROUPING SETS (", sets),
            Expr::Cube(sets) => self.grouping(expr, "CUBE (", sets),
            Expr::Rollup(sets) => self.grouping(expr, "ROLLUP (", sets),
            Expr::RLike { .. } | Expr::MatchAgainst { .. } => self.refuse(expr, "MATCH or REGEXP"),
            Expr::Convert { .. } => self.refuse(expr, "CONVERT"),
            Expr::IsJson { .. } => self.refuse(expr, "IS JSON"),
            Expr::IsNormalized { .. } => self.refuse(expr, "IS NORMALIZED"),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => self.refuse(expr, "* in this place"),
            Expr::Named { .. } => self.refuse(expr, "an argument with AS"),
            Expr::Prefixed { .. } => self.refuse(expr, "a prefix before a value"),
            Expr::Lambda(_) => self.refuse(expr, "a lambda"),
            _ => self.refuse(expr, "this expression"),
        }
    }

    fn rounding(
        &mut self,
        node: &Expr,
        function: &str,
        operand: &Expr,
        field: &CeilFloorKind,
    ) -> Result<(), DbError> {
        let is_plain = matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime));
        self.without(node, !is_plain, "this form of CEIL or FLOOR")?;
        self.out.token(function);
        self.closing(operand)
    }

    fn trim(
        &mut self,
        node: &Expr,
        text: &Expr,
        side: Option<TrimWhereField>,
        what: Option<&Expr>,
        characters: Option<&[Expr]>,
    ) -> Result<(), DbError> {
        if side.is_some() || what.is_some() {
            self.postgres_only(node, "TRIM with FROM; use trim(text, characters)")?;
        }
        self.out.token("TRIM(");
        if let Some(side) = side {
            self.out.token(match side {
                TrimWhereField::Both => "BOTH",
                TrimWhereField::Leading => "LEADING",
                TrimWhereField::Trailing => "TRAILING",
            });
        }
        if let Some(what) = what {
            self.expr(what)?;
        }
        if side.is_some() || what.is_some() {
            self.out.token("FROM");
        }
        self.expr(text)?;
        for characters in characters.unwrap_or_default() {
            self.out.tight(",");
            self.expr(characters)?;
        }
        self.out.tight(")");
        Ok(())
    }

    fn interval(&mut self, node: &Expr, interval: &Interval) -> Result<(), DbError> {
        let Interval {
            value,
            leading_field,
            leading_precision,
            last_field,
            fractional_seconds_precision,
        } = interval;
        self.postgres_only(node, "intervals; use modifiers of datetime")?;
        let precise = leading_precision.is_some() || fractional_seconds_precision.is_some();
        self.without(node, precise, "an interval with a precision")?;
        let Expr::Value(value) = value.as_ref() else {
            return Err(self.error(node, "expected a string behind INTERVAL"));
        };
        let text = self.string(value)?;
        self.out.token(&format!("INTERVAL {text}"));
        for (word, field) in [("", leading_field), ("TO ", last_field)] {
            if let Some(field) = field {
                let field = self.date_part(node, field)?;
                self.out.token(&format!("{word}{field}"));
            }
        }
        Ok(())
    }

    /// The elements of an array and the bracket behind them.
    fn elements(&mut self, elements: &[Expr]) -> Result<(), DbError> {
        self.list(elements, |this, element| match element {
            Expr::Array(Array { elem, named: false }) => {
                this.out.token("[");
                this.elements(elem)
            }
            other => this.expr(other),
        })?;
        self.out.tight("]");
        Ok(())
    }

    fn grouping(&mut self, node: &Expr, opening: &str, sets: &[Vec<Expr>]) -> Result<(), DbError> {
        self.postgres_only(node, "GROUPING SETS, CUBE and ROLLUP")?;
        self.out.token(opening);
        self.list(sets, |this, set| this.parenthesized(set, Self::expr))?;
        self.out.tight(")");
        Ok(())
    }

    fn date_part(&self, node: &Expr, field: &DateTimeField) -> Result<&'static str, DbError> {
        use DateTimeField as F;
        Ok(match field {
            F::Year => "YEAR",
            F::Month => "MONTH",
            F::Week(None) => "WEEK",
            F::Day => "DAY",
            F::Hour => "HOUR",
            F::Minute => "MINUTE",
            F::Second => "SECOND",
            F::Century => "CENTURY",
            F::Decade => "DECADE",
            F::Dow => "DOW",
            F::Doy => "DOY",
            F::Epoch => "EPOCH",
            F::Isodow => "ISODOW",
            F::Isoyear => "ISOYEAR",
            F::Julian => "JULIAN",
            F::Microsecond | F::Microseconds => "MICROSECONDS",
            F::Millennium => "MILLENNIUM",
            F::Millisecond | F::Milliseconds => "MILLISECONDS",
            F::Quarter => "QUARTER",
            F::Timezone => "TIMEZONE",
            F::TimezoneHour => "TIMEZONE_HOUR",
            F::TimezoneMinute => "TIMEZONE_MINUTE",
            _ => return self.refuse(node, "this part of a time"),
        })
    }
}
