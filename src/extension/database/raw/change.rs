//! Changes to the plugin's tables, in migrations.

use sqlparser::ast::{
    AlterTable, AlterTableOperation, DropBehavior, Ident, ObjectName, ObjectType,
    RenameTableNameKind, Statement,
};

use super::super::model::TableSet;
use super::super::names;
use super::Change;
use super::checker::Checker;
use super::place::Place;
use super::statement::DECLARE_IT;
use crate::store::{DbError, Dialect};

/// The change that `statement` is, or `None` if it is a statement about rows.
///
/// # Errors
/// It changes something else than a table of the plugin, or in another way.
pub(super) fn of(
    dialect: Dialect,
    set: &TableSet,
    statement: &Statement,
) -> Result<Option<Change>, DbError> {
    // Only for its names and errors; nothing is written.
    let mut names = Checker::new(dialect, set);
    match statement {
        Statement::AlterTable(alter) => alter_table(&mut names, alter).map(Some),
        Statement::Drop {
            object_type: ObjectType::Table,
            if_exists: false,
            names: tables,
            cascade: false,
            restrict: _,
            purge: false,
            temporary: false,
            table: None,
        } => match tables.as_slice() {
            [table] => Ok(Some(Change::DropTable { table: declared(&mut names, table)? })),
            _ => Err(names.error(statement, "expected one table in DROP TABLE")),
        },
        Statement::Drop { object_type: ObjectType::Table, .. } => {
            Err(names.error(statement, "expected DROP TABLE {name} and nothing else"))
        }
        Statement::Drop { .. } => Err(names.error(
            statement,
            "only tables can be dropped; indexes and types go with what is declared",
        )),
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_) => Ok(None),
        _ => names.refuse(statement, "this statement"),
    }
}

fn alter_table(names: &mut Checker<'_>, alter: &AlterTable) -> Result<Change, DbError> {
    let AlterTable {
        name,
        if_exists,
        only,
        operations,
        location,
        on_cluster,
        table_type,
        end_token: _,
    } = alter;
    let more =
        *if_exists || *only || location.is_some() || on_cluster.is_some() || table_type.is_some();
    names.without(name, more, "an addition to ALTER TABLE")?;
    let table = declared(names, name)?;
    let [operation] = operations.as_slice() else {
        return Err(names.error(name, "expected one change in ALTER TABLE"));
    };
    match operation {
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            Ok(Change::RenameColumn {
                table,
                from: column(names, old_column_name)?,
                to: column(names, new_column_name)?,
            })
        }
        AlterTableOperation::DropColumn {
            has_column_keyword: _,
            column_names,
            if_exists: false,
            drop_behavior: None | Some(DropBehavior::Restrict),
        } => match column_names.as_slice() {
            [name] => Ok(Change::DropColumn { table, column: column(names, name)? }),
            _ => Err(names.error(operation, "expected one column in DROP COLUMN")),
        },
        AlterTableOperation::DropColumn { .. } => {
            Err(names.error(name, "expected DROP COLUMN name and nothing else"))
        }
        AlterTableOperation::RenameTable { table_name: RenameTableNameKind::To(to) } => {
            Ok(Change::RenameTable { table, to: new_name(names, to)? })
        }
        AlterTableOperation::AddColumn { .. } | AlterTableOperation::AddConstraint { .. } => {
            Err(names.error(name, DECLARE_IT))
        }
        _ => {
            let message = format!(
                "ALTER TABLE takes RENAME COLUMN, DROP COLUMN and RENAME TO; for anything else {DECLARE_IT}"
            );
            Err(names.error(name, message))
        }
    }
}

/// The declared name of one of the plugin's tables.
fn declared(names: &mut Checker<'_>, name: &ObjectName) -> Result<String, DbError> {
    let ident = names.single(name, "table")?;
    let found = names.name(&ident)?;
    let physical = names.own(&ident, &found)?;
    let table = names.set.tables().iter().find(|table| table.physical == physical);
    Ok(table.map(|table| table.name.clone()).unwrap_or_default())
}

/// The name of a column as it is, or will be, in the database.
fn column(names: &mut Checker<'_>, ident: &Ident) -> Result<String, DbError> {
    let name = match ident.quote_style {
        None => ident.value.to_ascii_lowercase(),
        Some(_) => ident.value.clone(),
    };
    valid(names, ident, &name)?;
    Ok(name)
}

/// The declared name that a table gets, which is not in the set.
fn new_name(names: &mut Checker<'_>, name: &ObjectName) -> Result<String, DbError> {
    let ident = names.single(name, "table")?;
    valid(names, &ident, &ident.value)?;
    let taken = |table: &&super::super::model::Table| {
        table.name == ident.value || table.physical == ident.value
    };
    if names.set.tables().iter().find(taken).is_some() {
        let message = format!("there is already a table {}", names::quoted(&ident.value));
        return Err(names.error(&ident, message));
    }
    Ok(ident.value)
}

fn valid(checker: &Checker<'_>, node: &impl Place, name: &str) -> Result<(), DbError> {
    if names::is_valid(name) {
        return Ok(());
    }
    let message = format!(
        "{} cannot be a name: expected a letter, then letters, digits and _, at most {} in all",
        names::quoted(name),
        names::MAX_LENGTH
    );
    Err(checker.error(node, message))
}
