//! What of one set is what of another: that which has the same name in the database.

use crate::extension::database::model::{Column, Enum, Table, TableSet};

/// The things of two lists.
pub struct Pairs<'a, T> {
    /// Those of the second list that are not in the first.
    pub new: Vec<&'a T>,
    /// Those that are in both, as they are in each.
    pub both: Vec<(&'a T, &'a T)>,
    /// Those of the first list that are not in the second.
    pub gone: Vec<&'a T>,
}

impl<'a, T> Pairs<'a, T> {
    fn of(from: &'a [T], to: &'a [T], name: impl Fn(&T) -> &str) -> Self {
        let find = |list: &'a [T], one: &T| list.iter().find(|other| name(other) == name(one));
        Pairs {
            new: to.iter().filter(|one| find(from, one).is_none()).collect(),
            both: to.iter().filter_map(|one| Some((find(from, one)?, one))).collect(),
            gone: from.iter().filter(|one| find(to, one).is_none()).collect(),
        }
    }
}

pub fn tables<'a>(from: &'a TableSet, to: &'a TableSet) -> Pairs<'a, Table> {
    Pairs::of(&from.tables, &to.tables, |table| &table.physical)
}

pub fn columns<'a>(from: &'a Table, to: &'a Table) -> Pairs<'a, Column> {
    Pairs::of(&from.columns, &to.columns, |column| &column.physical)
}

pub fn enums<'a>(from: &'a TableSet, to: &'a TableSet) -> Pairs<'a, Enum> {
    Pairs::of(&from.enums, &to.enums, |one| &one.physical)
}
