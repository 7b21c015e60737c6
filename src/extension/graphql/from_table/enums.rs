//! The enums of tables as enum types, declared where the plugin does not declare them itself.

use std::sync::Arc;

use super::Direction;
use crate::extension::database::Column;
use crate::extension::graphql::builder::Collected;
use crate::extension::graphql::definition::Definition;
use crate::extension::graphql::model::{EnumDef, EnumValueDef, Place, TypeDef};
use crate::extension::graphql::names::ROOTS;
use crate::extension::graphql::scalar::Scalar;

/// A field whose type is made from the enum of its column.
#[derive(Debug)]
pub struct EnumUse {
    pub(super) type_name: Arc<str>,
    /// The field, for messages: `Poll.state`.
    field: String,
    /// The enum's name in the tables.
    of: String,
    values: Arc<[String]>,
    direction: Direction,
    place: Option<Place>,
}

impl EnumUse {
    pub(super) fn new(
        definition: &Definition,
        column: &Column,
        of: &str,
        direction: Direction,
    ) -> Self {
        EnumUse {
            type_name: pascal_case(of).into(),
            field: format!("{}.{}", definition.name, column.name),
            of: of.to_owned(),
            values: column.values.clone(),
            direction,
            place: definition.place.clone(),
        }
    }

    /// What is wrong with taking `own`, which the plugin declares under this name, for the type.
    fn misfit(&self, own: &TypeDef) -> Option<String> {
        let EnumUse { type_name, of, .. } = self;
        let TypeDef::Enum(own) = own else {
            return Some(format!(
                "the enum \"{of}\" would be the type \"{type_name}\", which the plugin declares, \
                 but not as an enum type; rename one of them"
            ));
        };
        // An input may well take less than the column can hold.
        let is_known = |value: &&String| own.values.iter().any(|known| known.name == **value);
        let missing: Vec<&str> = match self.direction {
            Direction::Output => {
                self.values.iter().filter(|v| !is_known(v)).map(String::as_str).collect()
            }
            Direction::Input => Vec::new(),
        };
        (!missing.is_empty()).then(|| {
            format!(
                "the column can hold {}, which the enum type \"{type_name}\" does not have; add it",
                missing.join(", ")
            )
        })
    }

    /// What is wrong with declaring the type, beside those that are `made` already.
    fn conflict(&self, made: Option<&EnumUse>) -> Option<String> {
        let EnumUse { type_name, of, .. } = self;
        if ROOTS.contains(&&**type_name) || Scalar::by_name(type_name).is_some() {
            return Some(format!(
                "the enum \"{of}\" would be the type \"{type_name}\", which is built in; rename \
                 the enum"
            ));
        }
        made.filter(|made| made.values != self.values).map(|made| {
            format!(
                "the enums \"{}\" and \"{of}\" would both be the type \"{type_name}\"; rename one \
                 of them",
                made.of
            )
        })
    }

    fn into_type(self) -> TypeDef {
        TypeDef::Enum(EnumDef {
            name: self.type_name.to_string(),
            description: None,
            values: self.values.iter().map(EnumValueDef::new).collect(),
            place: self.place,
        })
    }
}

/// Declares the types that fields use and that the plugin does not declare itself. It comes last,
/// when all that the plugin declares is known.
pub(in crate::extension::graphql) fn declare(collected: &mut Collected) {
    let mut made: Vec<EnumUse> = Vec::new();
    for used in std::mem::take(&mut collected.enums) {
        let own = collected.declarations.types.iter().find(|def| def.name() == &*used.type_name);
        let first = made.iter().find(|made| made.type_name == used.type_name);
        let wrong = match own {
            Some(own) => used.misfit(own),
            None => used.conflict(first),
        };
        if let Some(wrong) = wrong {
            let message =
                format!("{}: {wrong}, or give the field a type in \"fields\"", used.field);
            collected.problems.push((used.place, message));
        } else if own.is_none() && first.is_none() {
            made.push(used);
        }
    }
    collected.declarations.types.extend(made.into_iter().map(EnumUse::into_type));
}

/// `poll_state` → `PollState`, `pollState` → `PollState`.
fn pascal_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut chars = word.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(chars.as_str());
    }
    out
}
