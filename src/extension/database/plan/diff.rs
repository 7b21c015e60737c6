//! The differences between two sets of tables.

use std::fmt;

use super::change::{Action, Change};
use super::conversion::{Conversion, conversion};
use super::pairs::{columns, enums, tables};
use crate::extension::database::ddl;
use crate::extension::database::model::{
    Column, ColumnType, Default, Enum, ForeignKey, Index, OnDelete, Table, TableSet,
};

/// Everything that makes the database of `to` another than that of `from`. Tables, columns and enums
/// are the same if they have the same name in the database, whatever they are declared as.
pub fn diff(from: &TableSet, to: &TableSet) -> Vec<Change> {
    let mut changes = Vec::new();
    let enums = enums(from, to);
    for one in enums.new {
        let description = format!("enum {} is created", one.name);
        changes.push(Change::new(Action::CreateEnum, None, description));
    }
    for (old, new) in enums.both {
        changes.extend(enum_change(old, new));
    }
    let tables = tables(from, to);
    for table in tables.new {
        let description = format!("table {} is created", table.name);
        changes.push(Change::new(Action::CreateTable, Some(table), description));
    }
    for (old, new) in tables.both {
        column_changes(from, to, old, new, &mut changes);
        changes.extend(key_change(old, new));
        index_changes(old, new, &mut changes);
    }
    for table in tables.gone {
        let description = format!("table {} is dropped, with its rows", table.name);
        changes.push(Change::new(Action::DropTable, Some(table), description).loses_data());
    }
    for one in enums.gone {
        let description = format!("enum {} is dropped", one.name);
        changes.push(Change::new(Action::DropEnum, None, description));
    }
    changes
}

fn enum_change(old: &Enum, new: &Enum) -> Option<Change> {
    if old.values == new.values {
        return None;
    }
    let beyond = |values: &[String], others: &[String]| {
        let list: Vec<String> =
            values.iter().filter(|v| !others.contains(v)).map(|v| format!("{v:?}")).collect();
        list.join(", ")
    };
    let gained = beyond(&new.values, &old.values);
    let lost = beyond(&old.values, &new.values);
    let mut parts = Vec::new();
    if !gained.is_empty() {
        parts.push(format!("gets {gained}"));
    }
    if !lost.is_empty() {
        parts.push(format!("no longer has {lost}"));
    }
    if parts.is_empty() {
        parts.push("has its values in another order".to_owned());
    }
    let description = format!("enum {} {}", new.name, parts.join(" and "));
    Some(Change::new(Action::ChangeEnum, None, description).additive_if(lost.is_empty()))
}

fn column_changes(
    from: &TableSet,
    to: &TableSet,
    old: &Table,
    new: &Table,
    changes: &mut Vec<Change>,
) {
    let columns = columns(old, new);
    for column in columns.new {
        let is_filled = column.default.is_some() || column.ty.is_serial();
        let additive = !column.not_null || is_filled;
        let what = if additive { "is added" } else { "is added: required and without a default" };
        let change = Change::of_column(Action::AddColumn, new, column, what);
        changes.push(change.additive_if(additive));
    }
    for (before, after) in columns.both {
        let alters = |what: &str| Change::of_column(Action::AlterColumn, new, after, what);
        let kind = conversion(before, after);
        if kind != Conversion::None {
            let what = format!("changes from {} to {}", typed(before), typed(after));
            let change = alters(&what).additive_if(kind == Conversion::Safe);
            changes.push(Change { possible: kind != Conversion::Impossible, ..change });
        }
        match (before.not_null, after.not_null) {
            (false, true) => changes.push(alters("becomes required").additive_if(false)),
            (true, false) => changes.push(alters("may be null")),
            _ => {}
        }
        if !ddl::is_same_default(before, after) {
            changes.push(alters(&match &after.default {
                None => "loses its default".to_owned(),
                Some(Default::Now) => "gets the current time as default".to_owned(),
                Some(Default::Random) => "gets a random UUID as default".to_owned(),
                Some(Default::Value(value)) => format!("gets the default {}", value.excerpt()),
            }));
        }
        match (old.has_unique(before), new.has_unique(after)) {
            (false, true) => changes.push(alters("becomes unique")),
            (true, false) => changes.push(alters("need not be unique")),
            _ => {}
        }
        let was = before.foreign_key.map(|key| Reference::of(from, old, key));
        let is = after.foreign_key.map(|key| Reference::of(to, new, key));
        match (was, is) {
            (Some(was), Some(is)) if was.is(&is) => {}
            (Some(was), Some(is)) => {
                changes.push(alters(&format!("refers to {is} instead of {was}")));
            }
            (None, Some(is)) => changes.push(alters(&format!("refers to {is}"))),
            (Some(was), None) => changes.push(alters(&format!("no longer refers to {was}"))),
            (None, None) => {}
        }
    }
    for column in columns.gone {
        let what = "is dropped, with its values";
        changes.push(Change::of_column(Action::DropColumn, new, column, what).loses_data());
    }
}

fn typed(column: &Column) -> String {
    match &column.ty {
        ColumnType::Enum(name) => format!("enum {name}"),
        ty => ty.name().to_owned(),
    }
}

/// Where a foreign key leads, and what happens on delete.
pub(super) struct Reference<'a> {
    table: &'a Table,
    column: &'a Column,
    on_delete: OnDelete,
}

impl<'a> Reference<'a> {
    pub(super) fn of(set: &'a TableSet, table: &Table, key: ForeignKey) -> Self {
        let (target, column) = set.target(key);
        Reference { table: target, column, on_delete: ddl::on_delete(set, table, key) }
    }

    /// Whether both are one in the database.
    pub(super) fn is(&self, other: &Reference<'_>) -> bool {
        self.table.physical == other.table.physical
            && self.column.physical == other.column.physical
            && self.on_delete == other.on_delete
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = OnDelete::NAMES.iter().find(|(_, action)| *action == self.on_delete);
        let name = name.map_or("", |(name, _)| name);
        write!(f, "{}.{} (onDelete {name})", self.table.name, self.column.name)
    }
}

fn key_change(old: &Table, new: &Table) -> Option<Change> {
    let (before, after) = (old.key_columns(), new.key_columns());
    if before == after {
        return None;
    }
    let listed = |columns: &[&str]| match columns {
        [] => "nothing".to_owned(),
        columns => format!("({})", columns.join(", ")),
    };
    let description = format!(
        "the primary key of table {} changes from {} to {}",
        new.name,
        listed(&before),
        listed(&after)
    );
    Some(Change::new(Action::ChangeKey, Some(new), description).additive_if(false))
}

fn index_changes(old: &Table, new: &Table, changes: &mut Vec<Change>) {
    let described = |table: &Table, index: &Index, what: &str| {
        let over: Vec<&str> = index.columns.iter().map(|i| &*table.columns[*i].name).collect();
        let unique = if index.unique { "unique " } else { "" };
        format!("the {unique}index of table {} on ({}) is {what}", table.name, over.join(", "))
    };
    for index in &new.indexes {
        if !old.indexes.iter().any(|other| is_same_index(new, index, old, other)) {
            let description = described(new, index, "created");
            changes.push(Change::new(Action::CreateIndex, Some(new), description));
        }
    }
    for index in &old.indexes {
        if !new.indexes.iter().any(|other| is_same_index(old, index, new, other)) {
            let description = described(old, index, "dropped");
            changes.push(Change::new(Action::DropIndex, Some(new), description));
        }
    }
}

/// Whether two indexes, each of its own table, are one in the database.
pub(super) fn is_same_index(
    table: &Table,
    index: &Index,
    other_table: &Table,
    other: &Index,
) -> bool {
    let over = |table: &Table, index: &Index| -> Vec<String> {
        index.columns.iter().map(|i| table.columns[*i].physical.clone()).collect()
    };
    index.physical == other.physical
        && index.unique == other.unique
        && over(table, index) == over(other_table, other)
}
