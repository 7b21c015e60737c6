//! Input coercion: arguments (specification, section 6.4.1) and the input types themselves
//! (section 3). See [`super::variables`] for variables.

use std::sync::Arc;

use async_graphql::Positioned;
use async_graphql::parser::types::{BaseType, Type as ParsedType, VariableDefinition};
use async_graphql_value::{ConstValue as ConstLiteral, Value as Literal};

use super::response::PathSegment;
use super::scalar::Scalar;
use super::tables::{CustomScalar, EnumType, InputType, Type, Types};
use super::types::TypeRef;
use crate::nearest::hint;
use crate::value::{Map, Value};

/// One thing that is wrong with an input value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issue {
    pub path: Vec<PathSegment>,
    /// What was found, shortened.
    pub found: String,
    pub message: String,
}

/// What a variable in a literal stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Variables<'v> {
    /// The coerced variables of a request.
    Known(&'v Map),
    /// Not known yet: literals are checked around them, and they by these definitions.
    Unknown(&'v [Positioned<VariableDefinition>]),
}

/// Declared defaults may contain each other; deeper than this they must be going in a circle.
pub(super) const MAX_DEFAULTS: usize = 16;

/// A value of a custom scalar, which its owner has yet to read.
#[derive(Debug, Clone)]
pub(super) struct CustomValue {
    pub scalar: Arc<CustomScalar>,
    /// As clients see it.
    pub path: Vec<PathSegment>,
    /// Where it is in the coerced value, with the lists that were made around single values.
    pub place: Vec<PathSegment>,
}

/// Coerces values and collects everything that is wrong with them.
#[derive(Debug)]
pub(super) struct Coercer<'t> {
    types: &'t Types,
    pub path: Vec<PathSegment>,
    place: Vec<PathSegment>,
    /// What its owners have yet to read.
    pub custom: Vec<CustomValue>,
    /// How many defaults deep it is.
    pub(super) defaults: usize,
    /// Whether the literal in hand is for an input that has a default.
    pub(super) has_default: bool,
    pub issues: Vec<Issue>,
    /// The variables that are allowed where they are only because the position has a default.
    pub allowed_by_default: Vec<String>,
}

impl<'t> Coercer<'t> {
    pub(super) fn new(types: &'t Types) -> Self {
        Coercer {
            types,
            path: Vec::new(),
            place: Vec::new(),
            custom: Vec::new(),
            defaults: 0,
            has_default: false,
            issues: Vec::new(),
            allowed_by_default: Vec::new(),
        }
    }

    pub(super) fn issue(&mut self, found: String, message: impl Into<String>) {
        self.issues.push(Issue { path: self.path.clone(), found, message: message.into() });
    }

    pub(super) fn within<T>(
        &mut self,
        segment: PathSegment,
        run: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.path.push(segment.clone());
        let result = self.placed(segment, run);
        self.path.pop();
        result
    }

    fn placed<T>(&mut self, segment: PathSegment, run: impl FnOnce(&mut Self) -> T) -> T {
        self.place.push(segment);
        let result = run(self);
        self.place.pop();
        result
    }

    fn custom(&mut self, scalar: &Arc<CustomScalar>, value: Value) -> Value {
        self.custom.push(CustomValue {
            scalar: Arc::clone(scalar),
            path: self.path.clone(),
            place: self.place.clone(),
        });
        value
    }

    /// Coerces a value from outside GraphQL: a variable's or a declared default. After an issue
    /// the result has no meaning.
    pub(super) fn value(&mut self, ty: &TypeRef, value: &Value) -> Value {
        match (ty, value) {
            (TypeRef::NonNull(_), Value::Null) => {
                let message = format!("Expected non-nullable type \"{ty}\" not to be null.");
                self.issue("null".to_owned(), message);
                Value::Null
            }
            (TypeRef::NonNull(inner), _) => self.value(inner, value),
            (_, Value::Null) => Value::Null,
            (TypeRef::List(inner), Value::List(items)) => Value::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| {
                        self.within(PathSegment::Index(i), |this| this.value(inner, item))
                    })
                    .collect(),
            ),
            (TypeRef::List(inner), single) => {
                let first = PathSegment::Index(0);
                Value::List(vec![self.placed(first, |this| this.value(inner, single))])
            }
            (TypeRef::Named(name), _) => match self.types.get(name) {
                Some(Type::Scalar(scalar)) => self.scalar(*scalar, value),
                Some(Type::Custom(scalar)) => self.custom(scalar, value.clone()),
                Some(Type::Enum(def)) => match value {
                    Value::String(s) => self.enum_value(def, s),
                    _ => self.not_an_enum(def, value.excerpt()),
                },
                Some(Type::Input(def)) => match value {
                    Value::Map(map) => self.object(def, map),
                    // Lua has one empty table.
                    Value::List(list) if list.is_empty() => self.object(def, &Map::new()),
                    _ => self.not_an_object(def, value.excerpt()),
                },
                Some(Type::Object(_) | Type::Abstract(_)) | None => {
                    self.not_an_input(name, value.excerpt())
                }
            },
        }
    }

    /// Coerces a literal from a document. `None` is a variable without a value: as if nothing
    /// had been written.
    pub(super) fn literal(
        &mut self,
        ty: &TypeRef,
        literal: &Literal,
        variables: Variables<'_>,
    ) -> Option<Value> {
        let has_default = std::mem::take(&mut self.has_default);
        if let Literal::Variable(name) = literal {
            return match variables {
                Variables::Known(known) => self.variable(ty, name, known),
                Variables::Unknown(definitions) => {
                    self.position(ty, name, definitions, has_default);
                    Some(Value::Null)
                }
            };
        }
        Some(match (ty, literal) {
            (TypeRef::NonNull(_), Literal::Null) => {
                let message = format!("Expected value of type \"{ty}\", found null.");
                self.issue("null".to_owned(), message);
                Value::Null
            }
            (TypeRef::NonNull(inner), _) => return self.literal(inner, literal, variables),
            (_, Literal::Null) => Value::Null,
            (TypeRef::List(inner), Literal::List(items)) => {
                let mut list = Vec::with_capacity(items.len());
                for (i, item) in items.iter().enumerate() {
                    let item = self.within(PathSegment::Index(i), |this| {
                        let value = this.literal(inner, item, variables);
                        if value.is_none() && inner.is_non_null() {
                            let message =
                                format!("Expected value of type \"{inner}\", found {item}.");
                            this.issue(item.to_string(), message);
                        }
                        value
                    });
                    list.push(item.unwrap_or_default());
                }
                Value::List(list)
            }
            (TypeRef::List(inner), single) => {
                let first = PathSegment::Index(0);
                let item = self.placed(first, |this| this.literal(inner, single, variables));
                Value::List(vec![item?])
            }
            (TypeRef::Named(name), _) => match self.types.get(name) {
                Some(Type::Scalar(scalar)) => self.scalar_literal(*scalar, literal, variables),
                Some(Type::Custom(scalar)) => {
                    let value = plain(literal, variables);
                    self.custom(scalar, value)
                }
                Some(Type::Enum(def)) => match literal {
                    Literal::Enum(name) => self.enum_value(&def.clone(), name),
                    other => self.not_an_enum(&def.clone(), other.to_string()),
                },
                Some(Type::Input(def)) => match literal {
                    Literal::Object(entries) => {
                        self.object_literal(&def.clone(), entries, variables)
                    }
                    other => self.not_an_object(&def.clone(), other.to_string()),
                },
                Some(Type::Object(_) | Type::Abstract(_)) | None => {
                    self.not_an_input(name, literal.to_string())
                }
            },
        })
    }

    /// The value of a variable in an argument. Validation made sure that its type fits.
    fn variable(&mut self, ty: &TypeRef, name: &str, known: &Map) -> Option<Value> {
        let value = known.get(name)?;
        if ty.is_non_null() && value.is_null() {
            let message = format!("Expected non-nullable type \"{ty}\" not to be null.");
            self.issue(format!("${name}"), message);
        }
        Some(value.clone())
    }

    /// IsVariableUsageAllowed (section 5.8.5).
    fn position(
        &mut self,
        ty: &TypeRef,
        name: &str,
        definitions: &[Positioned<VariableDefinition>],
        has_default: bool,
    ) {
        let Some(definition) = definitions.iter().find(|def| def.node.name.node == *name) else {
            // The library reports it.
            return;
        };
        let variable = type_ref(&definition.node.var_type.node);
        let own_default = definition.node.default_value.as_ref();
        let own_default = own_default.is_some_and(|default| default.node != ConstLiteral::Null);
        let wanted = match has_default || own_default {
            true => ty.nullable(),
            false => ty,
        };
        if !fits(&variable, wanted) {
            let message = format!(
                "Variable \"${name}\" of type \"{variable}\" used in position expecting type \
                 \"{ty}\"."
            );
            self.issue(format!("${name}"), message);
        } else if !own_default && !fits(&variable, ty) {
            self.allowed_by_default.push(name.to_owned());
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) -> Value {
        scalar.parse(value).unwrap_or_else(|message| {
            self.issue(value.excerpt(), message);
            Value::Null
        })
    }

    fn scalar_literal(
        &mut self,
        scalar: Scalar,
        literal: &Literal,
        variables: Variables<'_>,
    ) -> Value {
        // A literal says more than its value: `1.0` is not an Int literal, though 1 equals it.
        let refused = match literal {
            Literal::Number(n) => scalar == Scalar::Int && n.is_f64(),
            Literal::Enum(_) => scalar != Scalar::Json,
            _ => false,
        };
        if refused {
            let message = match scalar {
                Scalar::Int => format!("Int cannot represent non-integer value: {literal}"),
                _ => format!("{} cannot represent value: {literal}", scalar.name()),
            };
            self.issue(literal.to_string(), message);
            return Value::Null;
        }
        let value = plain(literal, variables);
        self.scalar(scalar, &value)
    }

    fn enum_value(&mut self, def: &EnumType, name: &str) -> Value {
        if def.values.iter().any(|value| &**value == name) {
            return Value::from(name);
        }
        let hint = hint(name, def.values.iter().map(|value| &**value));
        let message = format!("Value {name:?} does not exist in \"{}\" enum.{hint}", def.name);
        self.issue(Value::from(name).excerpt(), message);
        Value::Null
    }

    fn not_an_enum(&mut self, def: &EnumType, found: String) -> Value {
        let message = format!("Enum \"{}\" cannot represent non-enum value: {found}.", def.name);
        self.issue(found, message);
        Value::Null
    }

    fn not_an_object(&mut self, def: &InputType, found: String) -> Value {
        self.issue(found, format!("Expected type \"{}\" to be an object.", def.name));
        Value::Null
    }

    fn not_an_input(&mut self, name: &str, found: String) -> Value {
        self.issue(found, format!("\"{name}\" is not an input type."));
        Value::Null
    }
}

/// Our form of a type reference in a document.
pub(super) fn type_ref(ty: &ParsedType) -> TypeRef {
    let base = match &ty.base {
        BaseType::Named(name) => TypeRef::Named(name.as_str().into()),
        BaseType::List(inner) => TypeRef::List(Box::new(type_ref(inner))),
    };
    match ty.nullable {
        true => base,
        false => TypeRef::NonNull(Box::new(base)),
    }
}

/// AreTypesCompatible (section 5.8.5).
fn fits(variable: &TypeRef, position: &TypeRef) -> bool {
    match (variable, position) {
        (TypeRef::NonNull(variable), TypeRef::NonNull(position)) => fits(variable, position),
        (_, TypeRef::NonNull(_)) => false,
        (TypeRef::NonNull(variable), position) => fits(variable, position),
        (TypeRef::List(variable), TypeRef::List(position)) => fits(variable, position),
        (variable, position) => variable == position,
    }
}

/// A literal as a plain value, for scalars. A variable without a value is null.
fn plain(literal: &Literal, variables: Variables<'_>) -> Value {
    match literal {
        Literal::Null | Literal::Binary(_) => Value::Null,
        Literal::Variable(name) => match variables {
            Variables::Known(known) => known.get(name.as_str()).cloned().unwrap_or_default(),
            Variables::Unknown(_) => Value::Null,
        },
        Literal::Number(n) => match n.as_i64() {
            Some(i) => Value::Int(i),
            None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Literal::String(s) => Value::String(s.clone()),
        Literal::Boolean(b) => Value::Bool(*b),
        Literal::Enum(name) => Value::from(name.as_str()),
        Literal::List(items) => {
            Value::List(items.iter().map(|item| plain(item, variables)).collect())
        }
        Literal::Object(entries) => {
            Value::Map(entries.iter().map(|(k, v)| (k.to_string(), plain(v, variables))).collect())
        }
    }
}
