//! The statements that change tables in SQLite, which can alter little: most changes replace the
//! table by a new one with the same rows.

use sea_query::{ColumnDef, Expr, Order, Query, SqliteQueryBuilder, Table as SqlTable};

use super::conversion::converted;
use super::diff::is_same_index;
use super::pairs::{columns, tables};
use crate::extension::database::ddl;
use crate::extension::database::model::{Column, Default, Table, TableSet};
use crate::store::{DbError, DbErrorKind, Dialect, Statement};

const SQLITE: Dialect = Dialect::Sqlite;

/// A table as it is, and as it is to be.
struct Pair<'a> {
    from: &'a TableSet,
    old: &'a Table,
    to: &'a TableSet,
    new: &'a Table,
}

/// Brings the database from one set to the other. Foreign keys are not looked at on the way.
pub fn statements(from: &TableSet, to: &TableSet) -> Result<Vec<Statement>, DbError> {
    let pairs = tables(from, to);
    let mut out = Vec::new();
    let mut create_indexes = Vec::new();
    // A name that goes may come back in another place, so all that goes is first.
    for (old, new) in &pairs.both {
        let stays = |index| new.indexes.iter().any(|other| is_same_index(old, index, new, other));
        let gone = old.indexes.iter().filter(|index| !stays(*index));
        out.extend(gone.map(|index| ddl::drop_index(SQLITE, index)));
    }
    for table in from.in_creation_order().rev() {
        if pairs.gone.iter().any(|gone| gone.physical == table.physical) {
            out.push(ddl::drop_table(SQLITE, table));
        }
    }
    for (old, new) in &pairs.both {
        let pair = Pair { from, old, to, new };
        match pair.in_place()? {
            Some(statements) => {
                out.extend(statements);
                let is_new =
                    |index| !old.indexes.iter().any(|other| is_same_index(new, index, old, other));
                let new_ones = new.indexes.iter().filter(|index| is_new(*index));
                create_indexes.extend(new_ones.map(|i| ddl::create_index(SQLITE, new, i)));
            }
            None => {
                out.extend(pair.rebuilt()?);
                create_indexes
                    .extend(new.indexes.iter().map(|i| ddl::create_index(SQLITE, new, i)));
            }
        }
    }
    for table in to.in_creation_order() {
        if pairs.new.iter().any(|new| new.physical == table.physical) {
            out.push(ddl::create_table(SQLITE, to, table)?);
            create_indexes
                .extend(table.indexes.iter().map(|i| ddl::create_index(SQLITE, table, i)));
        }
    }
    out.extend(create_indexes);
    Ok(out)
}

/// Writes a table anew with the constraints that `table` has, after a column or the table itself was
/// renamed: SQLite leaves the names of checks as they are, and errors are told by them.
pub fn renewed(set: &TableSet, table: &Table) -> Result<Vec<Statement>, DbError> {
    let mut out = Pair { from: set, old: table, to: set, new: table }.rebuilt()?;
    out.extend(table.indexes.iter().map(|index| ddl::create_index(SQLITE, table, index)));
    Ok(out)
}

/// The name that a table has while it is written anew. No plugin can have one with a space.
pub fn temporary(physical: &str) -> String {
    format!("{physical} new")
}

impl Pair<'_> {
    /// The statements that change the table as it is; `None` if it has to be written anew.
    fn in_place(&self) -> Result<Option<Vec<Statement>>, DbError> {
        let (old, new) = (self.old, self.new);
        if old.key_columns() != new.key_columns() {
            return Ok(None);
        }
        let columns = columns(old, new);
        for (before, after) in columns.both {
            let before = definition(self.from, old, before)?;
            if before.1 != definition(self.to, new, after)?.1 {
                return Ok(None);
            }
        }
        if columns.gone.iter().any(|column| old.has_unique(column))
            || columns.new.iter().any(|column| !can_be_added(new, column))
        {
            return Ok(None);
        }
        let mut out = Vec::new();
        let alter = || SqlTable::alter().table(new.physical.clone()).to_owned();
        for column in columns.gone {
            let drop = alter().drop_column(column.physical.clone()).to_owned();
            out.push(Statement::schema(SQLITE, &drop));
        }
        for column in columns.new {
            let add = alter().add_column(definition(self.to, new, column)?.0).to_owned();
            // With foreign keys a column that refers to another could have no default.
            out.push(Statement::schema(SQLITE, &add).without_foreign_keys());
        }
        Ok(Some(out))
    }

    /// The statements that write the table anew, without its indexes.
    fn rebuilt(&self) -> Result<Vec<Statement>, DbError> {
        let physical = &self.new.physical;
        let temporary = temporary(physical);
        let mut out = vec![ddl::create_table_as(&temporary, SQLITE, self.to, self.new)?];
        let mut select = Query::select();
        select.from(physical.clone()).order_by("rowid", Order::Asc);
        let mut into = Vec::new();
        // What is not named gets its default, each row its own.
        for (before, after) in columns(self.old, self.new).both {
            into.push(after.physical.clone());
            select.expr(Expr::cust(converted(SQLITE, before, after)));
        }
        if let ([], Some(first)) = (into.as_slice(), self.new.columns.first()) {
            into.push(first.physical.clone());
            let default = ddl::default(SQLITE, self.new, first)?;
            select.expr(default.unwrap_or_else(|| Expr::cust("NULL")));
        }
        let insert = Query::insert()
            .into_table(temporary.clone())
            .columns(into)
            .select_from(select)
            .map_err(|e| DbError::new(DbErrorKind::Internal, e.to_string()))?
            .to_string(SqliteQueryBuilder);
        out.push(Statement::schema_text(insert));
        let numbered = |table: &Table| table.columns.iter().any(|c| c.ty.is_serial());
        if numbered(self.old) && numbered(self.new) {
            // Or the numbers of rows that were deleted would be given again.
            out.push(Statement::schema_text(format!(
                "DELETE FROM sqlite_sequence WHERE name = '{temporary}'"
            )));
            out.push(Statement::schema_text(format!(
                "INSERT INTO sqlite_sequence (name, seq) SELECT '{temporary}', seq FROM sqlite_sequence WHERE name = '{physical}'"
            )));
        }
        out.push(ddl::drop_table(SQLITE, self.old));
        let rename = SqlTable::rename().table(temporary, physical.clone()).to_owned();
        out.push(Statement::schema(SQLITE, &rename));
        Ok(out.into_iter().map(Statement::without_foreign_keys).collect())
    }
}

/// A column's definition, and its text.
fn definition(
    set: &TableSet,
    table: &Table,
    column: &Column,
) -> Result<(ColumnDef, String), DbError> {
    let def = ddl::column_definition(SQLITE, set, table, column)?;
    let add = SqlTable::alter().table(table.physical.clone()).add_column(def.clone()).to_owned();
    Ok((def, add.build(SqliteQueryBuilder)))
}

/// Whether ADD COLUMN takes it. It gives existing rows the default as it is written, so that must be
/// a constant.
fn can_be_added(table: &Table, column: &Column) -> bool {
    let is_constant = matches!(column.default, None | Some(Default::Value(_)));
    let is_required = column.not_null && column.default.is_none();
    is_constant && !is_required && !column.primary_key && !table.has_unique(column)
}
