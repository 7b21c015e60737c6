//! Whether types have what their interfaces promise (specification, section 3.6.1).

use std::collections::HashMap;
use std::sync::Arc;

use super::model::{Declarations, FieldDef, InterfaceDef, Place, TypeDef};
use super::types::TypeRef;

/// Tells `problem` whatever is wrong: the owner, the place and the message. Interfaces are merged into
/// the types, so only what a type declares itself can be wrong.
pub(super) fn check<'d>(
    sets: &'d [Arc<Declarations>],
    mut problem: impl FnMut(&'d str, Option<&Place>, String),
) {
    let types: HashMap<&str, &TypeDef> =
        sets.iter().flat_map(|set| &set.types).map(|def| (def.name(), def)).collect();
    for set in sets {
        for def in &set.types {
            let (name, interfaces, fields, place) = match def {
                TypeDef::Object(def) => (&def.name, &def.interfaces, &def.fields, &def.place),
                TypeDef::Interface(def) => (&def.name, &def.interfaces, &def.fields, &def.place),
                _ => continue,
            };
            for interface in interfaces {
                let Some(TypeDef::Interface(interface)) = types.get(interface.as_str()) else {
                    continue;
                };
                if interface.name == *name {
                    let message = format!("the interface \"{name}\" implements itself");
                    problem(&set.owner, place.as_ref(), message);
                    continue;
                }
                for (field, message) in misfits(name, fields, interface, &types) {
                    let place = field.place.as_ref().or(place.as_ref());
                    problem(&set.owner, place, message);
                }
            }
        }
    }
}

fn misfits<'d>(
    of: &str,
    fields: &'d [FieldDef],
    interface: &InterfaceDef,
    types: &HashMap<&str, &TypeDef>,
) -> Vec<(&'d FieldDef, String)> {
    let mut found = Vec::new();
    for promised in &interface.fields {
        let Some(own) = fields.iter().find(|own| own.name == promised.name) else { continue };
        let theirs = format!("\"{}.{}\" of its interface", interface.name, promised.name);
        let ours = format!("the field \"{of}.{}\"", own.name);
        if !is_subtype(&own.ty, &promised.ty, types) {
            let message =
                format!("{ours} has the type \"{}\", but {theirs} has \"{}\"", own.ty, promised.ty);
            found.push((own, message));
        }
        for arg in &promised.args {
            let message = match own.args.iter().find(|own| own.name == arg.name) {
                Some(own) if own.ty == arg.ty => continue,
                Some(own) => format!(
                    "{ours} takes \"{}\" as \"{}\", but {theirs} as \"{}\"",
                    arg.name, own.ty, arg.ty
                ),
                None => format!("{ours} lacks the argument \"{}\" that {theirs} has", arg.name),
            };
            found.push((own, message));
        }
        for arg in &own.args {
            let is_known = promised.args.iter().any(|promised| promised.name == arg.name);
            if !is_known && arg.is_required() {
                let message =
                    format!("{ours} requires the argument \"{}\" that {theirs} lacks", arg.name);
                found.push((own, message));
            }
        }
    }
    found
}

fn is_subtype(own: &TypeRef, promised: &TypeRef, types: &HashMap<&str, &TypeDef>) -> bool {
    match (own, promised) {
        (TypeRef::NonNull(own), TypeRef::NonNull(promised)) => is_subtype(own, promised, types),
        (TypeRef::NonNull(own), promised) => is_subtype(own, promised, types),
        (TypeRef::List(own), TypeRef::List(promised)) => is_subtype(own, promised, types),
        (TypeRef::Named(own), TypeRef::Named(promised)) => {
            own == promised
                || match (types.get(&**own), types.get(&**promised)) {
                    (Some(TypeDef::Object(own)), Some(TypeDef::Interface(of))) => {
                        own.interfaces.contains(&of.name)
                    }
                    (Some(TypeDef::Interface(own)), Some(TypeDef::Interface(of))) => {
                        own.interfaces.contains(&of.name)
                    }
                    (Some(TypeDef::Object(own)), Some(TypeDef::Union(of))) => {
                        of.types.contains(&own.name)
                    }
                    _ => false,
                }
        }
        _ => false,
    }
}
