//! The declared types in the form that execution uses: by name, with references resolved.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::constraints::Constraints;
use super::model::{
    Auth, Declarations, EnumDef, FieldDef, InputDef, InputValueDef, ObjectDef, Operation, Resolve,
    TypeDef,
};
use super::resolve::{ScalarCodec, TypeResolver};
use super::scalar::Scalar;
use super::types::TypeRef;
use crate::value::Value;

/// How many items a list is taken to have if nothing says so.
const LIST_SIZE: u64 = 10;

/// Arguments that say how many items a list has.
const SIZE_ARGUMENTS: [&str; 5] = ["first", "last", "limit", "take", "pageSize"];

/// All types of a schema, by name. The root types are among them.
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
    Custom(Arc<CustomScalar>),
    Enum(Arc<EnumType>),
    Input(Arc<InputType>),
    Object(Arc<ObjectType>),
    Abstract(Arc<AbstractType>),
}

/// A scalar that its owner reads and writes.
#[derive(Debug)]
pub(super) struct CustomScalar {
    pub name: Arc<str>,
    pub owner: Arc<str>,
    pub codec: Arc<dyn ScalarCodec>,
}

/// An interface or a union.
#[derive(Debug)]
pub(super) struct AbstractType {
    pub name: Arc<str>,
    pub owner: Arc<str>,
    /// Its object types, sorted.
    pub possible: Vec<Arc<str>>,
    pub resolver: Option<Arc<dyn TypeResolver>>,
    /// The types of an interface's fields.
    pub fields: HashMap<Arc<str>, TypeRef>,
}

#[derive(Debug)]
pub(super) struct EnumType {
    pub name: Arc<str>,
    pub values: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct InputType {
    pub name: Arc<str>,
    /// Whether exactly one field must be given.
    pub one_of: bool,
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
    /// The names of its interfaces and unions.
    pub member_of: HashSet<Arc<str>>,
    pub fields: HashMap<Arc<str>, Arc<Field>>,
}

impl ObjectType {
    /// Whether every object of this type is one of the type of that name.
    pub(super) fn is_a(&self, name: &str) -> bool {
        *self.name == *name || self.member_of.contains(name)
    }
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
    pub resolver: Option<Resolve>,
    /// For root fields.
    pub auth: Option<Auth>,
    /// Who has declared it.
    pub owner: Arc<str>,
    /// For a field that was added to a type of somebody else: what its resolver sees of the parent.
    pub visible: Option<Arc<[Arc<str>]>>,
    /// What it costs each time, without what is below it.
    pub cost: u64,
    /// How long it may take, if that is longer than an operation otherwise may.
    pub time_limit: Option<Duration>,
    /// How many times what is below it is taken to be there.
    pub list_size: u64,
    /// The arguments that say so.
    pub size_arguments: Vec<Arc<str>>,
}

/// A field's type with its names resolved.
#[derive(Debug, Clone)]
pub(super) enum OutputType {
    NonNull(Box<OutputType>),
    List(Box<OutputType>),
    Scalar(Scalar),
    Custom(Arc<CustomScalar>),
    Enum(Arc<EnumType>),
    Object(Arc<str>),
    Abstract(Arc<AbstractType>),
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
        let mut objects: Vec<(&str, &ObjectDef)> = Vec::new();
        let mut member_of: HashMap<&str, HashSet<Arc<str>>> = HashMap::new();
        for (owner, def) in
            sets.iter().flat_map(|set| set.types.iter().map(|def| (&*set.owner, def)))
        {
            match def {
                TypeDef::Object(def) => {
                    let interfaces = def.interfaces.iter().map(|name| name.as_str().into());
                    member_of.entry(&def.name).or_default().extend(interfaces);
                    objects.push((owner, def));
                }
                TypeDef::Union(def) => {
                    for name in &def.types {
                        member_of.entry(name).or_default().insert(def.name.as_str().into());
                    }
                }
                _ => {}
            }
        }
        for (owner, def) in
            sets.iter().flat_map(|set| set.types.iter().map(|def| (&*set.owner, def)))
        {
            if types.contains_key(def.name()) {
                continue;
            }
            let name: Arc<str> = def.name().into();
            let owner: Arc<str> = owner.into();
            let (resolver, fields) = match def {
                TypeDef::Interface(def) => (def.resolve_type.clone(), def.fields.as_slice()),
                TypeDef::Union(def) => (def.resolve_type.clone(), [].as_slice()),
                _ => (None, [].as_slice()),
            };
            let entry = match def {
                TypeDef::Enum(def) => Type::Enum(Arc::new(enum_type(def))),
                TypeDef::Input(def) => Type::Input(Arc::new(input_type(def, &constrained))),
                TypeDef::Scalar(def) => {
                    let codec = Arc::clone(&def.codec);
                    Type::Custom(Arc::new(CustomScalar { name: name.clone(), owner, codec }))
                }
                TypeDef::Interface(_) | TypeDef::Union(_) => {
                    let mut possible: Vec<Arc<str>> = member_of
                        .iter()
                        .filter(|(_, of)| of.contains(&name))
                        .map(|(object, _)| (*object).into())
                        .collect();
                    possible.sort();
                    let fields =
                        fields.iter().map(|f| (f.name.as_str().into(), f.ty.clone())).collect();
                    let name = name.clone();
                    Type::Abstract(Arc::new(AbstractType {
                        name,
                        owner,
                        possible,
                        resolver,
                        fields,
                    }))
                }
                // Replaced below, when every name is known.
                TypeDef::Object(_) => Type::Object(Arc::new(ObjectType {
                    name: name.clone(),
                    member_of: HashSet::new(),
                    fields: HashMap::new(),
                })),
            };
            types.insert(name, entry);
        }
        let mut tables = Types { types, constrained };
        let mut built: Vec<ObjectType> = objects
            .into_iter()
            .map(|(owner, def)| {
                let fields = def.fields.iter().map(|field| (owner, field, None));
                let member_of = member_of.remove(&*def.name).unwrap_or_default();
                tables.object(&def.name, Some(owner), member_of, fields)
            })
            .collect();
        for operation in Operation::ALL {
            let fields = sets.iter().flat_map(|set| set.fields.iter().map(|f| (&*set.owner, f)));
            let fields = fields
                .filter(|(_, root)| root.operation == operation)
                .map(|(owner, root)| (owner, &root.field, Some(root.auth.clone())));
            let object = tables.object(operation.type_name(), None, HashSet::new(), fields);
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

    /// Whether there is an interface or a union.
    pub(super) fn has_abstract(&self) -> bool {
        self.types.values().any(|ty| matches!(ty, Type::Abstract(_)))
    }

    pub(super) fn object_type(&self, name: &str) -> Option<&Arc<ObjectType>> {
        match self.types.get(name) {
            Some(Type::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// `of` is who has declared the type; a root type is nobody's.
    fn object<'d>(
        &self,
        name: &str,
        of: Option<&str>,
        member_of: HashSet<Arc<str>>,
        fields: impl Iterator<Item = (&'d str, &'d FieldDef, Option<Auth>)>,
    ) -> ObjectType {
        let name: Arc<str> = name.into();
        let fields: Vec<_> = fields.collect();
        let readable: Arc<[Arc<str>]> = fields
            .iter()
            .filter(|(_, field, _)| field.resolver.is_none())
            .map(|(_, field, _)| field.name.as_str().into())
            .collect();
        let fields = fields
            .into_iter()
            .filter_map(|(owner, def, auth)| {
                let owner = def.added_by.clone().unwrap_or_else(|| owner.into());
                let args: Vec<Input> = def.args.iter().map(|arg| self.input(arg)).collect();
                let is_foreign = of.is_some_and(|of| of != &*owner);
                let size_arguments: Vec<Arc<str>> = args
                    .iter()
                    .filter(|arg| {
                        let is_int = arg.ty.nullable() == &TypeRef::Named("Int".into());
                        is_int && SIZE_ARGUMENTS.contains(&&*arg.name)
                    })
                    .map(|arg| arg.name.clone())
                    .collect();
                let field = Field {
                    name: def.name.as_str().into(),
                    parent: name.clone(),
                    ty: def.ty.clone(),
                    output: self.output_type(&def.ty)?,
                    constrained: args.iter().any(|arg| arg.constrained),
                    args,
                    resolver: def.resolver.clone(),
                    auth,
                    owner,
                    visible: is_foreign.then(|| Arc::clone(&readable)),
                    cost: def.cost.own.unwrap_or(1),
                    time_limit: def.time_limit,
                    list_size: def.cost.list_size.unwrap_or(match def.ty.is_list() {
                        true => LIST_SIZE,
                        false => 1,
                    }),
                    size_arguments,
                };
                Some((field.name.clone(), Arc::new(field)))
            })
            .collect();
        ObjectType { name, member_of, fields }
    }

    fn output_type(&self, ty: &TypeRef) -> Option<OutputType> {
        Some(match ty {
            TypeRef::NonNull(inner) => OutputType::NonNull(Box::new(self.output_type(inner)?)),
            TypeRef::List(inner) => OutputType::List(Box::new(self.output_type(inner)?)),
            TypeRef::Named(name) => match self.types.get(name)? {
                Type::Scalar(scalar) => OutputType::Scalar(*scalar),
                Type::Custom(scalar) => OutputType::Custom(Arc::clone(scalar)),
                Type::Enum(def) => OutputType::Enum(def.clone()),
                Type::Object(def) => OutputType::Object(def.name.clone()),
                Type::Abstract(def) => OutputType::Abstract(Arc::clone(def)),
                Type::Input(_) => return None,
            },
        })
    }
}

impl OutputType {
    /// The type without its lists and non-nulls.
    pub(super) fn innermost(&self) -> &OutputType {
        match self {
            OutputType::NonNull(inner) | OutputType::List(inner) => inner.innermost(),
            other => other,
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
    InputType { name: def.name.as_str().into(), one_of: def.one_of, fields }
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
