//! Reading the definitions of arguments, input fields and enum values.

use mlua::{LuaString, Value as LuaValue};

use super::constraints::{Constraints, Pattern};
use super::definition::Definition;
use super::format::Format;
use super::model::{EnumValueDef, InputValueDef};
use super::types::TypeRef;
use crate::nearest::hint;
use crate::value::Value;

const CONSTRAINTS: &[&str] = &["min", "max", "minLength", "maxLength", "pattern", "format"];

pub(super) fn type_of(definition: &mut Definition) -> Option<TypeRef> {
    let Some(text) = definition.string("type") else {
        definition.problem("it needs a \"type\", such as \"String!\"");
        return None;
    };
    match TypeRef::parse(&text) {
        Ok(ty) => Some(ty),
        Err(error) => {
            definition.problem(&error.to_string());
            None
        }
    }
}

pub(super) fn input_value(
    definition: &mut Definition,
    name: &str,
    value: &LuaValue,
) -> Option<InputValueDef> {
    let what = format!("{}.{name}", definition.name);
    let mut own = definition.inner(&what, value)?;
    let ty = type_of(&mut own);
    let description = own.string("description");
    let default = own.host_value("default").map(|default| match (&ty, default) {
        // Lua has one empty table.
        (Some(ty), Value::Map(map)) if map.is_empty() && ty.is_list() => Value::List(Vec::new()),
        (_, default) => default,
    });
    let constraints = constraints(&mut own);
    let deprecated = own.string("deprecated");
    own.finish(&[&["type", "description", "default", "deprecated"], CONSTRAINTS].concat());
    definition.absorb(own);
    let name = name.to_owned();
    Some(InputValueDef { name, description, deprecated, ty: ty?, default, constraints })
}

fn constraints(own: &mut Definition) -> Constraints {
    let pattern = own.string("pattern").and_then(|text| match Pattern::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            own.problem(&format!("\"pattern\": {error}"));
            None
        }
    });
    let format = own.string("format").and_then(|name| {
        let format = Format::by_name(&name);
        if format.is_none() {
            let names = Format::ALL.map(Format::name);
            let hint = hint(&name, names);
            let known = names.join(", ");
            own.problem(&format!("\"format\" {name:?} is not known; known are {known}.{hint}"));
        }
        format
    });
    Constraints {
        min: own.number("min"),
        max: own.number("max"),
        min_length: own.count("minLength"),
        max_length: own.count("maxLength"),
        pattern,
        format,
    }
}

pub(super) fn enum_value(definition: &mut Definition, value: &LuaValue) -> Option<EnumValueDef> {
    match value {
        LuaValue::String(name) => match text(name) {
            Ok(name) => Some(EnumValueDef::new(name)),
            Err(_) => {
                definition.problem("a value is not valid UTF-8");
                None
            }
        },
        LuaValue::Table(table) => {
            let what = definition.name.clone();
            let mut own = Definition::new(what, table.clone(), definition.place.clone());
            let name = own.string("name");
            if name.is_none() {
                own.problem("a value needs a \"name\"");
            }
            let (description, deprecated) = (own.string("description"), own.string("deprecated"));
            own.finish(&["name", "description", "deprecated"]);
            definition.absorb(own);
            Some(EnumValueDef { name: name?, description, deprecated })
        }
        other => {
            let found = other.type_name();
            definition.problem(&format!("a value must be a string or a table; it is a {found}"));
            None
        }
    }
}

pub(super) fn text(s: &LuaString) -> mlua::Result<String> {
    Ok(s.to_str()?.to_owned())
}
