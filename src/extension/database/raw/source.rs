//! What is behind FROM: tables, subqueries, functions and joins.

use sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableFunctionArgs,
    TableWithJoins,
};

use super::checker::Checker;
use super::place::Place;
use crate::store::DbError;

impl Checker<'_> {
    pub(super) fn table_with_joins(&mut self, table: &TableWithJoins) -> Result<(), DbError> {
        let TableWithJoins { relation, joins } = table;
        self.table_factor(relation)?;
        for join in joins {
            self.join(join)?;
        }
        Ok(())
    }

    fn table_factor(&mut self, factor: &TableFactor) -> Result<(), DbError> {
        match factor {
            TableFactor::Table { args: None, .. } => {
                let (name, alias) = self.plain_table(factor)?;
                self.readable_table(name)?;
                self.table_alias(alias)
            }
            TableFactor::Table {
                name,
                alias,
                args: Some(TableFunctionArgs { args, settings }),
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_directives,
                inheritance,
            } => {
                let more = settings.is_some()
                    || !with_hints.is_empty()
                    || version.is_some()
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || sample.is_some()
                    || !index_directives.is_empty()
                    || inheritance.is_some();
                self.without(name, more, "an addition to a function in FROM")?;
                self.table_function(name, args)?;
                self.ordinality(factor, *with_ordinality)?;
                self.table_alias(alias.as_ref())
            }
            TableFactor::Function { lateral, name, args, with_ordinality, alias } => {
                self.lateral(factor, *lateral)?;
                self.table_function(name, args)?;
                self.ordinality(factor, *with_ordinality)?;
                self.table_alias(alias.as_ref())
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality,
            } => {
                self.postgres_only(factor, "UNNEST; use json_each")?;
                let offset = *with_offset || with_offset_alias.is_some();
                self.without(factor, offset, "WITH OFFSET")?;
                self.out.token("unnest(");
                self.list(array_exprs, Self::expr)?;
                self.out.tight(")");
                self.ordinality(factor, *with_ordinality)?;
                self.table_alias(alias.as_ref())
            }
            TableFactor::Derived { lateral, subquery, alias, sample } => {
                self.without(factor, sample.is_some(), "TABLESAMPLE")?;
                self.lateral(factor, *lateral)?;
                self.subquery(subquery)?;
                self.table_alias(alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.out.token("(");
                self.table_with_joins(table_with_joins)?;
                self.out.tight(")");
                self.table_alias(alias.as_ref())
            }
            TableFactor::TableFunction { .. } => self.refuse(factor, "TABLE(…)"),
            TableFactor::JsonTable { .. } => self.refuse(factor, "JSON_TABLE"),
            TableFactor::OpenJsonTable { .. } => self.refuse(factor, "OPENJSON"),
            TableFactor::XmlTable { .. } => self.refuse(factor, "XMLTABLE"),
            TableFactor::Pivot { .. } => self.refuse(factor, "PIVOT"),
            TableFactor::Unpivot { .. } | TableFactor::UnpivotExpr { .. } => {
                self.refuse(factor, "UNPIVOT")
            }
            TableFactor::MatchRecognize { .. } => self.refuse(factor, "MATCH_RECOGNIZE"),
            TableFactor::SemanticView { .. } => self.refuse(factor, "SEMANTIC_VIEW"),
        }
    }

    /// The name and alias of a table that has nothing else.
    fn plain_table<'t>(
        &self,
        factor: &'t TableFactor,
    ) -> Result<(&'t ObjectName, Option<&'t TableAlias>), DbError> {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_directives,
            inheritance,
        } = factor
        else {
            return Err(self.error(factor, "expected a table"));
        };
        let refused = [
            (args.is_some(), "a function in place of a table"),
            (!with_hints.is_empty(), "WITH behind a table"),
            (version.is_some(), "an earlier version of a table"),
            (*with_ordinality, "WITH ORDINALITY behind a table"),
            (!partitions.is_empty(), "PARTITION"),
            (json_path.is_some(), "a path behind a table"),
            (sample.is_some(), "TABLESAMPLE"),
            (!index_directives.is_empty(), "INDEXED"),
            (inheritance.is_some(), "ONLY or * at a table"),
        ];
        for (present, what) in refused {
            self.without(name, present, what)?;
        }
        Ok((name, alias.as_ref()))
    }

    /// The table that a statement changes.
    pub(super) fn target(&mut self, table: &TableWithJoins) -> Result<(), DbError> {
        let TableWithJoins { relation, joins } = table;
        if let Some(join) = joins.first() {
            return Err(
                self.error(join, "expected one table; write further ones behind FROM or USING")
            );
        }
        let (name, alias) = self.plain_table(relation)?;
        self.own_table(name)?;
        self.table_alias(alias)
    }

    fn table_alias(&mut self, alias: Option<&TableAlias>) -> Result<(), DbError> {
        let Some(alias) = alias else { return Ok(()) };
        self.out.token("AS");
        self.alias_with_columns(alias)
    }

    fn lateral(&mut self, node: &impl Place, lateral: bool) -> Result<(), DbError> {
        if lateral {
            self.postgres_only(node, "LATERAL")?;
            self.out.token("LATERAL");
        }
        Ok(())
    }

    fn ordinality(&mut self, node: &impl Place, ordinality: bool) -> Result<(), DbError> {
        if ordinality {
            self.postgres_only(node, "WITH ORDINALITY")?;
            self.out.token("WITH ORDINALITY");
        }
        Ok(())
    }

    fn join(&mut self, join: &Join) -> Result<(), DbError> {
        let Join { relation, global, join_operator } = join;
        self.without(join, *global, "GLOBAL")?;
        use JoinOperator as J;
        let (kind, constraint) = match join_operator {
            J::Join(constraint) => ("JOIN", constraint),
            J::Inner(constraint) => ("INNER JOIN", constraint),
            J::Left(constraint) => ("LEFT JOIN", constraint),
            J::LeftOuter(constraint) => ("LEFT OUTER JOIN", constraint),
            J::Right(constraint) => ("RIGHT JOIN", constraint),
            J::RightOuter(constraint) => ("RIGHT OUTER JOIN", constraint),
            J::FullOuter(constraint) => ("FULL JOIN", constraint),
            J::CrossJoin(constraint) => ("CROSS JOIN", constraint),
            _ => return self.refuse(join, "this kind of join"),
        };
        if *constraint == JoinConstraint::Natural {
            self.out.token("NATURAL");
        }
        self.out.token(kind);
        self.table_factor(relation)?;
        match constraint {
            JoinConstraint::Natural | JoinConstraint::None => Ok(()),
            JoinConstraint::On(condition) => self.condition("ON", Some(condition)),
            JoinConstraint::Using(columns) => {
                self.out.token("USING");
                self.parenthesized(columns, Self::bare_column)
            }
            JoinConstraint::UsingAlias(..) => self.refuse(join, "an alias behind USING"),
        }
    }
}
