//! Calls of functions, with what may be around their arguments.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, NullTreatment, ObjectName,
    WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use super::super::names;
use super::checker::Checker;
use super::functions;
use crate::store::DbError;

impl Checker<'_> {
    pub(super) fn function(&mut self, call: &Function) -> Result<(), DbError> {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment,
            over,
        } = call;
        self.without(name, *uses_odbc_syntax, "{fn …}")?;
        self.without(name, *parameters != FunctionArguments::None, "a call with two lists")?;
        self.without(name, null_treatment.is_some(), null_treatment_name(*null_treatment))?;
        match args {
            FunctionArguments::None => self.bare_function(name)?,
            FunctionArguments::Subquery(query) => {
                let ident = self.single(name, "function")?;
                if !ident.value.eq_ignore_ascii_case("array") || !self.is_postgres() {
                    return self.refuse(name, "a query as the argument of a function");
                }
                self.out.token("ARRAY");
                self.subquery(query)?;
            }
            FunctionArguments::List(list) => {
                let function = self.function_name(name)?;
                if !functions::is_allowed(self.dialect, &function) {
                    return self.refuse_function(name, &function);
                }
                self.out.token(&function);
                self.arguments(name, &function, list)?;
            }
        }
        if !within_group.is_empty() {
            self.out.token("WITHIN GROUP (ORDER BY");
            self.list(within_group, Self::order_by_expr)?;
            self.out.tight(")");
        }
        if let Some(condition) = filter {
            self.out.token("FILTER (WHERE");
            self.expr(condition)?;
            self.out.tight(")");
        }
        match over {
            None => Ok(()),
            Some(WindowType::NamedWindow(window)) => {
                self.out.token("OVER");
                self.alias(window)
            }
            Some(WindowType::WindowSpec(window)) => {
                self.out.token("OVER");
                self.window(window)
            }
        }
    }

    /// A function's name as the author wrote it, which SQLite uses as the name of the column.
    pub(super) fn function_name(&mut self, name: &ObjectName) -> Result<String, DbError> {
        let ident = self.single(name, "function")?;
        self.name(&ident)?;
        match ident.quote_style {
            None => Ok(ident.value),
            Some(_) => self.refuse(name, "a quoted name of a function"),
        }
    }

    fn refuse_function<T>(&self, name: &ObjectName, function: &str) -> Result<T, DbError> {
        self.refuse(name, &format!("the function {}", names::quoted(function)))
    }

    /// A function that is called without parentheses.
    fn bare_function(&mut self, name: &ObjectName) -> Result<(), DbError> {
        let function = self.function_name(name)?;
        if !functions::is_bare(self.dialect, &function.to_ascii_lowercase()) {
            return self.refuse(name, &function);
        }
        self.out.token(&function);
        Ok(())
    }

    fn arguments(
        &mut self,
        name: &ObjectName,
        function: &str,
        list: &FunctionArgumentList,
    ) -> Result<(), DbError> {
        let FunctionArgumentList { duplicate_treatment, args, clauses } = list;
        self.out.tight("(");
        match duplicate_treatment {
            None => {}
            Some(DuplicateTreatment::Distinct) => self.out.token("DISTINCT"),
            Some(DuplicateTreatment::All) => self.out.token("ALL"),
        }
        let counts = function.eq_ignore_ascii_case("count");
        self.list(args, |this, arg| this.argument(name, counts, arg))?;
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(order) => {
                    self.out.token("ORDER BY");
                    self.list(order, Self::order_by_expr)?;
                }
                other => {
                    let what = other.to_string();
                    let word = what.split(' ').next().unwrap_or_default();
                    return self.refuse(name, &format!("{word} in the arguments of a function"));
                }
            }
        }
        self.out.tight(")");
        Ok(())
    }

    fn argument(
        &mut self,
        name: &ObjectName,
        counts: bool,
        arg: &FunctionArg,
    ) -> Result<(), DbError> {
        let value = match arg {
            FunctionArg::Unnamed(value) => value,
            FunctionArg::ExprNamed {
                name: Expr::Identifier(parameter),
                arg,
                operator: FunctionArgOperator::RightArrow,
            } if self.is_postgres() => {
                self.alias(parameter)?;
                self.out.token("=>");
                arg
            }
            FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                return self.refuse(arg, "a named argument");
            }
        };
        match value {
            FunctionArgExpr::Expr(expr) => self.expr(expr),
            FunctionArgExpr::Wildcard if counts => {
                self.out.token("*");
                Ok(())
            }
            FunctionArgExpr::QualifiedWildcard(table) if self.is_postgres() => {
                let table = self.single(table, "table")?;
                let quoted = self.column_name(&table)?;
                self.out.token(&format!("{quoted}.*"));
                Ok(())
            }
            _ => self.refuse(name, "* in the arguments of this function"),
        }
    }

    /// The arguments of a function in a FROM clause.
    pub(super) fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
    ) -> Result<(), DbError> {
        let function = self.function_name(name)?;
        if !functions::is_allowed_in_from(self.dialect, &function.to_ascii_lowercase()) {
            return self.refuse_function(name, &function);
        }
        self.out.token(&function);
        self.out.tight("(");
        self.list(args, |this, arg| this.argument(name, false, arg))?;
        self.out.tight(")");
        Ok(())
    }

    /// A window in parentheses.
    pub(super) fn window(&mut self, window: &WindowSpec) -> Result<(), DbError> {
        let WindowSpec { window_name, partition_by, order_by, window_frame } = window;
        self.out.token("(");
        if let Some(name) = window_name {
            self.alias(name)?;
        }
        if !partition_by.is_empty() {
            self.out.token("PARTITION BY");
            self.list(partition_by, Self::expr)?;
        }
        if !order_by.is_empty() {
            self.out.token("ORDER BY");
            self.list(order_by, Self::order_by_expr)?;
        }
        if let Some(WindowFrame { units, start_bound, end_bound }) = window_frame {
            self.out.token(match units {
                WindowFrameUnits::Rows => "ROWS",
                WindowFrameUnits::Range => "RANGE",
                WindowFrameUnits::Groups => "GROUPS",
            });
            match end_bound {
                None => self.bound(start_bound)?,
                Some(end) => {
                    self.out.token("BETWEEN");
                    self.bound(start_bound)?;
                    self.out.token("AND");
                    self.bound(end)?;
                }
            }
        }
        self.out.tight(")");
        Ok(())
    }

    fn bound(&mut self, bound: &WindowFrameBound) -> Result<(), DbError> {
        let (distance, direction) = match bound {
            WindowFrameBound::CurrentRow => {
                self.out.token("CURRENT ROW");
                return Ok(());
            }
            WindowFrameBound::Preceding(distance) => (distance, "PRECEDING"),
            WindowFrameBound::Following(distance) => (distance, "FOLLOWING"),
        };
        match distance {
            None => self.out.token("UNBOUNDED"),
            // The parser takes '…' in this place for an interval, but not E'…'.
            Some(distance) if is_string(distance) => {
                return Err(self.error(distance.as_ref(), "write INTERVAL '…'"));
            }
            Some(distance) => self.expr(distance)?,
        }
        self.out.token(direction);
        Ok(())
    }
}

fn is_string(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value.clone().into_string().is_some())
}

fn null_treatment_name(treatment: Option<NullTreatment>) -> &'static str {
    match treatment {
        Some(NullTreatment::IgnoreNulls) => "IGNORE NULLS",
        _ => "RESPECT NULLS",
    }
}
