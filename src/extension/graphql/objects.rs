//! Coercion of input objects, and of arguments, which are like one.

use async_graphql::{Name, Positioned};
use async_graphql_value::Value as Literal;

use super::coerce::{Coercer, MAX_DEFAULTS, Variables};
use super::response::PathSegment;
use super::tables::{Input, InputType};
use crate::nearest::hint;
use crate::value::{Map, Value};

impl Coercer<'_> {
    pub(super) fn object(&mut self, def: &InputType, map: &Map) -> Value {
        let mut out = Map::with_capacity(map.len());
        for field in &def.fields {
            match map.get(&*field.name) {
                Some(value) => {
                    let value = self.within(PathSegment::Key(field.name.clone()), |this| {
                        this.value(&field.ty, value)
                    });
                    out.insert(field.name.to_string(), value);
                }
                None => self.absent(field, &mut out, || Value::Map(map.clone()).excerpt()),
            }
        }
        for key in map.keys() {
            self.known(def, key, || Value::Map(map.clone()).excerpt());
        }
        if def.one_of {
            let is_right = map.len() == 1 && map.values().all(|value| !value.is_null());
            self.one_of(def, is_right, || Value::Map(map.clone()).excerpt());
        }
        Value::Map(out)
    }

    pub(super) fn object_literal(
        &mut self,
        def: &InputType,
        entries: &async_graphql::indexmap::IndexMap<Name, Literal>,
        variables: Variables<'_>,
    ) -> Value {
        let mut out = Map::with_capacity(entries.len());
        for field in &def.fields {
            let value = entries.get(&*field.name).and_then(|literal| {
                self.has_default = field.default.is_some();
                self.within(PathSegment::Key(field.name.clone()), |this| {
                    this.literal(&field.ty, literal, variables)
                })
            });
            match value {
                Some(value) => {
                    out.insert(field.name.to_string(), value);
                }
                None => {
                    self.absent(field, &mut out, || Literal::Object(entries.clone()).to_string())
                }
            }
        }
        for key in entries.keys() {
            self.known(def, key, || Literal::Object(entries.clone()).to_string());
        }
        if def.one_of {
            let found = || Literal::Object(entries.clone()).to_string();
            let is_right = entries.len() == 1 && !entries.values().any(|v| *v == Literal::Null);
            self.one_of(def, is_right, found);
            if let (Some(Literal::Variable(name)), Variables::Unknown(definitions)) =
                (entries.values().next(), variables)
                && let Some(variable) = definitions.iter().find(|d| d.node.name.node == *name)
                && variable.node.var_type.node.nullable
            {
                let message = format!(
                    "Variable \"${name}\" must be non-nullable to be used for OneOf Input Object \
                     \"{}\".",
                    def.name
                );
                self.issue(format!("${name}"), message);
            }
        }
        Value::Map(out)
    }

    /// OneOf input objects (section 3.10.1).
    fn one_of(&mut self, def: &InputType, is_right: bool, found: impl FnOnce() -> String) {
        if !is_right {
            let message = format!(
                "Exactly one key must be specified for OneOf type \"{}\", and its value must not be \
                 null.",
                def.name
            );
            self.issue(found(), message);
        }
    }

    /// An input field or argument that was not given: its default, an absent key, or an issue.
    fn absent(&mut self, input: &Input, out: &mut Map, found: impl FnOnce() -> String) {
        match &input.default {
            Some(default) if self.defaults == MAX_DEFAULTS => {
                let message = format!("The default of \"{}\" contains itself.", input.name);
                self.issue(default.excerpt(), message);
            }
            Some(default) => {
                self.defaults += 1;
                let value = self.within(PathSegment::Key(input.name.clone()), |this| {
                    this.value(&input.ty, default)
                });
                self.defaults -= 1;
                out.insert(input.name.to_string(), value);
            }
            None if input.ty.is_non_null() => {
                let message = format!(
                    "Field \"{}\" of required type \"{}\" was not provided.",
                    input.name, input.ty
                );
                self.issue(found(), message);
            }
            None => {}
        }
    }

    fn known(&mut self, def: &InputType, key: &str, found: impl FnOnce() -> String) {
        if !def.fields.iter().any(|field| &*field.name == key) {
            let hint = hint(key, def.fields.iter().map(|field| &*field.name));
            let message = format!("Field \"{key}\" is not defined by type \"{}\".{hint}", def.name);
            self.issue(found(), message);
        }
    }

    /// CoerceArgumentValues (section 6.4.1).
    pub(super) fn arguments<'d>(
        &mut self,
        declared: &[Input],
        written: &'d [(Positioned<Name>, Positioned<Literal>)],
        variables: Variables<'_>,
    ) -> Map {
        let mut out = Map::with_capacity(declared.len());
        for input in declared {
            let literal: Option<&'d Literal> = written
                .iter()
                .find(|(name, _)| name.node.as_str() == &*input.name)
                .map(|(_, value)| &value.node);
            let value = literal.and_then(|literal| {
                self.has_default = input.default.is_some();
                self.within(PathSegment::Key(input.name.clone()), |this| {
                    this.literal(&input.ty, literal, variables)
                })
            });
            match value {
                Some(value) => {
                    out.insert(input.name.to_string(), value);
                }
                None if input.is_required() => {
                    let message = format!(
                        "Argument \"{}\" of required type \"{}\" was not provided.",
                        input.name, input.ty
                    );
                    self.within(PathSegment::Key(input.name.clone()), |this| {
                        this.issue("nothing".to_owned(), message);
                    });
                }
                None => self.absent(input, &mut out, String::new),
            }
        }
        out
    }
}
