//! Checks declarations as a whole, before anything is built from them. The library below stops at
//! the first error, panics on duplicate fields and silently replaces duplicate types; here every
//! problem is found at once and names its owner and place.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::merge::merged;
use super::model::{
    Declarations, EnumDef, FieldDef, HOST, InputDef, InputValueDef, Place, Resolve, TypeDef,
};
use super::names::{ROOTS, is_literal, misnamed};
use super::scalar::Scalar;
use super::tables::Types;
use super::types::TypeRef;
use crate::nearest::hint;

/// Something that keeps declarations from becoming a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaProblem {
    /// Whose declaration it is: a plugin's id or [`HOST`].
    pub owner: String,
    pub place: Option<Place>,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place { file, line }) => write!(f, "{file}:{line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Object,
    /// An interface or a union.
    Abstract,
    Input,
    Leaf,
}

/// Finds everything that is wrong with the declarations of all owners together.
pub fn check(sets: &[Arc<Declarations>]) -> Vec<SchemaProblem> {
    let mut checker = Checker::default();
    for scalar in Scalar::ALL {
        checker.kinds.insert(scalar.name(), Kind::Leaf);
    }
    for set in sets {
        checker.owner = &set.owner;
        if set.is_plugin {
            checker.plugins.insert(&set.owner);
        }
        for def in &set.types {
            checker.declare(def);
        }
    }
    for set in sets {
        checker.owner = &set.owner;
        for def in &set.types {
            match def {
                TypeDef::Object(def) => {
                    checker.implements(&def.name, &def.interfaces, def.place.as_ref());
                    checker.fields("object", &def.name, &def.fields, def.place.as_ref());
                    if def.fields.is_empty() && def.interfaces.is_empty() {
                        let message = format!("the object type \"{}\" has no fields", def.name);
                        checker.problem(def.place.as_ref(), message);
                    }
                }
                TypeDef::Interface(def) => {
                    checker.implements(&def.name, &def.interfaces, def.place.as_ref());
                    checker.fields("interface", &def.name, &def.fields, def.place.as_ref());
                    if def.fields.is_empty() && def.interfaces.is_empty() {
                        let message = format!("the interface \"{}\" has no fields", def.name);
                        checker.problem(def.place.as_ref(), message);
                    }
                }
                TypeDef::Union(def) => checker.union(def),
                TypeDef::Input(def) => checker.input(def),
                TypeDef::Enum(def) => checker.enumeration(def),
                TypeDef::Scalar(_) => {}
            }
        }
        for extension in &set.extensions {
            checker.extension(set, extension);
        }
        checker.root_fields(set);
    }
    for set in sets {
        checker.owner = &set.owner;
        checker.input_circles(set);
    }
    if !checker.problems.is_empty() {
        return checker.problems;
    }
    // What follows is only meaningful where names are right.
    let sets = merged(sets);
    let mut further = Checker { problems: checker.problems, ..Default::default() };
    super::conformance::check(&sets, |owner, place, message| {
        further.owner = owner;
        further.problem(place, message);
    });
    if further.problems.is_empty() {
        let tables = Types::new(&sets);
        for set in &sets {
            further.owner = &set.owner;
            further.defaults(set, &tables);
        }
    }
    further.problems
}

#[derive(Default)]
pub(super) struct Checker<'d> {
    pub(super) owner: &'d str,
    /// The fields that extensions add, and who adds them.
    pub(super) added: HashMap<(&'d str, &'d str), &'d str>,
    pub(super) kinds: HashMap<&'d str, Kind>,
    pub(super) declared: HashMap<&'d str, (&'d str, &'d TypeDef)>,
    pub(super) roots: HashMap<(&'static str, &'d str), &'d str>,
    pub(super) plugins: HashSet<&'d str>,
    pub(super) problems: Vec<SchemaProblem>,
}

impl<'d> Checker<'d> {
    pub(super) fn problem(&mut self, place: Option<&Place>, message: String) {
        let problem =
            SchemaProblem { owner: self.owner.to_owned(), place: place.cloned(), message };
        // A type declared twice identically has its problems twice.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn declare(&mut self, def: &'d TypeDef) {
        let name = def.name();
        if ROOTS.contains(&name) {
            let message = format!(
                "the type \"{name}\" belongs to the host; add to it with root fields instead"
            );
            return self.problem(def.place(), message);
        }
        if Scalar::by_name(name).is_some() {
            return self.problem(def.place(), format!("\"{name}\" is a built-in scalar"));
        }
        if let Some((owner, first)) = self.declared.get(name).copied() {
            if owner != self.owner {
                let message = format!(
                    "{} and {} both declare the type \"{name}\"",
                    named(owner),
                    named(self.owner)
                );
                self.problem(def.place(), message);
            } else if !first.same_as(def) {
                let first = match first.place() {
                    Some(Place { file, line }) => format!("at {file}:{line}"),
                    None => "before".to_owned(),
                };
                let message = format!("the type \"{name}\" is declared differently than {first}");
                self.problem(def.place(), message);
            }
            return;
        }
        self.name(name, "type", def.place());
        self.declared.insert(name, (self.owner, def));
        let kind = match def {
            TypeDef::Object(_) => Kind::Object,
            TypeDef::Interface(_) | TypeDef::Union(_) => Kind::Abstract,
            TypeDef::Input(_) => Kind::Input,
            TypeDef::Enum(_) | TypeDef::Scalar(_) => Kind::Leaf,
        };
        self.kinds.insert(name, kind);
    }

    pub(super) fn name(&mut self, name: &str, what: &str, place: Option<&Place>) {
        if let Some(reason) = misnamed(name) {
            self.problem(place, format!("{name:?} is not a valid {what} name: {reason}"));
        }
    }

    pub(super) fn fields(
        &mut self,
        what: &str,
        of: &'d str,
        fields: &'d [FieldDef],
        place: Option<&Place>,
    ) {
        self.unique(fields.iter().map(|f| &f.name), "field", of, place);
        for field in fields {
            let place = field.place.as_ref().or(place);
            if what == "object" && matches!(field.resolver, Some(Resolve::Subscribe(_))) {
                let message = format!("the field \"{of}.{}\" cannot be subscribed to", field.name);
                self.problem(place, message);
            }
            self.field(of, field, place);
        }
    }

    fn input(&mut self, def: &'d InputDef) {
        let place = def.place.as_ref();
        if def.fields.is_empty() {
            self.problem(place, format!("the input type \"{}\" has no fields", def.name));
        }
        self.unique(def.fields.iter().map(|f| &f.name), "field", &def.name, place);
        for field in &def.fields {
            self.name(&field.name, "field", place);
            let at = format!("the field \"{}.{}\"", def.name, field.name);
            self.reference(&field.ty, Kind::Input, &at, place);
            self.constraints(field, &at, place);
            self.deprecation(field, &at, place);
            if def.one_of && (field.ty.is_non_null() || field.default.is_some()) {
                let message = format!(
                    "{at}: exactly one field of \"{}\" is given, since it is oneOf, so none can be \
                     non-null or have a default",
                    def.name
                );
                self.problem(place, message);
            }
        }
    }

    fn enumeration(&mut self, def: &'d EnumDef) {
        let place = def.place.as_ref();
        if def.values.is_empty() {
            self.problem(place, format!("the enum type \"{}\" has no values", def.name));
        }
        self.unique(def.values.iter().map(|v| &v.name), "value", &def.name, place);
        for value in &def.values {
            self.name(&value.name, "enum value", place);
            if is_literal(&value.name) {
                let message = format!("{:?} cannot be a value of an enum", value.name);
                self.problem(place, message);
            }
        }
    }

    fn field(&mut self, parent: &str, field: &'d FieldDef, place: Option<&Place>) {
        self.name(&field.name, "field", place);
        let at = format!("the field \"{parent}.{}\"", field.name);
        self.reference(&field.ty, Kind::Object, &at, place);
        let path = format!("{parent}.{}", field.name);
        self.unique(field.args.iter().map(|a| &a.name), "argument", &path, place);
        for arg in &field.args {
            self.name(&arg.name, "argument", place);
            let at = format!("the argument \"{}\" of \"{path}\"", arg.name);
            self.reference(&arg.ty, Kind::Input, &at, place);
            self.constraints(arg, &at, place);
            self.deprecation(arg, &at, place);
        }
    }

    /// What must be given cannot be given up (section 3.13.3).
    fn deprecation(&mut self, def: &InputValueDef, at: &str, place: Option<&Place>) {
        if def.deprecated.is_some() && def.is_required() {
            self.problem(place, format!("{at} is required, so it cannot be deprecated"));
        }
    }

    fn constraints(&mut self, def: &InputValueDef, at: &str, place: Option<&Place>) {
        for wrong in def.constraints.misfits(&def.ty) {
            self.problem(place, format!("{at}: {wrong}"));
        }
    }

    /// A use of a type: it must exist and be of the wanted kind, or a scalar or enum.
    fn reference(&mut self, ty: &TypeRef, wanted: Kind, at: &str, place: Option<&Place>) {
        let name = ty.name();
        let message = match self.kinds.get(name) {
            Some(Kind::Abstract) if wanted == Kind::Object => return,
            Some(kind) if *kind == wanted || *kind == Kind::Leaf => match name {
                "Upload" if wanted == Kind::Object => {
                    format!("{at} has the type \"{ty}\", but Upload is only for input")
                }
                _ => return,
            },
            Some(kind @ (Kind::Object | Kind::Abstract)) => {
                let what = match kind {
                    Kind::Object => "an object type",
                    _ => "an interface or union",
                };
                format!("{at} has the type \"{ty}\", but \"{name}\" is {what}, not an input type")
            }
            Some(_) => {
                format!(
                    "{at} has the type \"{ty}\", but \"{name}\" is an input type, not an output type"
                )
            }
            None => {
                let hint = hint(name, self.kinds.keys().copied());
                format!("{at} has the unknown type \"{name}\".{hint}")
            }
        };
        self.problem(place, message);
    }

    pub(super) fn unique(
        &mut self,
        names: impl Iterator<Item = &'d String>,
        what: &str,
        parent: &str,
        place: Option<&Place>,
    ) {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name) {
                self.problem(place, format!("\"{parent}\" has the {what} \"{name}\" twice"));
            }
        }
    }

    fn root_fields(&mut self, set: &'d Declarations) {
        for root in &set.fields {
            let parent = root.operation.type_name();
            let place = root.field.place.as_ref();
            let owner = self.owner;
            if let Some(first) = self.roots.insert((parent, &root.field.name), owner) {
                let message = match first == owner {
                    true => format!("\"{parent}\" has the field \"{}\" twice", root.field.name),
                    false => format!(
                        "{} and {} both declare the field \"{parent}.{}\"",
                        named(first),
                        named(owner),
                        root.field.name
                    ),
                };
                self.problem(place, message);
            }
            if root.field.resolver.is_none() {
                let message = format!("the field \"{parent}.{}\" has no resolver", root.field.name);
                self.problem(place, message);
            }
            self.field(parent, &root.field, place);
        }
    }

    /// An input type that needs a value of itself can never be given (section 3.10).
    fn input_circles(&mut self, set: &'d Declarations) {
        for def in &set.types {
            let TypeDef::Input(def) = def else { continue };
            let mut seen = HashSet::new();
            let mut open: Vec<Vec<&'d str>> = vec![vec![&def.name]];
            while let Some(path) = open.pop() {
                let Some(last) = path.last() else { continue };
                let Some((_, TypeDef::Input(current))) = self.declared.get(last).copied() else {
                    continue;
                };
                for field in &current.fields {
                    let TypeRef::NonNull(inner) = &field.ty else { continue };
                    let TypeRef::Named(next) = &**inner else { continue };
                    let next: &'d str = next;
                    let mut longer = path.clone();
                    longer.push(next);
                    if next == def.name {
                        let message = format!(
                            "the input type \"{}\" needs a value of itself: {}",
                            def.name,
                            longer.join(" → ")
                        );
                        self.problem(def.place.as_ref(), message);
                        open.clear();
                        break;
                    }
                    if seen.insert(next) {
                        open.push(longer);
                    }
                }
            }
        }
    }
}

pub(super) fn named(owner: &str) -> String {
    match owner {
        HOST => "the host".to_owned(),
        plugin => format!("the plugin \"{plugin}\""),
    }
}
