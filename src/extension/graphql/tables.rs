//! The declared types in the form that execution uses: by name, with references resolved.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::constraints::Constraints;
use super::model::{
    Auth, Declarations, EnumDef, FieldDef, InputDef, InputValueDef, ObjectDef, Operation, Resolver,
    TypeDef,
};
use super::scalar::Scalar;
use super::types::TypeRef;
use crate::value::Value;

/// All types of a schema, by name. `Query` and `Mutation` are among them.
#[derive(Debug, Default)]
pub(super) struct Types {
    pub types: HashMap<Arc<str>, Type>,
    /// The names of the input types with constraints anywhere in them.
    constrained: HashSet<Arc<str>>,
}

/// A type.
#[derive(Debug, Clone)]
pub(super) enum Type {
    Scalar(Scalar),
    Enum(Arc<EnumType>),
    Input(Arc<InputType>),
    Object(Arc<ObjectType>),
}

#[derive(Debug)]
pub(super) struct EnumType {
    pub name: Arc<str>,
    pub values: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct InputType {
    pub name: Arc<str>,
    pub fields: Vec<Input>,
}

/// An argument or a field of an input type.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub name: Arc<str>,
    pub ty: TypeRef,
    /// As declared; coerced when it is used.
    pub default: Option<Value>,
    pub constraints: Option<Arc<Constraints>>,
    /// Whether there are constraints on it or on anything in it.
    pub constrained: bool,
}

impl Input {
    pub(super) fn is_required(&self) -> bool {
        self.ty.is_non_null() && self.default.is_none()
    }
}

#[derive(Debug)]
pub(super) struct ObjectType {
    pub name: Arc<str>,
    pub fields: HashMap<Arc<str>, Arc<Field>>,
}

/// A field, ready to be executed.
#[derive(Debug)]
pub(super) struct Field {
    pub name: Arc<str>,
    /// The object type it belongs to.
    pub parent: Arc<str>,
    pub ty: TypeRef,
    pub output: OutputType,
    pub args: Vec<Input>,
    /// Whether there are constraints on any argument or anything in one.
    pub constrained: bool,
    pub resolver: Option<Arc<dyn Resolver>>,
    /// For root fields.
    pub auth: Option<Auth>,
}

/// A field's type with its names resolved.
#[derive(Debug, Clone)]
pub(super) enum OutputType {
    NonNull(Box<OutputType>),
    List(Box<OutputType>),
    Scalar(Scalar),
    Enum(Arc<EnumType>),
    Object(Arc<str>),
}

impl Types {
    /// Builds the tables. What [`super::check`] refuses must have been refused before: a field
    /// whose type is unknown or not an output type is left out here.
    pub(super) fn new(sets: &[Arc<Declarations>]) -> Self {
        let mut types: HashMap<Arc<str>, Type> = Scalar::ALL
            .into_iter()
            .map(|scalar| (scalar.name().into(), Type::Scalar(scalar)))
            .collect();
        let constrained = constrained(sets);
        let mut objects: Vec<&ObjectDef> = Vec::new();
        for def in sets.iter().flat_map(|set| &set.types) {
            if types.contains_key(def.name()) {
                continue;
            }
            let entry = match def {
                TypeDef::Enum(def) => Type::Enum(Arc::new(enum_type(def))),
                TypeDef::Input(def) => Type::Input(Arc::new(input_type(def, &constrained))),
                TypeDef::Object(def) => {
                    objects.push(def);
                    // Replaced below, when every name is known.
                    Type::Object(Arc::new(ObjectType {
                        name: def.name.as_str().into(),
                        fields: HashMap::new(),
                    }))
                }
            };
            types.insert(def.name().into(), entry);
        }
        let mut tables = Types { types, constrained };
        let mut built: Vec<ObjectType> = objects
            .into_iter()
            .map(|def| tables.object(&def.name, def.fields.iter().map(|field| (field, None))))
            .collect();
        for operation in [Operation::Query, Operation::Mutation] {
            let fields = sets
                .iter()
                .flat_map(|set| &set.fields)
                .filter(|root| root.operation == operation)
                .map(|root| (&root.field, Some(root.auth.clone())));
            let object = tables.object(operation.type_name(), fields);
            if !object.fields.is_empty() {
                built.push(object);
            }
        }
        for object in built {
            tables.types.insert(object.name.clone(), Type::Object(Arc::new(object)));
        }
        tables
    }

    /// An argument or input field in the form that execution uses.
    pub(super) fn input(&self, def: &InputValueDef) -> Input {
        input(def, &self.constrained)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    pub(super) fn object_type(&self, name: &str) -> Option<&Arc<ObjectType>> {
        match self.types.get(name) {
            Some(Type::Object(object)) => Some(object),
            _ => None,
        }
    }

    fn object<'d>(
        &self,
        name: &str,
        fields: impl Iterator<Item = (&'d FieldDef, Option<Auth>)>,
    ) -> ObjectType {
        let name: Arc<str> = name.into();
        let fields = fields
            .filter_map(|(def, auth)| {
                let args: Vec<Input> = def.args.iter().map(|arg| self.input(arg)).collect();
                let field = Field {
                    name: def.name.as_str().into(),
                    parent: name.clone(),
                    ty: def.ty.clone(),
                    output: self.output_type(&def.ty)?,
                    constrained: args.iter().any(|arg| arg.constrained),
                    args,
                    resolver: def.resolver.clone(),
                    auth,
                };
                Some((field.name.clone(), Arc::new(field)))
            })
            .collect();
        ObjectType { name, fields }
    }

    fn output_type(&self, ty: &TypeRef) -> Option<OutputType> {
        Some(match ty {
            TypeRef::NonNull(inner) => OutputType::NonNull(Box::new(self.output_type(inner)?)),
            TypeRef::List(inner) => OutputType::List(Box::new(self.output_type(inner)?)),
            TypeRef::Named(name) => match self.types.get(name)? {
                Type::Scalar(scalar) => OutputType::Scalar(*scalar),
                Type::Enum(def) => OutputType::Enum(def.clone()),
                Type::Object(def) => OutputType::Object(def.name.clone()),
                Type::Input(_) => return None,
            },
        })
    }
}

impl OutputType {
    /// The name of the object type, if the innermost type is one.
    pub(super) fn object_name(&self) -> Option<&Arc<str>> {
        match self {
            OutputType::NonNull(inner) | OutputType::List(inner) => inner.object_name(),
            OutputType::Object(name) => Some(name),
            OutputType::Scalar(_) | OutputType::Enum(_) => None,
        }
    }
}

fn enum_type(def: &EnumDef) -> EnumType {
    EnumType {
        name: def.name.as_str().into(),
        values: def.values.iter().map(|value| value.name.as_str().into()).collect(),
    }
}

/// The input types with constraints on a field, or on a field of a type that a field has.
fn constrained(sets: &[Arc<Declarations>]) -> HashSet<Arc<str>> {
    let defs = || {
        sets.iter().flat_map(|set| &set.types).filter_map(|def| match def {
            TypeDef::Input(def) => Some(def),
            _ => None,
        })
    };
    let mut found: HashSet<Arc<str>> = HashSet::new();
    loop {
        let more: Vec<Arc<str>> = defs()
            .filter(|def| !found.contains(def.name.as_str()))
            .filter(|def| {
                def.fields
                    .iter()
                    .any(|field| !field.constraints.is_empty() || found.contains(field.ty.name()))
            })
            .map(|def| def.name.as_str().into())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn input_type(def: &InputDef, constrained: &HashSet<Arc<str>>) -> InputType {
    let fields = def.fields.iter().map(|field| input(field, constrained)).collect();
    InputType { name: def.name.as_str().into(), fields }
}

fn input(def: &InputValueDef, constrained: &HashSet<Arc<str>>) -> Input {
    let own = !def.constraints.is_empty();
    Input {
        name: def.name.as_str().into(),
        ty: def.ty.clone(),
        default: def.default.clone(),
        constraints: own.then(|| Arc::new(def.constraints.clone())),
        constrained: own || constrained.contains(def.ty.name()),
    }
}
