//! The statements that change tables in PostgreSQL.

use std::collections::BTreeSet;

use sea_query::extension::postgres::Type;
use sea_query::{
    ColumnDef, ColumnType as SqlType, Expr, PostgresQueryBuilder, Table as SqlTable,
    TableAlterStatement,
};

use super::conversion::{Conversion, conversion, converted};
use super::diff::{Reference, is_same_index};
use super::pairs::{Pairs, columns, enums, tables};
use crate::extension::database::ddl;
use crate::extension::database::model::{Column, Enum, ForeignKey, Index, Table, TableSet};
use crate::extension::database::names;
use crate::store::{DbError, Dialect, Statement};

const POSTGRES: Dialect = Dialect::Postgres;

/// Brings the database from one set to the other.
pub fn statements(from: &TableSet, to: &TableSet) -> Result<Vec<Statement>, DbError> {
    let change = Changing { from, to, tables: tables(from, to), enums: enums(from, to) };
    let mut out = Vec::new();
    // What depends on something goes before it and comes after it.
    change.drop_foreign_keys(&mut out);
    change.drop_tables(&mut out);
    change.drop_indexes_and_keys(&mut out);
    change.drop_columns(&mut out);
    change.create_enums(&mut out);
    change.create_tables(&mut out)?;
    for (old, new) in &change.tables.both {
        change.alter_columns(old, new, &mut out)?;
        change.add_columns(old, new, &mut out)?;
    }
    change.create_indexes_and_keys(&mut out);
    change.add_foreign_keys(&mut out);
    change.drop_enums(&mut out);
    Ok(out)
}

struct Changing<'a> {
    from: &'a TableSet,
    to: &'a TableSet,
    tables: Pairs<'a, Table>,
    enums: Pairs<'a, Enum>,
}

impl Changing<'_> {
    fn drop_foreign_keys(&self, out: &mut Vec<Statement>) {
        for (old, _) in &self.tables.both {
            for column in &old.columns {
                if let Some(key) = column.foreign_key
                    && !self.keeps_foreign_key(old, column, key)
                {
                    out.push(drop_constraint(old, old.foreign_key_constraint(column)));
                }
            }
        }
    }

    fn add_foreign_keys(&self, out: &mut Vec<Statement>) {
        for table in self.to.in_creation_order() {
            for column in &table.columns {
                let Some(key) = column.foreign_key else { continue };
                let old = self.from.physical(&table.physical).and_then(|old| {
                    let column = old.physical(&column.physical)?;
                    Some((old, column, column.foreign_key?))
                });
                if !old.is_some_and(|(old, column, key)| self.keeps_foreign_key(old, column, key)) {
                    out.push(ddl::add_foreign_key(self.to, table, column, key));
                }
            }
        }
    }

    /// Whether a foreign key of the old table can stay while the rest changes: neither end gets
    /// another type, and what makes the other end unique stays.
    fn keeps_foreign_key(&self, old: &Table, column: &Column, key: ForeignKey) -> bool {
        let Some(new) = self.to.physical(&old.physical) else { return false };
        let Some(after) = new.physical(&column.physical) else { return false };
        let Some(new_key) = after.foreign_key else { return false };
        let (target, target_column) = self.from.target(key);
        let (new_target, new_column) = self.to.target(new_key);
        Reference::of(self.from, old, key).is(&Reference::of(self.to, new, new_key))
            && !self.is_retyped(column, after)
            && !self.is_retyped(target_column, new_column)
            && uniques(target, target_column).is_subset(&uniques(new_target, new_column))
    }

    /// The rows go with them. Those that refer to others go first.
    fn drop_tables(&self, out: &mut Vec<Statement>) {
        for table in self.from.in_creation_order().rev() {
            if self.to.physical(&table.physical).is_none() {
                out.push(ddl::drop_table(POSTGRES, table));
            }
        }
    }

    fn drop_indexes_and_keys(&self, out: &mut Vec<Statement>) {
        for (old, new) in &self.tables.both {
            for index in &old.indexes {
                if !new.indexes.iter().any(|other| is_same_index(old, index, new, other)) {
                    out.push(ddl::drop_index(POSTGRES, index));
                }
            }
            for column in old.columns.iter().filter(|c| old.has_unique(c)) {
                if !is_unique_in(new, column) {
                    out.push(drop_constraint(old, old.unique_constraint(column)));
                }
            }
            if !old.key.is_empty() && old.key_columns() != new.key_columns() {
                out.push(drop_constraint(old, old.key_constraint()));
            }
        }
    }

    fn create_indexes_and_keys(&self, out: &mut Vec<Statement>) {
        for (old, new) in &self.tables.both {
            if !new.key.is_empty() && old.key_columns() != new.key_columns() {
                let over: Vec<String> =
                    new.key_columns().iter().map(|c| format!("\"{c}\"")).collect();
                let rule = format!("PRIMARY KEY ({})", over.join(", "));
                out.push(add_constraint(new, new.key_constraint(), &rule));
            }
            for column in new.columns.iter().filter(|c| new.has_unique(c)) {
                if !is_unique_in(old, column) {
                    let rule = format!("UNIQUE (\"{}\")", column.physical);
                    out.push(add_constraint(new, new.unique_constraint(column), &rule));
                }
            }
            for index in &new.indexes {
                if !old.indexes.iter().any(|other| is_same_index(new, index, old, other)) {
                    out.push(ddl::create_index(POSTGRES, new, index));
                }
            }
        }
        for table in &self.tables.new {
            out.extend(table.indexes.iter().map(|i| ddl::create_index(POSTGRES, table, i)));
        }
    }

    fn drop_columns(&self, out: &mut Vec<Statement>) {
        for (old, new) in &self.tables.both {
            for column in columns(old, new).gone {
                let drop = alter(new).drop_column(column.physical.clone()).to_owned();
                out.push(Statement::schema(POSTGRES, &drop));
            }
        }
    }

    fn add_columns(
        &self,
        old: &Table,
        new: &Table,
        out: &mut Vec<Statement>,
    ) -> Result<(), DbError> {
        for column in columns(old, new).new {
            let def = ddl::column_definition(POSTGRES, self.to, new, column)?;
            out.push(Statement::schema(POSTGRES, alter(new).add_column(def)));
        }
        Ok(())
    }

    fn create_tables(&self, out: &mut Vec<Statement>) -> Result<(), DbError> {
        for table in self.to.in_creation_order() {
            if self.from.physical(&table.physical).is_none() {
                out.push(ddl::create_table(POSTGRES, self.to, table)?);
            }
        }
        Ok(())
    }

    /// A value that ALTER TYPE adds cannot be used before the end of the transaction, so a changed
    /// enum becomes a new type, to which its columns are converted.
    fn create_enums(&self, out: &mut Vec<Statement>) {
        for (old, new) in &self.enums.both {
            if old.values != new.values {
                let rename =
                    Type::alter().name(old.physical.clone()).rename_to(temporary(&old.physical));
                out.push(Statement::schema_text(rename.to_string(PostgresQueryBuilder)));
                out.push(create_enum(new));
            }
        }
        out.extend(self.enums.new.iter().map(|new| create_enum(new)));
    }

    fn drop_enums(&self, out: &mut Vec<Statement>) {
        let changed = self.enums.both.iter().filter(|(old, new)| old.values != new.values);
        let replaced = changed.map(|(old, _)| temporary(&old.physical));
        for name in replaced.chain(self.enums.gone.iter().map(|old| old.physical.clone())) {
            let drop = Type::drop().name(name).if_exists().to_string(PostgresQueryBuilder);
            out.push(Statement::schema_text(drop));
        }
    }

    /// Whether a column that stays gets another type, be it one of the same name.
    fn is_retyped(&self, before: &Column, after: &Column) -> bool {
        match conversion(before, after) {
            Conversion::None => before.values != after.values,
            _ => ddl::column_type(POSTGRES, before) != ddl::column_type(POSTGRES, after),
        }
    }

    fn alter_columns(
        &self,
        old: &Table,
        new: &Table,
        out: &mut Vec<Statement>,
    ) -> Result<(), DbError> {
        let mut types = alter(new);
        let mut is_retyped = false;
        let (mut before_types, mut after_types) = (Vec::new(), Vec::new());
        for (before, after) in columns(old, new).both {
            let retyped = self.is_retyped(before, after);
            let same_default = ddl::is_same_default(before, after) && !retyped;
            let text = |what: &str| {
                let (table, column) = (&new.physical, &after.physical);
                Statement::schema_text(format!(
                    "ALTER TABLE \"{table}\" ALTER COLUMN \"{column}\" {what}"
                ))
            };
            if before.default.is_some() && !same_default {
                before_types.push(text("DROP DEFAULT"));
            }
            if before.ty.is_serial() && !after.ty.is_serial() {
                before_types.push(text("DROP IDENTITY"));
            }
            if retyped {
                let ty = SqlType::custom(ddl::column_type(POSTGRES, after));
                let mut def = ColumnDef::new_with_type(after.physical.clone(), ty);
                types.modify_column(def.using(Expr::cust(converted(POSTGRES, before, after))));
                is_retyped = true;
            }
            if let (Some(default), false) = (ddl::default(POSTGRES, new, after)?, same_default) {
                let mut def = ColumnDef::new(after.physical.clone());
                let set = alter(new).modify_column(def.default(default)).to_owned();
                after_types.push(Statement::schema(POSTGRES, &set));
            }
            match (before.not_null, after.not_null) {
                (false, true) => after_types.push(text("SET NOT NULL")),
                (true, false) => after_types.push(text("DROP NOT NULL")),
                _ => {}
            }
            if after.ty.is_serial() && !before.ty.is_serial() {
                after_types.push(text("ADD GENERATED BY DEFAULT AS IDENTITY"));
                after_types.push(numbered_on(new, after));
            }
        }
        out.extend(before_types);
        if is_retyped {
            out.push(Statement::schema(POSTGRES, &types));
        }
        out.extend(after_types);
        Ok(())
    }
}

/// The name that an enum's old type has until its columns have the new one. No plugin can have one
/// with a space.
fn temporary(physical: &str) -> String {
    names::bounded(format!("{physical} old"))
}

/// What makes a column unique.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Unique {
    Key,
    Constraint,
    /// With its name, which may be that of the constraint in another version.
    Index(String),
}

fn uniques(table: &Table, column: &Column) -> BTreeSet<Unique> {
    let over = |index: &Index| {
        let [only] = index.columns.as_slice() else { return false };
        index.unique && table.columns[*only].physical == column.physical
    };
    let indexes = table.indexes.iter().filter(|index| over(index));
    let mut found: BTreeSet<Unique> =
        indexes.map(|index| Unique::Index(index.physical.clone())).collect();
    if table.is_sole_key(column) {
        found.insert(Unique::Key);
    }
    if table.has_unique(column) {
        found.insert(Unique::Constraint);
    }
    found
}

fn is_unique_in(table: &Table, column: &Column) -> bool {
    table.physical(&column.physical).is_some_and(|column| table.has_unique(column))
}

fn alter(table: &Table) -> TableAlterStatement {
    SqlTable::alter().table(table.physical.clone()).to_owned()
}

fn drop_constraint(table: &Table, name: String) -> Statement {
    Statement::schema(POSTGRES, alter(table).drop_constraint(name))
}

fn add_constraint(table: &Table, name: String, rule: &str) -> Statement {
    let table = &table.physical;
    Statement::schema_text(format!("ALTER TABLE \"{table}\" ADD CONSTRAINT \"{name}\" {rule}"))
}

fn create_enum(one: &Enum) -> Statement {
    let create = Type::create()
        .as_enum(one.physical.clone())
        .values(one.values.iter().cloned())
        .to_string(PostgresQueryBuilder);
    Statement::schema_text(create)
}

/// Lets the numbers go on after the greatest that is there.
fn numbered_on(table: &Table, column: &Column) -> Statement {
    let (table, column) = (&table.physical, &column.physical);
    Statement::schema_text(format!(
        "SELECT setval(pg_get_serial_sequence('\"{table}\"', '{column}'), max(\"{column}\")) FROM \"{table}\" HAVING max(\"{column}\") > 0"
    ))
}

/// Renames a constraint.
pub fn rename_constraint(table: &Table, from: &str, to: &str) -> Statement {
    let table = &table.physical;
    Statement::schema_text(format!(
        "ALTER TABLE \"{table}\" RENAME CONSTRAINT \"{from}\" TO \"{to}\""
    ))
}
