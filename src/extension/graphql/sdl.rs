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
        parts.entry(def.name()).or_insert_with(|| match def {
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
        });
    }
    for operation in Operation::ALL {
        let fields: BTreeMap<&str, &FieldDef> = sets
            .iter()
            .flat_map(|set| &set.fields)
            .filter(|root| root.operation == operation)
            .map(|root| (root.field.name.as_str(), &root.field))
            .collect();
        if !fields.is_empty() {
            let name = operation.type_name();
            let head = head("type", name, &[]);
            parts.insert(name, object(&head, None, fields.into_values(), types));
        }
    }
    let mut sdl = parts.into_values().collect::<Vec<_>>().join("\n\n");
    sdl.push('\n');
    sdl
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
