//! What plugins and the host declare: types and root fields, as plain data.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::constraints::Constraints;
use super::types::TypeRef;
use crate::error::Error;
use crate::request::RequestContext;
use crate::value::{Map, Value};

/// The owner of the host's own declarations.
pub const HOST: &str = "host";

/// Everything one owner adds to the schema.
#[derive(Debug, Clone, Default)]
pub struct Declarations {
    /// The plugin's id, or [`HOST`].
    pub owner: String,
    pub types: Vec<TypeDef>,
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
    Input(InputDef),
    Enum(EnumDef),
}

impl TypeDef {
    /// The type's name.
    pub fn name(&self) -> &str {
        match self {
            TypeDef::Object(def) => &def.name,
            TypeDef::Input(def) => &def.name,
            TypeDef::Enum(def) => &def.name,
        }
    }

    /// Where it was declared.
    pub fn place(&self) -> Option<&Place> {
        match self {
            TypeDef::Object(def) => def.place.as_ref(),
            TypeDef::Input(def) => def.place.as_ref(),
            TypeDef::Enum(def) => def.place.as_ref(),
        }
    }

    /// Whether both declare the same type. Places are ignored, and so is which function a
    /// resolver is (two closures cannot be compared), but not whether there is one.
    pub fn same_as(&self, other: &TypeDef) -> bool {
        match (self, other) {
            (TypeDef::Object(a), TypeDef::Object(b)) => {
                a.name == b.name
                    && a.description == b.description
                    && a.fields.len() == b.fields.len()
                    && a.fields.iter().zip(&b.fields).all(|(a, b)| a.same_as(b))
            }
            (TypeDef::Input(a), TypeDef::Input(b)) => {
                a.name == b.name && a.description == b.description && a.fields == b.fields
            }
            (TypeDef::Enum(a), TypeDef::Enum(b)) => {
                a.name == b.name && a.description == b.description && a.values == b.values
            }
            _ => false,
        }
    }
}

/// An object type.
#[derive(Debug, Clone, Default)]
pub struct ObjectDef {
    pub name: String,
    pub description: Option<String>,
    pub fields: Vec<FieldDef>,
    pub place: Option<Place>,
}

/// An input object type.
#[derive(Debug, Clone, Default)]
pub struct InputDef {
    pub name: String,
    pub description: Option<String>,
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
    pub resolver: Option<Arc<dyn Resolver>>,
    pub place: Option<Place>,
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
            place: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: InputValueDef) -> Self {
        self.args.push(arg);
        self
    }

    /// Sets what resolves the field.
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    fn same_as(&self, other: &FieldDef) -> bool {
        self.name == other.name
            && self.description == other.description
            && self.deprecated == other.deprecated
            && self.ty == other.ty
            && self.args == other.args
            && self.resolver.is_some() == other.resolver.is_some()
    }
}

/// An argument, or a field of an input object.
#[derive(Debug, Clone, PartialEq)]
pub struct InputValueDef {
    pub name: String,
    pub description: Option<String>,
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
}

impl Operation {
    /// The name of the root type.
    pub fn type_name(self) -> &'static str {
        match self {
            Operation::Query => "Query",
            Operation::Mutation => "Mutation",
        }
    }
}

/// A field of `Query` or `Mutation`, under its final name.
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

/// Produces the value of a field.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// Resolves the field for one parent. `parent` is null for root fields. An omitted argument
    /// without a default is an absent key; an explicit null is [`Value::Null`].
    fn resolve<'a>(
        &'a self,
        parent: &'a Value,
        args: Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Value, Error>>;
}

/// Decides whether a caller may use a root field.
pub trait AuthCheck: Send + Sync + fmt::Debug {
    /// `args` are the coerced arguments.
    fn allowed<'a>(
        &'a self,
        args: &'a Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<bool, Error>>;
}

/// Makes a [`Resolver`] of a Rust function.
///
/// ```
/// use futures_util::FutureExt;
/// use moondock::extension::graphql::for_fn;
/// use moondock::value::Value;
///
/// let resolver = for_fn(|_parent, args, _cx| {
///     async move { Ok(args.get("name").cloned().unwrap_or(Value::from("world"))) }.boxed()
/// });
/// ```
pub fn for_fn<F>(resolve: F) -> Arc<dyn Resolver>
where
    F: for<'a> Fn(&'a Value, Map, &'a RequestContext) -> BoxFuture<'a, Result<Value, Error>>
        + Send
        + Sync
        + 'static,
{
    struct FnResolver<F>(F);

    impl<F> fmt::Debug for FnResolver<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("FnResolver")
        }
    }

    impl<F> Resolver for FnResolver<F>
    where
        F: for<'a> Fn(&'a Value, Map, &'a RequestContext) -> BoxFuture<'a, Result<Value, Error>>
            + Send
            + Sync,
    {
        fn resolve<'a>(
            &'a self,
            parent: &'a Value,
            args: Map,
            cx: &'a RequestContext,
        ) -> BoxFuture<'a, Result<Value, Error>> {
            (self.0)(parent, args, cx)
        }
    }

    Arc::new(FnResolver(resolve))
}
