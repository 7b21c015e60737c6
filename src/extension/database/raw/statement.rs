//! Whole statements.

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Delete, DoUpdate, FromTable, Insert,
    InsertOverriding, OnConflict, OnConflictAction, OnInsert, SelectItem, SqliteOnConflict,
    Statement, TableAliasWithoutColumns, TableObject, Update, UpdateTableFromKind,
};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::super::names;
use super::checker::Checker;
use super::query::Position;
use super::{Purpose, START, cut, invalid};
use crate::store::{DbError, Dialect};

/// What is said about changes to tables that the host makes by itself.
pub(super) const DECLARE_IT: &str =
    "declare it in the plugin's tables: the upgrade adds it by itself";

/// Refuses by its first word what is not a statement for this purpose: a better message than what
/// the parser makes of a statement that it does not know.
pub(super) fn check_kind(
    dialect: Dialect,
    tokens: &[TokenWithSpan],
    purpose: Purpose,
) -> Result<(), DbError> {
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    let Some(TokenWithSpan { token, span }) = first else {
        return Err(invalid(START, "expected a statement, found nothing"));
    };
    let Token::Word(word) = token else {
        if *token == Token::LParen {
            return Ok(());
        }
        let found = cut(&token.to_string());
        return Err(invalid(span.start, format!("expected a statement, found {found}")));
    };
    let word = word.to_string().to_ascii_uppercase();
    match (word.as_str(), purpose) {
        ("SELECT" | "VALUES" | "WITH" | "INSERT" | "UPDATE" | "DELETE", _) => Ok(()),
        ("REPLACE", _) if dialect == Dialect::Sqlite => Ok(()),
        ("ALTER" | "DROP", Purpose::Migration) => Ok(()),
        ("CREATE", Purpose::Migration) => Err(invalid(span.start, DECLARE_IT)),
        ("ALTER" | "CREATE" | "DROP", Purpose::Call) => {
            let message = format!(
                "{word} is not allowed here: tables are declared, and changed in migrations"
            );
            Err(invalid(span.start, message))
        }
        _ => {
            let message = format!(
                "expected SELECT, INSERT, UPDATE or DELETE, found {}",
                names::quoted(&word)
            );
            Err(invalid(span.start, message))
        }
    }
}

impl Checker<'_> {
    /// Writes a statement and says whether it gives rows.
    pub(super) fn statement(&mut self, statement: &Statement) -> Result<bool, DbError> {
        match statement {
            Statement::Query(query) => self.query(query, Position::Statement),
            other => self.change_rows(other),
        }
    }

    /// Writes an INSERT, UPDATE or DELETE and says whether it gives rows.
    pub(super) fn change_rows(&mut self, statement: &Statement) -> Result<bool, DbError> {
        self.writes = true;
        let returning = match statement {
            Statement::Insert(insert) => {
                self.insert(insert)?;
                &insert.returning
            }
            Statement::Update(update) => {
                self.update(update)?;
                &update.returning
            }
            Statement::Delete(delete) => {
                self.delete(delete)?;
                &delete.returning
            }
            other => return self.refuse(other, "this statement"),
        };
        self.returning(returning.as_deref())
    }

    fn returning(&mut self, items: Option<&[SelectItem]>) -> Result<bool, DbError> {
        let Some(items) = items else { return Ok(false) };
        self.out.token("RETURNING");
        self.list(items, Self::select_item)?;
        Ok(true)
    }

    fn insert(&mut self, insert: &Insert) -> Result<(), DbError> {
        let Insert {
            insert_token,
            optimizer_hints: _,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns,
            by_name,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            overriding,
            has_table_keyword,
            on,
            returning: _,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        self.pass(insert_token);
        let refused = [
            (*ignore, "INSERT IGNORE"),
            (*by_name, "BY NAME"),
            (*overwrite, "OVERWRITE"),
            (!assignments.is_empty(), "INSERT … SET"),
            (partitioned.is_some(), "PARTITION"),
            (!after_columns.is_empty(), "a second list of columns"),
            (*has_table_keyword, "INSERT INTO TABLE"),
            (output.is_some(), "OUTPUT"),
            (*replace_into, "this form of REPLACE"),
            (priority.is_some(), "a priority"),
            (insert_alias.is_some(), "an alias for the new row"),
            (settings.is_some(), "SETTINGS"),
            (format_clause.is_some(), "FORMAT"),
            (multi_table_insert_type.is_some(), "INSERT into several tables"),
            (!multi_table_into_clauses.is_empty(), "INSERT into several tables"),
            (!multi_table_when_clauses.is_empty(), "INSERT into several tables"),
            (multi_table_else_clause.is_some(), "INSERT into several tables"),
        ];
        for (present, what) in refused {
            self.without(insert_token, present, what)?;
        }
        self.out.token("INSERT");
        self.conflict(*or)?;
        self.out.token("INTO");
        let TableObject::TableName(table) = table else {
            return self.refuse(insert_token, "INSERT into something else than a table");
        };
        self.own_table(table)?;
        if let Some(TableAliasWithoutColumns { explicit: _, alias }) = table_alias {
            self.out.token("AS");
            self.alias(alias)?;
        }
        if !columns.is_empty() {
            self.parenthesized(columns, Self::bare_column)?;
        }
        match overriding {
            None => {}
            Some(InsertOverriding::System) => self.out.token("OVERRIDING SYSTEM VALUE"),
            Some(InsertOverriding::User) => self.out.token("OVERRIDING USER VALUE"),
        }
        match source {
            None => self.out.token("DEFAULT VALUES"),
            Some(query) => {
                self.query(query, Position::Inner)?;
            }
        }
        match on {
            None => Ok(()),
            Some(OnInsert::OnConflict(on)) => self.on_conflict(on),
            Some(_) => self.refuse(insert_token, "ON DUPLICATE KEY"),
        }
    }

    /// SQLite's `OR …`. ROLLBACK would end the transaction that the statement is in, and FAIL would
    /// leave half of what it did.
    fn conflict(&mut self, or: Option<SqliteOnConflict>) -> Result<(), DbError> {
        let text = match or {
            None => return Ok(()),
            Some(SqliteOnConflict::Abort) => "OR ABORT",
            Some(SqliteOnConflict::Ignore) => "OR IGNORE",
            Some(SqliteOnConflict::Replace) => "OR REPLACE",
            Some(SqliteOnConflict::Rollback | SqliteOnConflict::Fail) => {
                return Err(
                    self.error(&self.at(), "OR ROLLBACK and OR FAIL are not allowed in raw SQL")
                );
            }
        };
        self.sqlite_only(&self.at(), "OR IGNORE, OR REPLACE and the like; use ON CONFLICT")?;
        self.out.token(text);
        Ok(())
    }

    fn on_conflict(&mut self, on: &OnConflict) -> Result<(), DbError> {
        let OnConflict { conflict_target, action } = on;
        self.out.token("ON CONFLICT");
        match conflict_target {
            None => {}
            Some(ConflictTarget::Columns { columns, predicate }) => {
                self.parenthesized(columns, Self::column)?;
                self.condition("WHERE", predicate.as_ref())?;
            }
            Some(ConflictTarget::OnConstraint(name)) => {
                self.postgres_only(name, "ON CONSTRAINT; name the columns")?;
                let ident = self.single(name, "constraint")?;
                self.out.token("ON CONSTRAINT");
                self.alias(&ident)?;
            }
        }
        match action {
            OnConflictAction::DoNothing => {
                self.out.token("DO NOTHING");
                Ok(())
            }
            OnConflictAction::DoUpdate(DoUpdate { assignments, selection }) => {
                self.out.token("DO UPDATE SET");
                self.list(assignments, Self::assignment)?;
                self.condition("WHERE", selection.as_ref())
            }
        }
    }

    fn assignment(&mut self, assignment: &Assignment) -> Result<(), DbError> {
        let Assignment { target, value } = assignment;
        match target {
            AssignmentTarget::ColumnName(column) => self.bare_column(column)?,
            AssignmentTarget::Tuple(columns) => self.parenthesized(columns, Self::bare_column)?,
        }
        self.out.token("=");
        self.expr(value)
    }

    fn update(&mut self, update: &Update) -> Result<(), DbError> {
        let Update {
            update_token,
            optimizer_hints: _,
            table,
            on_cluster,
            assignments,
            from,
            selection,
            returning: _,
            output,
            or,
            order_by,
            limit,
            settings,
        } = update;
        self.pass(update_token);
        let refused = [
            (on_cluster.is_some(), "ON CLUSTER"),
            (output.is_some(), "OUTPUT"),
            (!order_by.is_empty(), "ORDER BY in UPDATE"),
            (limit.is_some(), "LIMIT in UPDATE"),
            (settings.is_some(), "SETTINGS"),
        ];
        for (present, what) in refused {
            self.without(update_token, present, what)?;
        }
        self.out.token("UPDATE");
        self.conflict(*or)?;
        self.target(table)?;
        self.out.token("SET");
        self.list(assignments, Self::assignment)?;
        match from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(tables)) => {
                self.out.token("FROM");
                self.list(tables, Self::table_with_joins)?;
            }
            Some(UpdateTableFromKind::BeforeSet(_)) => {
                return Err(self.error(update_token, "write FROM behind SET"));
            }
        }
        self.condition("WHERE", selection.as_ref())
    }

    fn delete(&mut self, delete: &Delete) -> Result<(), DbError> {
        let Delete {
            delete_token,
            optimizer_hints: _,
            tables,
            from,
            on_cluster,
            using,
            selection,
            returning: _,
            output,
            order_by,
            limit,
            settings,
        } = delete;
        self.pass(delete_token);
        let refused = [
            (!tables.is_empty(), "a table before FROM"),
            (on_cluster.is_some(), "ON CLUSTER"),
            (output.is_some(), "OUTPUT"),
            (!order_by.is_empty(), "ORDER BY in DELETE"),
            (limit.is_some(), "LIMIT in DELETE"),
            (settings.is_some(), "SETTINGS"),
        ];
        for (present, what) in refused {
            self.without(delete_token, present, what)?;
        }
        let FromTable::WithFromKeyword(from) = from else {
            return Err(self.error(delete_token, "expected FROM behind DELETE"));
        };
        let [table] = from.as_slice() else {
            return self.refuse(delete_token, "DELETE from several tables");
        };
        self.out.token("DELETE FROM");
        self.target(table)?;
        if let Some(using) = using {
            self.postgres_only(delete_token, "USING in DELETE; use WHERE … IN (SELECT …)")?;
            self.out.token("USING");
            self.list(using, Self::table_with_joins)?;
        }
        self.condition("WHERE", selection.as_ref())
    }
}
