//! Types that are made from a plugin's tables, so that the common case is not typed twice:
//! `builder:objectFromTable` and `builder:inputFromTable`.

mod columns;
mod enums;

use mlua::{Lua, Value as LuaValue, Variadic};

pub use self::enums::EnumUse;
pub(super) use self::enums::declare as declare_enums;

use self::columns::{Part, parts, refused, relaxed, type_of};
use super::builder::{Builder, calling_place};
use super::constraints::Constraints;
use super::definition::Definition;
use super::format::Format;
use super::inputs::{input_value, text};
use super::model::{FieldDef, InputDef, InputValueDef, ObjectDef, TypeDef};
use crate::extension::database::{Column, ColumnType, Table, hint, quoted};

/// What a type is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Output,
    Input,
}

impl Direction {
    fn method(self) -> &'static str {
        match self {
            Direction::Output => "objectFromTable",
            Direction::Input => "inputFromTable",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Direction::Output => &["omit", "only", "description", "fields"],
            Direction::Input => &["omit", "only", "optional", "description", "fields"],
        }
    }
}

impl Builder {
    /// Declares a type with the columns of a table as its fields.
    ///
    /// # Errors
    /// When the arguments are not a name, a table's name and perhaps options. What is wrong in them
    /// is noted as a problem.
    pub(super) fn declare_from_table(
        &self,
        lua: &Lua,
        direction: Direction,
        args: Variadic<LuaValue>,
    ) -> mlua::Result<()> {
        let (name, table, options) = match &args[..] {
            [LuaValue::String(name), LuaValue::String(table)]
            | [LuaValue::String(name), LuaValue::String(table), LuaValue::Nil] => {
                (name, table, lua.create_table()?)
            }
            [LuaValue::String(name), LuaValue::String(table), LuaValue::Table(options)] => {
                (name, table, options.clone())
            }
            _ => {
                let method = direction.method();
                return Err(mlua::Error::runtime(format!(
                    "builder:{method} takes a name, the name of a table, and options: \
                     builder:{method}(\"Name\", \"table\", {{ … }})"
                )));
            }
        };
        let definition = Definition::new(text(name)?, options, calling_place(lua));
        let table = table.to_string_lossy();
        self.collect(definition, |definition, to| {
            definition.finish(direction.options());
            let Some(table) = self.table(definition, &table) else { return };
            let (def, enums) = match direction {
                Direction::Output => self.object_from(definition, table),
                Direction::Input => input_from(definition, table),
            };
            to.declarations.types.push(def);
            to.enums.extend(enums);
        });
        Ok(())
    }

    /// The plugin's table of that name. `None` with a problem, or without one if the tables have
    /// problems already.
    fn table(&self, definition: &mut Definition, name: &str) -> Option<&Table> {
        let set = self.tables()?;
        let found = set.table(name);
        if set.is_empty() {
            definition.problem(&format!(
                "the plugin has no tables, and so no {}; declare it with @std/table and list it in \
                 the manifest under extensionPoints.database",
                quoted(name)
            ));
        } else if found.is_none() {
            let hint = hint(name, set.tables().iter().map(|table| table.name.as_str()));
            definition.problem(&format!("the plugin has no table {}{hint}", quoted(name)));
        }
        found
    }

    fn object_from(&self, definition: &mut Definition, table: &Table) -> (TypeDef, Vec<EnumUse>) {
        let (name, place) = (definition.name.clone(), definition.place.clone());
        let description = definition.string("description");
        let (mut fields, mut enums) = (Vec::new(), Vec::new());
        for part in parts(definition, table, Direction::Output) {
            match part {
                Part::Column(column) => {
                    let required = column.not_null;
                    let ty =
                        type_of(definition, table, column, required, Direction::Output, &mut enums);
                    fields.push(FieldDef::new(&column.name, ty));
                }
                Part::Own(key, value) => {
                    let field = self.field(definition, &name, &key, &value, &[], |_| ());
                    let Some((field, ())) = field else { continue };
                    if field.resolver.is_none() {
                        check_readable(definition, table, &key);
                    }
                    fields.push(field);
                }
            }
        }
        let interfaces = definition.strings("interfaces");
        (TypeDef::Object(ObjectDef { name, description, interfaces, fields, place }), enums)
    }
}

/// A field without a resolver reads the column of its name, whatever its type says.
fn check_readable(definition: &mut Definition, table: &Table, name: &str) {
    let column = table.columns.iter().find(|column| column.name == name);
    if let Some(reason) = column.and_then(|column| refused(column, Direction::Output)) {
        definition.problem(&format!(
            "\"fields\" reads the column \"{name}\", since it has no \"resolve\", but the column \
             is {reason}"
        ));
    }
}

fn input_from(definition: &mut Definition, table: &Table) -> (TypeDef, Vec<EnumUse>) {
    let (name, place) = (definition.name.clone(), definition.place.clone());
    let description = definition.string("description");
    let optional = relaxed(definition, table);
    let must_be_given = |column: &Column| {
        let has_value = column.default.is_some() || column.ty.is_serial();
        column.not_null && !has_value && !optional.contains(&column.name.as_str())
    };
    let (mut fields, mut enums) = (Vec::new(), Vec::new());
    for part in parts(definition, table, Direction::Input) {
        match part {
            Part::Column(column) => {
                let required = must_be_given(column);
                let ty = type_of(definition, table, column, required, Direction::Input, &mut enums);
                // An ID may be any text. What the column would refuse is better said by name.
                let format = (column.ty == ColumnType::Uuid).then_some(Format::Uuid);
                let format = format.filter(|_| ty.name() == "ID");
                let constraints = Constraints { format, ..Constraints::default() };
                fields.push(InputValueDef::new(&column.name, ty).constraints(constraints));
            }
            Part::Own(key, value) => fields.extend(input_value(definition, &key, &value)),
        }
    }
    (TypeDef::Input(InputDef { name, description, one_of: false, fields, place }), enums)
}
