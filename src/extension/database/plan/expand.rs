//! The tables that migrations see: the old ones, and what is new beside them.

use super::pairs::{columns, enums, tables};
use crate::extension::database::model::{
    Column, ColumnType, Enum, ForeignKey, RelationDef, Table, TableSet,
};
use crate::extension::database::references::stored_type;

/// Everything of `from`, and what `to` has beyond it in a form that breaks no row and that the old
/// rows can be moved into: new columns may be null, rules on columns that exist come later. What is
/// in both is called as in `to`, and is otherwise as in `from`.
pub fn expanded(from: &TableSet, to: &TableSet) -> TableSet {
    let mut set = from.clone();
    set.enums = united(from, to);
    let pairs = tables(from, to);
    for (old, new) in pairs.both {
        // Tables and columns are only added behind those that exist, so that all places stay.
        let Some(table) = set.tables.iter_mut().find(|t| t.physical == old.physical) else {
            continue;
        };
        table.name.clone_from(&new.name);
        let columns = columns(old, new);
        for (before, after) in columns.both {
            let column = table.columns.iter_mut().find(|c| c.physical == before.physical);
            if let Some(column) = column {
                column.name.clone_from(&after.name);
            }
        }
        table.columns.extend(columns.new.into_iter().filter_map(added));
    }
    for table in pairs.new {
        let table = without_taken_names(table, &set);
        set.creation_order.push(set.tables.len());
        set.tables.push(table);
    }
    name_enums(&mut set);
    add_foreign_keys(&mut set, from.tables.len(), to);
    set.relations = to.relations.iter().filter(|r| resolves(&set, r)).cloned().collect();
    set
}

/// All enums with all their values.
fn united(from: &TableSet, to: &TableSet) -> Vec<Enum> {
    let pairs = enums(from, to);
    let mut united = Vec::new();
    for old in &from.enums {
        let Some((_, new)) = pairs.both.iter().find(|(o, _)| o.physical == old.physical) else {
            united.push(old.clone());
            continue;
        };
        let dropped = old.values.iter().filter(|value| !new.values.contains(value));
        let values = new.values.iter().chain(dropped).cloned().collect();
        united.push(Enum { values, ..(*new).clone() });
    }
    united.extend(pairs.new.into_iter().cloned());
    united
}

/// A new column of a table that has rows.
fn added(column: &Column) -> Option<Column> {
    // A numbered column has to be the primary key, which does not change yet.
    if column.ty.is_serial() {
        return None;
    }
    Some(Column {
        primary_key: false,
        not_null: column.not_null && column.default.is_some(),
        unique: false,
        foreign_key: None,
        ..column.clone()
    })
}

/// A new table, without indexes that are called as something old is.
fn without_taken_names(table: &Table, set: &TableSet) -> Table {
    let is_taken = |name: &str| {
        set.tables.iter().any(|t| {
            t.physical == name
                || t.indexes.iter().any(|index| index.physical == name)
                || t.columns.iter().any(|c| t.has_unique(c) && t.unique_constraint(c) == name)
        })
    };
    let mut new = table.clone();
    new.indexes.retain(|index| !is_taken(&index.physical));
    for column in &mut new.columns {
        column.unique &= !is_taken(&table.unique_constraint(column));
        column.foreign_key = None;
    }
    new
}

/// Lets the new tables, which begin at `first`, refer to what can be referred to already.
fn add_foreign_keys(set: &mut TableSet, first: usize, to: &TableSet) {
    for t in first..set.tables.len() {
        let Some(table) = to.physical(&set.tables[t].physical) else { continue };
        for (c, column) in table.columns.iter().enumerate() {
            let Some(key) = column.foreign_key else { continue };
            let (target, target_column) = to.target(key);
            let Some(target) = set.tables.iter().position(|t| t.physical == target.physical) else {
                continue;
            };
            let columns = &set.tables[target].columns;
            let Some(to_column) = columns.iter().position(|c| c.physical == target_column.physical)
            else {
                continue;
            };
            let fits = stored_type(&columns[to_column].ty) == stored_type(&column.ty);
            if fits && set.tables[target].is_unique(to_column) {
                let key = ForeignKey { table: target, column: to_column, ..key };
                set.tables[t].columns[c].foreign_key = Some(key);
            }
        }
    }
}

/// Gives every enum column the name and the values that its enum has now.
fn name_enums(set: &mut TableSet) {
    let enums = &set.enums;
    for column in set.tables.iter_mut().flat_map(|t| &mut t.columns) {
        let known = enums.iter().find(|one| one.physical == column.enum_type);
        if let (ColumnType::Enum(name), Some(known)) = (&mut column.ty, known) {
            name.clone_from(&known.name);
            column.values = known.values.clone();
        }
    }
}

/// Whether the tables and columns of a relation exist.
pub(super) fn resolves(set: &TableSet, relation: &RelationDef) -> bool {
    [&relation.from, &relation.to].into_iter().all(|(table, column)| {
        set.table(table).is_some_and(|t| t.columns.iter().any(|c| c.name == *column))
    })
}
