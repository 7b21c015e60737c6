//! Which columns of a table become fields, and of which types.

use mlua::Value as LuaValue;

use super::Direction;
use super::enums::EnumUse;
use crate::extension::database::{Column, ColumnType, Default, Table, hint, quoted};
use crate::extension::graphql::definition::Definition;
use crate::extension::graphql::names::is_enum_value;
use crate::extension::graphql::scalar::Scalar;
use crate::extension::graphql::types::TypeRef;
use crate::value::Value;

/// What a field is made of.
pub(super) enum Part<'t> {
    Column(&'t Column),
    /// A field that the plugin has written itself, under its name.
    Own(String, LuaValue),
}

/// The fields in their order: the chosen columns as they are declared, each replaced by the
/// plugin's own field of the same name if there is one, then the plugin's further fields.
pub(super) fn parts<'t>(
    definition: &mut Definition,
    table: &'t Table,
    direction: Direction,
) -> Vec<Part<'t>> {
    let mut own = definition.entries("fields");
    let mut parts = Vec::new();
    for column in chosen(definition, table, direction) {
        parts.push(match own.iter().position(|(name, _)| *name == column.name) {
            Some(i) => {
                let (name, value) = own.remove(i);
                Part::Own(name, value)
            }
            None => Part::Column(column),
        });
    }
    parts.extend(own.into_iter().map(|(name, value)| Part::Own(name, value)));
    if parts.is_empty() && definition.problems.is_empty() {
        definition.problem(&format!(
            "nothing is left of the table \"{}\"; name columns in \"only\", or further fields in \
             \"fields\"",
            table.name
        ));
    }
    parts
}

fn chosen<'t>(
    definition: &mut Definition,
    table: &'t Table,
    direction: Direction,
) -> Vec<&'t Column> {
    let only = listed(definition, table, "only");
    let omit = listed(definition, table, "omit");
    if only.is_some() && omit.is_some() {
        definition.problem("\"only\" and \"omit\" are both there; keep one");
    }
    let is_in = |list: &Option<Vec<&str>>, column: &Column| {
        list.as_ref().map(|list| list.contains(&column.name.as_str()))
    };
    let mut columns = Vec::new();
    for column in &table.columns {
        let is_named = is_in(&only, column);
        let is_left = is_named.unwrap_or(direction == Direction::Output || !is_filled(column));
        match refused(column, direction) {
            Some(reason) if is_named == Some(true) => {
                let name = &column.name;
                definition.problem(&format!("\"only\" names the column \"{name}\", {reason}"));
            }
            Some(_) => {}
            None if is_left && is_in(&omit, column) != Some(true) => columns.push(column),
            None => {}
        }
    }
    columns
}

/// The columns whose fields need not be given to an input type although their columns are NOT NULL.
pub(super) fn relaxed<'t>(definition: &mut Definition, table: &'t Table) -> Vec<&'t str> {
    match definition.value("optional") {
        LuaValue::Boolean(true) => table.columns.iter().map(|c| c.name.as_str()).collect(),
        LuaValue::Boolean(false) => Vec::new(),
        _ => listed(definition, table, "optional").unwrap_or_default(),
    }
}

/// The columns that an option lists. `None` if it is not there, or is no list.
fn listed<'t>(definition: &mut Definition, table: &'t Table, key: &str) -> Option<Vec<&'t str>> {
    let items = match definition.host_value(key)? {
        Value::List(items) => items,
        // Lua has one empty table.
        Value::Map(map) if map.is_empty() => Vec::new(),
        other => {
            let expected = match key {
                "optional" => "true or a list of columns",
                _ => "a list of columns",
            };
            let found = other.type_name();
            definition.problem(&format!("\"{key}\" must be {expected}; it is of type {found}"));
            return None;
        }
    };
    let mut columns = Vec::with_capacity(items.len());
    for item in &items {
        let Some(name) = item.as_str() else {
            let found = item.type_name();
            definition.problem(&format!(
                "\"{key}\" must be a list of columns; an item of it is of type {found}"
            ));
            continue;
        };
        match table.columns.iter().find(|column| column.name == name) {
            Some(column) => columns.push(column.name.as_str()),
            None => {
                let hint = hint(name, table.columns.iter().map(|column| column.name.as_str()));
                definition.problem(&format!(
                    "\"{key}\": the table \"{}\" has no column {}{hint}",
                    table.name,
                    quoted(name)
                ));
            }
        }
    }
    Some(columns)
}

/// Whether the host has a value for the column that is as good as any that a client could give.
fn is_filled(column: &Column) -> bool {
    column.ty.is_serial() || matches!(column.default, Some(Default::Now | Default::Random))
}

/// Why a column does not become a field by itself, to follow "the column is", if it does not.
pub(super) fn refused(column: &Column, direction: Direction) -> Option<&'static str> {
    Some(match (&column.ty, direction) {
        (ColumnType::Blob, Direction::Output) => {
            "a blob: bytes cannot be in GraphQL; give it a field with \"resolve\" that writes them \
             as text"
        }
        (ColumnType::Blob, Direction::Input) => {
            "a blob: bytes cannot be in GraphQL; declare in \"fields\" how clients write them as \
             text"
        }
        (ColumnType::Secret, Direction::Output) => {
            "a secret: clients must not read it; a field with \"resolve\" can say whether it is set"
        }
        (ColumnType::Secret, Direction::Input) => {
            "a secret: it is taken from clients only where \"fields\" declares it"
        }
        _ => return None,
    })
}

/// The type of a column's field, which is noted in `enums` if it is one.
pub(super) fn type_of(
    definition: &Definition,
    table: &Table,
    column: &Column,
    required: bool,
    direction: Direction,
    enums: &mut Vec<EnumUse>,
) -> TypeRef {
    let name = match &column.ty {
        ColumnType::Enum(of) if column.values.iter().all(|value| is_enum_value(value)) => {
            let used = EnumUse::new(definition, column, of, direction);
            let name = used.type_name.clone();
            enums.push(used);
            name
        }
        _ => scalar(table, column).name().into(),
    };
    match required {
        true => TypeRef::NonNull(Box::new(TypeRef::Named(name))),
        false => TypeRef::Named(name),
    }
}

fn scalar(table: &Table, column: &Column) -> Scalar {
    // A part of a key says by itself nothing about which row it is.
    let is_key = column.primary_key && table.key.len() == 1;
    let identifies = is_key || column.foreign_key.is_some();
    match &column.ty {
        ColumnType::Text
        | ColumnType::Uuid
        | ColumnType::Integer
        | ColumnType::Serial
        | ColumnType::BigInt
        | ColumnType::BigSerial
            if identifies =>
        {
            Scalar::Id
        }
        ColumnType::Integer | ColumnType::Serial => Scalar::Int,
        ColumnType::BigInt | ColumnType::BigSerial => Scalar::BigInt,
        ColumnType::Real | ColumnType::DoublePrecision => Scalar::Float,
        ColumnType::Boolean => Scalar::Boolean,
        ColumnType::Timestamp => Scalar::DateTime,
        ColumnType::Date => Scalar::Date,
        ColumnType::Json => Scalar::Json,
        ColumnType::Uuid => Scalar::Uuid,
        // A decimal keeps its digits only as text, what an enum holds need not be names, and blobs
        // and secrets do not get here.
        ColumnType::Text
        | ColumnType::Decimal
        | ColumnType::Time
        | ColumnType::Enum(_)
        | ColumnType::Blob
        | ColumnType::Secret => Scalar::String,
    }
}
