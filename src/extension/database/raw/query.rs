//! Queries: SELECT, VALUES, what puts them together, and WITH.

use sqlparser::ast::{
    Cte, CteAsMaterialized, Distinct, Expr, GroupByExpr, NamedWindowDefinition, NamedWindowExpr,
    Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator,
    SetQuantifier, TableAlias, TableAliasColumnDef, Values, WildcardAdditionalOptions, With,
};

use super::checker::Checker;
use crate::store::DbError;

/// Where a query is, which decides whether it may be an INSERT, UPDATE or DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Statement,
    CommonTable,
    Inner,
}

impl Checker<'_> {
    /// Writes a query, without parentheses, and says whether it gives rows.
    pub(super) fn query(&mut self, query: &Query, position: Position) -> Result<bool, DbError> {
        let scope = self.ctes.len();
        let returns_rows = self.query_in_scope(query, position);
        self.ctes.truncate(scope);
        returns_rows
    }

    /// Writes a query in parentheses.
    pub(super) fn subquery(&mut self, query: &Query) -> Result<(), DbError> {
        self.out.token("(");
        self.query(query, Position::Inner)?;
        self.out.tight(")");
        Ok(())
    }

    fn query_in_scope(&mut self, query: &Query, position: Position) -> Result<bool, DbError> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        self.without(query, for_clause.is_some(), "FOR XML, JSON or BROWSE")?;
        self.without(query, settings.is_some(), "SETTINGS")?;
        self.without(query, format_clause.is_some(), "FORMAT")?;
        self.without(query, !pipe_operators.is_empty(), "|>")?;
        if let Some(with) = with {
            self.with(with)?;
        }
        let returns_rows = self.body(body, position)?;
        if let Some(order_by) = order_by {
            self.order_by(query, order_by)?;
        }
        if let Some(limit) = limit_clause {
            self.limit(query, limit)?;
        }
        if let Some(fetch) = fetch {
            self.fetch(query, fetch)?;
        }
        for lock in locks {
            self.lock(query, lock)?;
        }
        Ok(returns_rows)
    }

    /// Each common table is in scope for those behind it and for the query, and with RECURSIVE for
    /// itself. PostgreSQL looks no further; SQLite does, but never at less than this.
    fn with(&mut self, with: &With) -> Result<(), DbError> {
        let With { with_token: _, recursive, cte_tables } = with;
        self.out.token(if *recursive { "WITH RECURSIVE" } else { "WITH" });
        self.list(cte_tables, |this, cte| this.common_table(cte, *recursive))
    }

    fn common_table(&mut self, cte: &Cte, recursive: bool) -> Result<(), DbError> {
        let Cte { alias, query, from, materialized, closing_paren_token: _ } = cte;
        self.without(cte, from.is_some(), "FROM behind a common table")?;
        let name = self.name(&alias.name)?;
        let key = self.key(&name);
        self.named.push(alias.name.value.clone());
        if recursive {
            self.ctes.push(key.clone());
        }
        self.alias_with_columns(alias)?;
        self.out.token(match materialized {
            None => "AS (",
            Some(CteAsMaterialized::Materialized) => "AS MATERIALIZED (",
            Some(CteAsMaterialized::NotMaterialized) => "AS NOT MATERIALIZED (",
        });
        self.query(query, Position::CommonTable)?;
        self.out.tight(")");
        if !recursive {
            self.ctes.push(key);
        }
        Ok(())
    }

    /// Writes an alias with the names of its columns.
    pub(super) fn alias_with_columns(&mut self, alias: &TableAlias) -> Result<(), DbError> {
        let TableAlias { explicit: _, name, columns, at } = alias;
        self.without(alias, at.is_some(), "AT behind an alias")?;
        self.alias(name)?;
        if columns.is_empty() {
            return Ok(());
        }
        self.out.tight("(");
        self.list(columns, |this, TableAliasColumnDef { name, data_type }| {
            this.without(name, data_type.is_some(), "a type behind the column of an alias")?;
            this.alias(name)
        })?;
        self.out.tight(")");
        Ok(())
    }

    fn body(&mut self, body: &SetExpr, position: Position) -> Result<bool, DbError> {
        match body {
            SetExpr::Select(select) => self.select(select).map(|()| true),
            SetExpr::Query(query) => self.subquery(query).map(|()| true),
            SetExpr::Values(values) => self.values(values).map(|()| true),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                self.body(left, Position::Inner)?;
                self.out.token(match op {
                    SetOperator::Union => "UNION",
                    SetOperator::Except => "EXCEPT",
                    SetOperator::Intersect => "INTERSECT",
                    SetOperator::Minus => return self.refuse(body, "MINUS"),
                });
                match set_quantifier {
                    SetQuantifier::None => {}
                    SetQuantifier::All => self.out.token("ALL"),
                    SetQuantifier::Distinct => {
                        self.postgres_only(body, "DISTINCT behind UNION and its like")?;
                        self.out.token("DISTINCT");
                    }
                    SetQuantifier::ByName
                    | SetQuantifier::AllByName
                    | SetQuantifier::DistinctByName => return self.refuse(body, "BY NAME"),
                }
                self.body(right, Position::Inner)?;
                Ok(true)
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement) => {
                match position {
                    Position::Statement => {}
                    Position::CommonTable => {
                        self.postgres_only(body, "INSERT, UPDATE and DELETE in WITH")?;
                    }
                    Position::Inner => {
                        return self.refuse(body, "INSERT, UPDATE or DELETE inside of a query");
                    }
                }
                self.change_rows(statement)
            }
            SetExpr::Merge(_) => self.refuse(body, "MERGE"),
            SetExpr::Table(_) => Err(self.error(body, "write SELECT * FROM instead of TABLE")),
        }
    }

    fn values(&mut self, values: &Values) -> Result<(), DbError> {
        let Values { explicit_row, value_keyword, rows } = values;
        self.without(&self.at(), *explicit_row, "ROW behind VALUES")?;
        self.without(&self.at(), *value_keyword, "VALUE")?;
        self.out.token("VALUES");
        self.list(rows, |this, row| this.parenthesized(&row.content, Self::expr))
    }

    fn select(&mut self, select: &Select) -> Result<(), DbError> {
        let Select {
            select_token,
            // These are comments, and comments are left out.
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        self.pass(select_token);
        let refused = [
            (select_modifiers.is_some(), "a modifier behind SELECT"),
            (top.is_some(), "TOP"),
            (exclude.is_some(), "EXCLUDE"),
            (into.is_some(), "SELECT INTO"),
            (!lateral_views.is_empty(), "LATERAL VIEW"),
            (prewhere.is_some(), "PREWHERE"),
            (!connect_by.is_empty(), "CONNECT BY"),
            (!cluster_by.is_empty(), "CLUSTER BY"),
            (!distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!sort_by.is_empty(), "SORT BY"),
            (qualify.is_some(), "QUALIFY"),
            (value_table_mode.is_some(), "SELECT AS"),
            (*flavor != SelectFlavor::Standard, "FROM before SELECT"),
        ];
        for (present, what) in refused {
            self.without(select_token, present, what)?;
        }
        self.out.token("SELECT");
        match distinct {
            None => {}
            Some(Distinct::All) => self.out.token("ALL"),
            Some(Distinct::Distinct) => self.out.token("DISTINCT"),
            Some(Distinct::On(keys)) => {
                self.postgres_only(select_token, "DISTINCT ON")?;
                self.out.token("DISTINCT ON");
                self.parenthesized(keys, Self::expr)?;
            }
        }
        self.list(projection, Self::select_item)?;
        if !from.is_empty() {
            self.out.token("FROM");
            self.list(from, Self::table_with_joins)?;
        }
        self.condition("WHERE", selection.as_ref())?;
        self.group_by(group_by)?;
        self.condition("HAVING", having.as_ref())?;
        if !named_window.is_empty() {
            self.out.token("WINDOW");
            self.list(named_window, |this, NamedWindowDefinition(name, window)| {
                this.alias(name)?;
                this.out.token("AS");
                match window {
                    NamedWindowExpr::WindowSpec(window) => this.window(window),
                    NamedWindowExpr::NamedWindow(_) => this.refuse(name, "a window without ()"),
                }
            })?;
        }
        Ok(())
    }

    /// Writes `keyword` and a condition, if there is one.
    pub(super) fn condition(
        &mut self,
        keyword: &str,
        condition: Option<&Expr>,
    ) -> Result<(), DbError> {
        let Some(condition) = condition else { return Ok(()) };
        self.out.token(keyword);
        self.expr(condition)
    }

    pub(super) fn select_item(&mut self, item: &SelectItem) -> Result<(), DbError> {
        match item {
            SelectItem::UnnamedExpr(expr) => self.expr(expr),
            SelectItem::ExprWithAlias { expr, alias } => {
                self.expr(expr)?;
                self.out.token("AS");
                self.alias(alias)
            }
            SelectItem::ExprWithAliases { .. } => self.refuse(item, "several aliases"),
            SelectItem::Wildcard(options) => {
                self.plain_wildcard(item, options)?;
                self.out.token("*");
                Ok(())
            }
            SelectItem::QualifiedWildcard(kind, options) => {
                self.plain_wildcard(item, options)?;
                let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                    return self.refuse(item, ".* behind a value");
                };
                let table = self.single(name, "table")?;
                let table = self.name(&table)?;
                self.out.token(&format!("{}.*", self.quote(&table)));
                Ok(())
            }
        }
    }

    fn plain_wildcard(
        &self,
        item: &SelectItem,
        options: &WildcardAdditionalOptions,
    ) -> Result<(), DbError> {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let more = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some();
        self.without(item, more, "* with an addition")
    }

    fn group_by(&mut self, group_by: &GroupByExpr) -> Result<(), DbError> {
        let GroupByExpr::Expressions(keys, modifiers) = group_by else {
            return self.refuse(group_by, "GROUP BY ALL");
        };
        self.without(group_by, !modifiers.is_empty(), "WITH behind GROUP BY")?;
        if keys.is_empty() {
            return Ok(());
        }
        self.out.token("GROUP BY");
        self.list(keys, Self::expr)
    }
}
