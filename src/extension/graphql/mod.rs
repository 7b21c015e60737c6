//! The GraphQL extension point: typed fields, declared as data and executed by resolvers.
//!
//! [`Declarations`] of all owners become a [`Schema`]; a schema executes [`Request`]s. The library
//! `async-graphql` parses, validates and answers introspection. Execution is our own: the library's
//! dynamic executor does not propagate nulls, checks no output, loses the paths of errors and
//! resolves nested fields one after another.

mod batches;
mod belonging;
mod builder;
mod check;
mod coerce;
mod complete;
mod conformance;
mod constraints;
mod defaults;
mod definition;
mod document;
mod execute;
mod field;
mod format;
mod from_table;
pub mod hosted;
mod inputs;
mod limits;
mod merge;
mod model;
mod names;
mod objects;
mod output;
mod plan;
mod planner;
mod point;
mod report;
mod resolve;
mod resolvers;
mod response;
mod scalar;
mod scan;
mod schema;
mod sdl;
mod shapes;
mod stock;
mod tables;
#[cfg(test)]
mod tests;
mod types;
mod validate;
mod variables;

pub use check::{SchemaProblem, check};
pub use constraints::{Constraints, Pattern};
pub use format::Format;
pub use limits::QueryLimits;
pub use model::{
    Auth, CostDef, Declarations, EnumDef, EnumValueDef, ExtensionDef, FieldDef, HOST, InputDef,
    InputValueDef, InterfaceDef, ObjectDef, Operation, Place, Resolve, RootField, ScalarDef,
    TypeDef, UnionDef,
};
pub use output::Output;
pub use point::Graphql;
pub use resolve::{
    AuthCheck, BatchResolver, Messages, Resolver, ScalarCodec, Subscriber, TypeResolver, for_fn,
};
pub use response::{GraphqlError, Location, Mode, Outcome, PathSegment, Request, Response};
pub use scalar::Scalar;
pub use schema::{Schema, SchemaOptions, Subscribed};
pub use types::{TypeRef, TypeRefError};
pub use validate::MAX_DEPTH;
