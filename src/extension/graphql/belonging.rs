//! What types have to do with each other: interfaces, unions, and types that others add to.

use super::check::{Checker, Kind, named};
use super::model::{Declarations, ExtensionDef, Place, TypeDef, UnionDef};
use super::names::ROOTS;
use crate::nearest::hint;

impl<'d> Checker<'d> {
    pub(super) fn implements(&mut self, of: &str, interfaces: &'d [String], place: Option<&Place>) {
        self.unique(interfaces.iter(), "interface", of, place);
        for name in interfaces {
            let message = match self.declared.get(name.as_str()) {
                Some((_, TypeDef::Interface(_))) if name == of => {
                    format!("the interface \"{of}\" implements itself")
                }
                Some((_, TypeDef::Interface(_))) => continue,
                Some(_) => format!("\"{of}\" implements \"{name}\", which is no interface"),
                None => {
                    let hint = hint(name, self.declared.keys().copied());
                    format!("\"{of}\" implements the unknown interface \"{name}\".{hint}")
                }
            };
            self.problem(place, message);
        }
    }

    pub(super) fn union(&mut self, def: &'d UnionDef) {
        let place = def.place.as_ref();
        if def.types.is_empty() {
            self.problem(place, format!("the union \"{}\" has no types", def.name));
        }
        self.unique(def.types.iter(), "type", &def.name, place);
        for name in &def.types {
            let message = match self.kinds.get(name.as_str()) {
                Some(Kind::Object) => continue,
                Some(_) => {
                    let union = &def.name;
                    format!("the union \"{union}\" has \"{name}\", which is no object type")
                }
                None => {
                    let hint = hint(name, self.kinds.keys().copied());
                    format!("the union \"{}\" has the unknown type \"{name}\".{hint}", def.name)
                }
            };
            self.problem(place, message);
        }
    }

    /// Fields that are added to a type of somebody else.
    pub(super) fn extension(&mut self, set: &'d Declarations, def: &'d ExtensionDef) {
        let (name, place) = (&def.of, def.place.as_ref());
        let Some((owner, TypeDef::Object(object))) = self.declared.get(name.as_str()).copied()
        else {
            let message = if ROOTS.contains(&name.as_str()) {
                format!("the type \"{name}\" is not extended but added to with root fields")
            } else if self.kinds.contains_key(name.as_str()) {
                format!("\"{name}\" cannot be extended: it is no object type")
            } else {
                let hint = hint(name, self.declared.keys().copied());
                format!(
                    "the unknown type \"{name}\" is extended.{hint} A type of another plugin can be \
                     extended if the manifest's \"dependencies\" name the plugin"
                )
            };
            return self.problem(place, message);
        };
        let foreign = self.plugins.contains(owner) && owner != set.owner;
        if foreign && !set.dependencies.iter().any(|id| id == owner) {
            let message = format!(
                "the type \"{name}\" of {} is extended; the manifest's \"dependencies\" must name \
                 the plugin",
                named(owner)
            );
            self.problem(place, message);
        }
        if def.fields.is_empty() {
            self.problem(place, format!("the extension of \"{name}\" has no fields"));
        }
        for field in &def.fields {
            let place = field.place.as_ref().or(place);
            let path = format!("{name}.{}", field.name);
            if object.fields.iter().any(|own| own.name == field.name) {
                let message = format!("{} declares the field \"{path}\" itself", named(owner));
                self.problem(place, message);
            }
            let adds = self.owner;
            match self.added.insert((name, &field.name), adds) {
                Some(first) if first == adds => {
                    self.problem(place, format!("the field \"{path}\" is added twice"));
                }
                Some(first) => {
                    let (first, adds) = (named(first), named(adds));
                    let message = format!("{first} and {adds} both add the field \"{path}\"");
                    self.problem(place, message);
                }
                None => {}
            }
            if field.resolver.is_none() {
                let message = format!(
                    "the field \"{path}\", added to a type of {}, needs \"resolve\" or \"batch\"",
                    named(owner)
                );
                self.problem(place, message);
            }
        }
        self.fields("object", name, &def.fields, place);
    }
}
