//! What a migration does to the tables themselves.

use std::collections::BTreeSet;

use sea_query::Table as SqlTable;

use super::expand::resolves;
use super::pairs::{columns, tables};
use super::{postgres, sqlite, statements};
use crate::extension::database::ddl;
use crate::extension::database::model::{Column, ForeignKey, RelationDef, Table, TableSet};
use crate::extension::database::names::{self, hint, quoted};
use crate::store::{DbError, Dialect, Statement};

/// A change to the tables themselves. Tables are called as they are declared, columns as they are in
/// the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Structural {
    RenameColumn { table: String, from: String, to: String },
    DropColumn { table: String, column: String },
    DropTable { table: String },
    RenameTable { table: String, to: String },
}

/// The tables of a plugin in the course of an upgrade: what is in the database, and what of it was
/// added for the new version and so holds nothing of the old one.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolving {
    set: TableSet,
    /// In the database.
    added_tables: BTreeSet<String>,
    /// Table and column, in the database.
    added_columns: BTreeSet<(String, String)>,
}

impl Evolving {
    /// After the tables were expanded, and before the first migration.
    pub fn new(from: &TableSet, expanded: TableSet) -> Self {
        let pairs = tables(from, &expanded);
        let added_tables = pairs.new.iter().map(|table| table.physical.clone()).collect();
        let mut added_columns = BTreeSet::new();
        for (old, new) in pairs.both {
            for column in columns(old, new).new {
                added_columns.insert((new.physical.clone(), column.physical.clone()));
            }
        }
        Evolving { set: expanded, added_tables, added_columns }
    }

    /// What is in the database.
    pub fn set(&self) -> &TableSet {
        &self.set
    }

    /// Makes a change, and gives the statements that make it in the database. What takes the name of
    /// a table or column that was added for the new version takes its place: that one is dropped.
    ///
    /// # Errors
    /// `invalid` when there is no such table or column, when the new name is not one or is taken, or
    /// when a primary key would be dropped. Then nothing has changed.
    pub fn apply(
        &mut self,
        dialect: Dialect,
        change: &Structural,
    ) -> Result<Vec<Statement>, DbError> {
        let mut next = self.clone();
        let statements = match change {
            Structural::DropTable { table } => next.drop_table(dialect, table),
            Structural::DropColumn { table, column } => next.drop_column(dialect, table, column),
            Structural::RenameTable { table, to } => next.rename_table(dialect, table, to),
            Structural::RenameColumn { table, from, to } => {
                next.rename_column(dialect, table, from, to)
            }
        }?;
        *self = next;
        Ok(statements)
    }

    fn drop_table(&mut self, dialect: Dialect, table: &str) -> Result<Vec<Statement>, DbError> {
        let index = self.table(table)?;
        self.replace(dialect, without_table(&self.set, index))
    }

    fn drop_column(
        &mut self,
        dialect: Dialect,
        table: &str,
        column: &str,
    ) -> Result<Vec<Statement>, DbError> {
        let t = self.table(table)?;
        let c = self.column(t, column)?;
        if self.set.tables[t].key.contains(&c) {
            return Err(DbError::invalid(format!(
                "{table}.{column} is part of the primary key, which cannot be dropped here; leave the \
                 column out of the declaration"
            )));
        }
        if self.set.tables[t].columns.len() == 1 {
            return Err(DbError::invalid(format!(
                "{table}.{column} is the only column of its table; drop the table instead"
            )));
        }
        self.replace(dialect, without_column(&self.set, t, c))
    }

    fn rename_column(
        &mut self,
        dialect: Dialect,
        table: &str,
        from: &str,
        to: &str,
    ) -> Result<Vec<Statement>, DbError> {
        let t = self.table(table)?;
        self.column(t, from)?;
        if !names::is_valid(to) || names::snake_case(to) != to {
            return Err(DbError::invalid(format!(
                "column {}: a name in the database is a letter, then letters, digits and underscores, \
                 all lower-case, at most {} in all",
                quoted(to),
                names::MAX_LENGTH
            )));
        }
        let physical = self.set.tables[t].physical.clone();
        let mut out = Vec::new();
        let mut name = to.to_owned();
        if let Some(taken) = self.set.tables[t].physical(to) {
            if !self.added_columns.contains(&(physical.clone(), to.to_owned())) {
                return Err(DbError::invalid(format!("table {table} has a column {to} already")));
            }
            name.clone_from(&taken.name);
            let c = self.column(t, to)?;
            out.extend(self.replace(dialect, without_column(&self.set, t, c))?);
        }
        let c = self.column(t, from)?;
        let old = self.set.tables[t].clone();
        let column = &mut self.set.tables[t].columns[c];
        column.physical = to.to_owned();
        column.name = name;
        if self.added_columns.remove(&(physical.clone(), from.to_owned())) {
            self.added_columns.insert((physical.clone(), to.to_owned()));
        }
        self.set.relations = resolved(&self.set);
        let rename = SqlTable::alter()
            .table(physical)
            .rename_column(from.to_owned(), to.to_owned())
            .to_owned();
        out.push(Statement::schema(dialect, &rename));
        out.extend(renamed(dialect, &self.set, &old, &self.set.tables[t])?);
        Ok(out)
    }

    fn rename_table(
        &mut self,
        dialect: Dialect,
        table: &str,
        to: &str,
    ) -> Result<Vec<Statement>, DbError> {
        self.table(table)?;
        if !names::is_valid(to) {
            return Err(DbError::invalid(format!(
                "table {}: a name is a letter, then letters, digits and underscores, at most {} in all",
                quoted(to),
                names::MAX_LENGTH
            )));
        }
        let physical = names::physical_table(&self.set.plugin_id, to);
        let mut out = Vec::new();
        if let Some(taken) = self.set.tables.iter().position(|t| t.physical == physical) {
            if !self.added_tables.contains(&physical) {
                return Err(DbError::invalid(format!("there is a table {to} already")));
            }
            out.extend(self.replace(dialect, without_table(&self.set, taken))?);
        }
        let t = self.table(table)?;
        let old = self.set.tables[t].clone();
        let new = &mut self.set.tables[t];
        new.name = to.to_owned();
        new.physical.clone_from(&physical);
        if self.added_tables.remove(&old.physical) {
            self.added_tables.insert(physical.clone());
        }
        let of_old = |(table, column): (String, String)| {
            let table = if table == old.physical { physical.clone() } else { table };
            (table, column)
        };
        self.added_columns =
            std::mem::take(&mut self.added_columns).into_iter().map(of_old).collect();
        self.set.relations = resolved(&self.set);
        let rename = SqlTable::rename().table(old.physical.clone(), physical).to_owned();
        out.push(Statement::schema(dialect, &rename));
        out.extend(renamed(dialect, &self.set, &old, &self.set.tables[t])?);
        Ok(out)
    }

    /// Goes over to a set that has less.
    fn replace(&mut self, dialect: Dialect, to: TableSet) -> Result<Vec<Statement>, DbError> {
        let statements = statements(dialect, &self.set, &to)?;
        self.added_tables.retain(|physical| to.physical(physical).is_some());
        self.added_columns.retain(|(table, column)| {
            to.physical(table).is_some_and(|table| table.physical(column).is_some())
        });
        self.set = to;
        Ok(statements)
    }

    fn table(&self, name: &str) -> Result<usize, DbError> {
        let tables = &self.set.tables;
        tables.iter().position(|t| t.name == name).ok_or_else(|| {
            let hint = hint(name, tables.iter().map(|t| t.name.as_str()));
            DbError::invalid(format!("there is no table {}{hint}", quoted(name)))
        })
    }

    fn column(&self, table: usize, physical: &str) -> Result<usize, DbError> {
        let table = &self.set.tables[table];
        table.columns.iter().position(|c| c.physical == physical).ok_or_else(|| {
            let hint = hint(physical, table.columns.iter().map(|c| c.physical.as_str()));
            let column = quoted(physical);
            DbError::invalid(format!(
                "table {} has no column {column} in the database{hint}",
                table.name
            ))
        })
    }
}

/// What has the name of its table or column has to follow when one of them is renamed.
fn renamed(
    dialect: Dialect,
    set: &TableSet,
    old: &Table,
    new: &Table,
) -> Result<Vec<Statement>, DbError> {
    if dialect == Dialect::Sqlite {
        let is_renamed = |before: &Column, after: &Column| {
            old.physical != new.physical || before.physical != after.physical
        };
        let mut columns = old.columns.iter().zip(&new.columns);
        let has_wrong_name =
            columns.any(|(before, after)| is_renamed(before, after) && ddl::has_check(after));
        return if has_wrong_name { sqlite::renewed(set, new) } else { Ok(Vec::new()) };
    }
    let mut names = Vec::new();
    if !old.key.is_empty() {
        names.push((old.key_constraint(), new.key_constraint()));
    }
    for (before, after) in old.columns.iter().zip(&new.columns) {
        if old.has_unique(before) {
            names.push((old.unique_constraint(before), new.unique_constraint(after)));
        }
        if before.foreign_key.is_some() {
            names.push((old.foreign_key_constraint(before), new.foreign_key_constraint(after)));
        }
    }
    names.retain(|(before, after)| before != after);
    Ok(names.iter().map(|(old, to)| postgres::rename_constraint(new, old, to)).collect())
}

/// The set without one of its tables, and without references to it.
fn without_table(set: &TableSet, gone: usize) -> TableSet {
    let place = |index: usize| if index > gone { index - 1 } else { index };
    let mut set = set.clone();
    set.tables.remove(gone);
    set.creation_order = without(&set.creation_order, gone);
    for column in set.tables.iter_mut().flat_map(|table| &mut table.columns) {
        let key = column.foreign_key.filter(|key| key.table != gone);
        column.foreign_key = key.map(|key| ForeignKey { table: place(key.table), ..key });
    }
    set.relations = resolved(&set);
    set
}

/// The set without a column, and without the indexes and references that it is part of.
fn without_column(set: &TableSet, t: usize, gone: usize) -> TableSet {
    let mut set = set.clone();
    let table = &mut set.tables[t];
    table.columns.remove(gone);
    table.indexes.retain(|index| !index.columns.contains(&gone));
    for index in &mut table.indexes {
        index.columns = without(&index.columns, gone);
    }
    table.key = without(&table.key, gone);
    for column in set.tables.iter_mut().flat_map(|table| &mut table.columns) {
        follow(column, t, gone);
    }
    set.relations = resolved(&set);
    set
}

fn follow(column: &mut Column, table: usize, gone: usize) {
    let Some(key) = &mut column.foreign_key else { return };
    if key.table != table {
        return;
    }
    match key.column.cmp(&gone) {
        std::cmp::Ordering::Less => {}
        std::cmp::Ordering::Equal => column.foreign_key = None,
        std::cmp::Ordering::Greater => key.column -= 1,
    }
}

/// Places in a list from which one thing was taken.
fn without(places: &[usize], gone: usize) -> Vec<usize> {
    let left = places.iter().filter(|place| **place != gone);
    left.map(|place| if *place > gone { place - 1 } else { *place }).collect()
}

fn resolved(set: &TableSet) -> Vec<RelationDef> {
    set.relations.iter().filter(|relation| resolves(set, relation)).cloned().collect()
}
