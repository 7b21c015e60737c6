//! What plugins and the host declare: types and root fields, as plain data.

use std::sync::Arc;
use std::time::Duration;

use super::constraints::Constraints;
use super::resolve::{AuthCheck, BatchResolver, Resolver, ScalarCodec, Subscriber, TypeResolver};
use super::types::TypeRef;
use crate::value::Value;

/// The owner of the host's own declarations.
pub const HOST: &str = "host";

/// Everything one owner adds to the schema.
#[derive(Debug, Clone, Default)]
pub struct Declarations {
    /// The plugin's id, or [`HOST`].
    pub owner: String,
    /// Whether the owner is a plugin, whose types others may only add to if they depend on it.
    pub is_plugin: bool,
    /// The plugins whose types it may add to, beside those of the host.
    pub dependencies: Vec<String>,
    pub types: Vec<TypeDef>,
    pub extensions: Vec<ExtensionDef>,
    pub fields: Vec<RootField>,
}

/// Where something was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Relative to the plugin's folder, with forward slashes.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// A declared type.
#[derive(Debug, Clone)]
pub enum TypeDef {
    Object(ObjectDef),
    Interface(InterfaceDef),
    Union(UnionDef),
    Input(InputDef),
    Enum(EnumDef),
    Scalar(ScalarDef),
}

impl TypeDef {
    /// The type's name.
    pub fn name(&self) -> &str {
        match self {
            TypeDef::Object(def) => &def.name,
            TypeDef::Interface(def) => &def.name,
            TypeDef::Union(def) => &def.name,
            TypeDef::Input(def) => &def.name,
            TypeDef::Enum(def) => &def.name,
            TypeDef::Scalar(def) => &def.name,
        }
    }

    /// Where it was declared.
    pub fn place(&self) -> Option<&Place> {
        match self {
            TypeDef::Object(def) => def.place.as_ref(),
            TypeDef::Interface(def) => def.place.as_ref(),
            TypeDef::Union(def) => def.place.as_ref(),
            TypeDef::Input(def) => def.place.as_ref(),
            TypeDef::Enum(def) => def.place.as_ref(),
            TypeDef::Scalar(def) => def.place.as_ref(),
        }
    }

    /// Whether both declare the same type. Places are ignored, and so is which function a
    /// resolver is (two closures cannot be compared), but not whether there is one.
    pub fn same_as(&self, other: &TypeDef) -> bool {
        match (self, other) {
            (TypeDef::Object(a), TypeDef::Object(b)) => {
                a.name == b.name
                    && a.description == b.description
                    && a.interfaces == b.interfaces
                    && same_fields(&a.fields, &b.fields)
            }
            (TypeDef::Interface(a), TypeDef::Interface(b)) => {
                a.name == b.name
                    && a.description == b.description
                    && a.interfaces == b.interfaces
                    && a.resolve_type.is_some() == b.resolve_type.is_some()
                    && same_fields(&a.fields, &b.fields)
            }
            (TypeDef::Union(a), TypeDef::Union(b)) => {
                a.name == b.name
                    && a.description == b.description
                    && a.types == b.types
                    && a.resolve_type.is_some() == b.resolve_type.is_some()
            }
            (TypeDef::Scalar(a), TypeDef::Scalar(b)) => {
                a.name == b.name
                    && a.description == b.description
                    && a.specified_by == b.specified_by
            }
            (TypeDef::Input(a), TypeDef::Input(b)) => {
                a.name == b.name
                    && a.description == b.description
                    && a.one_of == b.one_of
                    && a.fields == b.fields
            }
            (TypeDef::Enum(a), TypeDef::Enum(b)) => {
                a.name == b.name && a.description == b.description && a.values == b.values
            }
            _ => false,
        }
    }
}

fn same_fields(a: &[FieldDef], b: &[FieldDef]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_as(b))
}

/// An object type.
#[derive(Debug, Clone, Default)]
pub struct ObjectDef {
    pub name: String,
    pub description: Option<String>,
    /// The names of the interfaces that it implements. Their fields that it does not declare are
    /// taken over, and so are the interfaces that they implement.
    pub interfaces: Vec<String>,
    pub fields: Vec<FieldDef>,
    pub place: Option<Place>,
}

/// An interface.
#[derive(Debug, Clone, Default)]
pub struct InterfaceDef {
    pub name: String,
    pub description: Option<String>,
    /// The names of the interfaces that it implements.
    pub interfaces: Vec<String>,
    /// Their resolvers are those of the objects that take them over.
    pub fields: Vec<FieldDef>,
    /// Without one, a value's `__typename` says which object type it has.
    pub resolve_type: Option<Arc<dyn TypeResolver>>,
    pub place: Option<Place>,
}

/// A union.
#[derive(Debug, Clone, Default)]
pub struct UnionDef {
    pub name: String,
    pub description: Option<String>,
    /// The names of its object types.
    pub types: Vec<String>,
    /// Without one, a value's `__typename` says which object type it has.
    pub resolve_type: Option<Arc<dyn TypeResolver>>,
    pub place: Option<Place>,
}

/// A scalar that its owner reads and writes.
#[derive(Debug, Clone)]
pub struct ScalarDef {
    pub name: String,
    pub description: Option<String>,
    /// A URL where its form is specified.
    pub specified_by: Option<String>,
    pub codec: Arc<dyn ScalarCodec>,
    pub place: Option<Place>,
}

/// Fields that are added to an object type of somebody else.
#[derive(Debug, Clone, Default)]
pub struct ExtensionDef {
    /// The name of the type.
    pub of: String,
    /// Each has a resolver: what its parent's owner keeps under a name is not theirs to show.
    pub fields: Vec<FieldDef>,
    pub place: Option<Place>,
}

/// An input object type.
#[derive(Debug, Clone, Default)]
pub struct InputDef {
    pub name: String,
    pub description: Option<String>,
    /// Whether exactly one of its fields must be given.
    pub one_of: bool,
    pub fields: Vec<InputValueDef>,
    pub place: Option<Place>,
}

/// An enum type.
#[derive(Debug, Clone, Default)]
pub struct EnumDef {
    pub name: String,
    pub description: Option<String>,
    pub values: Vec<EnumValueDef>,
    pub place: Option<Place>,
}

/// One value of an enum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EnumValueDef {
    pub name: String,
    pub description: Option<String>,
    /// The reason, if the value is deprecated.
    pub deprecated: Option<String>,
}

impl EnumValueDef {
    /// A value with no description.
    pub fn new(name: impl Into<String>) -> Self {
        EnumValueDef { name: name.into(), ..Default::default() }
    }
}

/// A field of an object type or of a root type.
#[derive(Debug, Clone)]
pub struct FieldDef {
    pub name: String,
    pub description: Option<String>,
    /// The reason, if the field is deprecated.
    pub deprecated: Option<String>,
    pub ty: TypeRef,
    pub args: Vec<InputValueDef>,
    /// Without one, the field reads the key of its own name from the parent; an absent key is null.
    pub resolver: Option<Resolve>,
    pub cost: CostDef,
    /// How long it may take, if that is longer than an operation otherwise may.
    pub time_limit: Option<Duration>,
    pub place: Option<Place>,
    /// Who has declared it, if not the owner of its type.
    pub(super) added_by: Option<Arc<str>>,
}

/// How a field is resolved.
#[derive(Debug, Clone)]
pub enum Resolve {
    /// For one parent at a time.
    One(Arc<dyn Resolver>),
    /// For all parents of a level together.
    Batch(Arc<dyn BatchResolver>),
    /// As a subscription.
    Subscribe(Arc<dyn Subscriber>),
}

/// What a field counts for the limit on an operation's cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CostDef {
    /// For the field itself, each time; 1 if not said.
    pub own: Option<u64>,
    /// How many items a list is taken to have, unless an argument says so.
    pub list_size: Option<u64>,
}

impl FieldDef {
    /// A field without arguments that reads its own key from the parent.
    pub fn new(name: impl Into<String>, ty: TypeRef) -> Self {
        FieldDef {
            name: name.into(),
            description: None,
            deprecated: None,
            ty,
            args: Vec::new(),
            resolver: None,
            cost: CostDef::default(),
            time_limit: None,
            place: None,
            added_by: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: InputValueDef) -> Self {
        self.args.push(arg);
        self
    }

    /// Sets what resolves the field.
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(Resolve::One(resolver));
        self
    }

    /// Sets what resolves the field for all parents of a level together.
    pub fn batch(mut self, resolver: Arc<dyn BatchResolver>) -> Self {
        self.resolver = Some(Resolve::Batch(resolver));
        self
    }

    /// Sets what the field's subscriptions hear.
    pub fn subscriber(mut self, subscriber: Arc<dyn Subscriber>) -> Self {
        self.resolver = Some(Resolve::Subscribe(subscriber));
        self
    }

    fn same_as(&self, other: &FieldDef) -> bool {
        self.name == other.name
            && self.description == other.description
            && self.deprecated == other.deprecated
            && self.ty == other.ty
            && self.args == other.args
            && self.cost == other.cost
            && self.resolver.is_some() == other.resolver.is_some()
    }
}

/// An argument, or a field of an input object.
#[derive(Debug, Clone, PartialEq)]
pub struct InputValueDef {
    pub name: String,
    pub description: Option<String>,
    /// The reason, if it is deprecated.
    pub deprecated: Option<String>,
    pub ty: TypeRef,
    /// Enum values are strings. `Some(Value::Null)` is a default of null.
    pub default: Option<Value>,
    /// Checked after coercion, before the resolver.
    pub constraints: Constraints,
}

impl InputValueDef {
    /// An input value without a default.
    pub fn new(name: impl Into<String>, ty: TypeRef) -> Self {
        InputValueDef {
            name: name.into(),
            description: None,
            deprecated: None,
            ty,
            default: None,
            constraints: Constraints::default(),
        }
    }

    /// Sets the default.
    pub fn default(mut self, default: impl Into<Value>) -> Self {
        self.default = Some(default.into());
        self
    }

    /// Sets what the values must satisfy beyond their type.
    pub fn constraints(mut self, constraints: Constraints) -> Self {
        self.constraints = constraints;
        self
    }

    /// Whether a value must be given: non-null without a default.
    pub fn is_required(&self) -> bool {
        self.ty.is_non_null() && self.default.is_none()
    }
}

/// The root type that a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Query,
    Mutation,
    Subscription,
}

impl Operation {
    /// All of them, as introspection lists them.
    pub const ALL: [Operation; 3] =
        [Operation::Query, Operation::Mutation, Operation::Subscription];

    /// The name of the root type.
    pub fn type_name(self) -> &'static str {
        match self {
            Operation::Query => "Query",
            Operation::Mutation => "Mutation",
            Operation::Subscription => "Subscription",
        }
    }
}

/// A field of `Query`, `Mutation` or `Subscription`, under its final name.
#[derive(Debug, Clone)]
pub struct RootField {
    pub operation: Operation,
    pub field: FieldDef,
    pub auth: Auth,
}

/// Who may use a root field.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// Everyone.
    Public,
    /// Every authenticated user.
    #[default]
    User,
    /// Users with the administrator's role.
    Administrator,
    /// Whom a check allows. It decides about anonymous callers too.
    Custom(Arc<dyn AuthCheck>),
}
