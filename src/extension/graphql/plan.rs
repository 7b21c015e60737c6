//! What executing an operation comes to, once its `@skip` and `@include` are decided: fields looked
//! up, fragments merged (CollectFields, specification, section 6.3.2), constant arguments coerced.
//! A plan is made once for each combination of conditions and used for many requests.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::Value as Literal;

use super::coerce::CustomValue;
use super::tables::Field;
use crate::error::Error;
use crate::value::Map;

/// The plan of one operation.
#[derive(Debug)]
pub(super) struct Plan {
    pub root: Arc<Selection>,
    /// Whose fields and types it has, sorted.
    pub owners: Vec<Arc<str>>,
    /// How long it may take, if a field of it says so.
    pub time_limit: Option<Duration>,
    /// A document of the operation's `__schema` and `__type` fields, if it has any.
    pub introspection: Option<ExecutableDocument>,
}

/// The fields to execute on one object, in the order of the response.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub fields: Vec<PlanField>,
    /// The indices of fields that have a resolver.
    pub resolved: Vec<usize>,
    /// The indices of fields that have none, but below which there is something to wait for.
    pub waiting: Vec<usize>,
    /// The batch fields in it and below it.
    pub batches: Vec<FieldId>,
}

/// Tells fields of the schema apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FieldId(usize);

impl FieldId {
    pub(super) fn of(field: &Arc<Field>) -> Self {
        FieldId(Arc::as_ptr(field) as usize)
    }
}

impl Selection {
    /// Whether there is a resolver, or something else to wait for, anywhere in it.
    pub(super) fn waits(&self) -> bool {
        !self.resolved.is_empty() || !self.waiting.is_empty()
    }
}

/// One entry of a response object.
#[derive(Debug)]
pub(super) struct PlanField {
    /// The response key.
    pub key: Arc<str>,
    /// Where it was first selected.
    pub pos: Pos,
    pub kind: FieldKind,
}

#[derive(Debug)]
pub(super) enum FieldKind {
    /// `__typename`.
    TypeName(Arc<str>),
    /// `__schema` or `__type`.
    Introspection,
    Declared(Box<DeclaredField>),
}

#[derive(Debug)]
pub(super) struct DeclaredField {
    pub field: Arc<Field>,
    pub args: Args,
    pub below: Below,
    /// Whether completing its value may wait for something.
    pub waits: bool,
    /// Whether nothing reads this property of the parent later, so that it may be moved out.
    pub last_reader: bool,
}

/// What is selected of a field's value.
#[derive(Debug)]
pub(super) enum Below {
    /// It is a scalar or an enum.
    Nothing,
    One(Arc<Selection>),
    /// By the object types that an interface or union may turn out to be.
    ByType(Vec<(Arc<str>, Arc<Selection>)>),
}

impl Below {
    pub(super) fn selections(&self) -> impl Iterator<Item = &Arc<Selection>> {
        let (one, many) = match self {
            Below::Nothing => (None, [].as_slice()),
            Below::One(selection) => (Some(selection), [].as_slice()),
            Below::ByType(all) => (None, all.as_slice()),
        };
        one.into_iter().chain(many.iter().map(|(_, selection)| selection))
    }

    /// The batch fields below.
    pub(super) fn batches(&self) -> impl Iterator<Item = FieldId> {
        self.selections().flat_map(|selection| selection.batches.iter().copied())
    }
}

/// A field's arguments.
#[derive(Debug)]
pub(super) enum Args {
    /// The same for every request, and so is what a constraint has against them.
    Constant { args: Map, custom: Vec<CustomValue>, refused: Option<Box<Error>> },
    /// With variables in them.
    Dynamic(Vec<(Positioned<Name>, Positioned<Literal>)>),
}
