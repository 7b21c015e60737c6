//! Writes the schema as SDL, sorted by name, so that it depends on what is declared and on nothing
//! else. The library's own writer does not escape all texts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::model::{Declarations, EnumDef, FieldDef, InputDef, InputValueDef, Operation, TypeDef};
use super::scalar::Scalar;
use super::stock::stock_value;
use super::tables::Types;

/// The SDL of declarations that passed the check.
pub(super) fn print(sets: &[Arc<Declarations>], types: &Types) -> String {
    let mut parts: BTreeMap<&str, String> = BTreeMap::new();
    for built_in in Scalar::ALL {
        if let Some((text, url)) = built_in.documentation() {
            parts.insert(built_in.name(), scalar(built_in.name(), Some(text), url));
        }
    }
    for def in sets.iter().flat_map(|set| &set.types) {
        parts.entry(def.name()).or_insert_with(|| type_def(def, types));
    }
    for operation in Operation::ALL {
        let name = operation.type_name();
        if let Some(part) = root(&head("type", name, &[]), operation, sets.iter(), types) {
            parts.insert(name, part);
        }
    }
    joined(parts.into_values())
}

/// The SDL of what some declarations add, as they declare it.
pub(super) fn print_own<'d>(
    own: impl Iterator<Item = &'d Arc<Declarations>> + Clone,
    types: &Types,
) -> String {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    for set in own.clone() {
        for def in &set.types {
            parts.entry(def.name().to_owned()).or_insert_with(|| type_def(def, types));
        }
        for extension in &set.extensions {
            let head = head("extend type", &extension.of, &[]);
            let text = object(&head, None, extension.fields.iter(), types);
            // A type may be extended in several places.
            let part = parts.entry(format!("{} +", extension.of)).or_default();
            let gap = if part.is_empty() { "" } else { "\n\n" };
            part.push_str(&format!("{gap}{text}"));
        }
    }
    for operation in Operation::ALL {
        let name = operation.type_name();
        let head = head("extend type", name, &[]);
        if let Some(part) = root(&head, operation, own.clone(), types) {
            parts.insert(name.to_owned(), part);
        }
    }
    joined(parts.into_values())
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let mut sdl = parts.collect::<Vec<_>>().join("\n\n");
    sdl.push('\n');
    sdl
}

fn root<'d>(
    head: &str,
    operation: Operation,
    sets: impl Iterator<Item = &'d Arc<Declarations>>,
    types: &Types,
) -> Option<String> {
    let fields: BTreeMap<&str, &FieldDef> = sets
        .flat_map(|set| &set.fields)
        .filter(|root| root.operation == operation)
        .map(|root| (root.field.name.as_str(), &root.field))
        .collect();
    (!fields.is_empty()).then(|| object(head, None, fields.into_values(), types))
}

fn type_def(def: &TypeDef, types: &Types) -> String {
    match def {
        TypeDef::Object(def) => {
            let head = head("type", &def.name, &def.interfaces);
            object(&head, def.description.as_deref(), def.fields.iter(), types)
        }
        TypeDef::Interface(def) => {
            let head = head("interface", &def.name, &def.interfaces);
            object(&head, def.description.as_deref(), def.fields.iter(), types)
        }
        TypeDef::Union(def) => {
            let text = description(def.description.as_deref(), "");
            format!("{text}union {} = {}", def.name, def.types.join(" | "))
        }
        TypeDef::Scalar(def) => {
            scalar(&def.name, def.description.as_deref(), def.specified_by.as_deref())
        }
        TypeDef::Input(def) => input(def, types),
        TypeDef::Enum(def) => enumeration(def),
    }
}

fn scalar(name: &str, text: Option<&str>, url: Option<&str>) -> String {
    let mut out = description(text, "");
    out.push_str(&format!("scalar {name}"));
    if let Some(url) = url {
        out.push_str(&format!(" @specifiedBy(url: {})", quoted(url)));
    }
    out
}

fn head(kind: &str, name: &str, interfaces: &[String]) -> String {
    match interfaces {
        [] => format!("{kind} {name}"),
        all => format!("{kind} {name} implements {}", all.join(" & ")),
    }
}

fn object<'d>(
    head: &str,
    text: Option<&str>,
    fields: impl Iterator<Item = &'d FieldDef>,
    types: &Types,
) -> String {
    let mut out = description(text, "");
    out.push_str(&format!("{head} {{\n"));
    for field in fields {
        out.push_str(&description(field.description.as_deref(), "  "));
        out.push_str("  ");
        out.push_str(&field.name);
        arguments(&mut out, &field.args, types);
        out.push_str(&format!(": {}", field.ty));
        deprecation(&mut out, field.deprecated.as_deref());
        out.push('\n');
    }
    out.push('}');
    out
}

fn arguments(out: &mut String, args: &[InputValueDef], types: &Types) {
    if args.is_empty() {
        return;
    }
    if args.iter().all(|arg| arg.description.is_none()) {
        let args: Vec<String> = args.iter().map(|arg| input_value(arg, types)).collect();
        out.push_str(&format!("({})", args.join(", ")));
        return;
    }
    out.push_str("(\n");
    for arg in args {
        out.push_str(&description(arg.description.as_deref(), "    "));
        out.push_str(&format!("    {}\n", input_value(arg, types)));
    }
    out.push_str("  )");
}

fn input(def: &InputDef, types: &Types) -> String {
    let mut out = description(def.description.as_deref(), "");
    let one_of = if def.one_of { " @oneOf" } else { "" };
    out.push_str(&format!("input {}{one_of} {{\n", def.name));
    for field in &def.fields {
        out.push_str(&description(field.description.as_deref(), "  "));
        out.push_str(&format!("  {}\n", input_value(field, types)));
    }
    out.push('}');
    out
}

fn input_value(def: &InputValueDef, types: &Types) -> String {
    let mut out = format!("{}: {}", def.name, def.ty);
    if let Some(default) = &def.default {
        out.push_str(&format!(" = {}", stock_value(&def.ty, default, types)));
    }
    deprecation(&mut out, def.deprecated.as_deref());
    out
}

fn enumeration(def: &EnumDef) -> String {
    let mut out = description(def.description.as_deref(), "");
    out.push_str(&format!("enum {} {{\n", def.name));
    for value in &def.values {
        out.push_str(&description(value.description.as_deref(), "  "));
        out.push_str(&format!("  {}", value.name));
        deprecation(&mut out, value.deprecated.as_deref());
        out.push('\n');
    }
    out.push('}');
    out
}

fn deprecation(out: &mut String, reason: Option<&str>) {
    if let Some(reason) = reason {
        out.push_str(&format!(" @deprecated(reason: {})", quoted(reason)));
    }
}

/// One line as a string, several as a block string.
fn description(text: Option<&str>, indent: &str) -> String {
    let Some(text) = text else { return String::new() };
    // Not every parser knows the escape for three quotes in a block string.
    if !text.contains('\n') || text.contains("\"\"\"") {
        return format!("{indent}{}\n", quoted(text));
    }
    let mut out = format!("{indent}\"\"\"\n");
    for line in text.lines() {
        match line.is_empty() {
            true => out.push('\n'),
            false => out.push_str(&format!("{indent}{line}\n")),
        }
    }
    out.push_str(&format!("{indent}\"\"\"\n"));
    out
}

/// A string literal. Its escapes are those of JSON.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() && u32::from(c) <= 0xffff => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
