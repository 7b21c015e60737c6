//! A difference between two sets of tables, in words.

use crate::extension::database::model::{Column, Table};
use crate::value::{Map, Value};

/// What is done to a table, a column, an index or an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    CreateTable,
    DropTable,
    ChangeKey,
    AddColumn,
    DropColumn,
    AlterColumn,
    CreateIndex,
    DropIndex,
    CreateEnum,
    ChangeEnum,
    DropEnum,
}

impl Action {
    /// The name as it is shown; it stays what it is.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::CreateTable => "createTable",
            Action::DropTable => "dropTable",
            Action::ChangeKey => "changeKey",
            Action::AddColumn => "addColumn",
            Action::DropColumn => "dropColumn",
            Action::AlterColumn => "alterColumn",
            Action::CreateIndex => "createIndex",
            Action::DropIndex => "dropIndex",
            Action::CreateEnum => "createEnum",
            Action::ChangeEnum => "changeEnum",
            Action::DropEnum => "dropEnum",
        }
    }
}

/// One difference between two sets of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub action: Action,
    /// As declared; `None` for an enum.
    pub table: Option<String>,
    /// As declared, if it is about one column.
    pub column: Option<String>,
    /// What changes, as a sentence.
    pub description: String,
    /// Whether it is safe without a migration: every row stays as it is and is still allowed. It may
    /// fail, if rows break a new rule.
    pub additive: bool,
    /// Whether values are gone afterwards.
    pub loses_data: bool,
    /// Whether it can be done at all, with a migration.
    pub possible: bool,
}

impl Change {
    pub(super) fn new(action: Action, table: Option<&Table>, description: String) -> Self {
        Change {
            action,
            table: table.map(|table| table.name.clone()),
            column: None,
            description,
            additive: true,
            loses_data: false,
            possible: true,
        }
    }

    pub(super) fn of_column(action: Action, table: &Table, column: &Column, what: &str) -> Self {
        let description = format!("{}.{} {what}", table.name, column.name);
        let column = Some(column.name.clone());
        Change { column, ..Change::new(action, Some(table), description) }
    }

    pub(super) fn additive_if(self, additive: bool) -> Self {
        Change { additive, ..self }
    }

    pub(super) fn loses_data(self) -> Self {
        Change { additive: false, loses_data: true, ..self }
    }

    /// As a value, with the fields in camel case.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("action".to_owned(), self.action.as_str().into());
        map.insert("table".to_owned(), self.table.clone().into());
        map.insert("column".to_owned(), self.column.clone().into());
        map.insert("description".to_owned(), self.description.clone().into());
        map.insert("additive".to_owned(), self.additive.into());
        map.insert("losesData".to_owned(), self.loses_data.into());
        map.into()
    }
}
