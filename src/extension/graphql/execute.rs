//! Execution of a planned operation (specification, section 6). Fields with resolvers, and list
//! items below which there are some, run side by side; everything else is done on the way, without
//! a future (see [`super::complete`]).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;

use super::coerce::{Coercer, Variables};
use super::complete::{At, Completed, Nulled, Shape, non_null};
use super::model::Auth;
use super::output::Output;
use super::plan::{Args, DeclaredField, FieldKind, Plan, PlanField, Selection};
use super::response::{GraphqlError, PathSegment, path_text};
use super::stock::Stock;
use super::tables::{OutputType, Types};
use super::variables::{arguments_error, check_constraints};
use crate::error::{Error, code};
use crate::request::{RequestContext, Role};
use crate::value::{Map, Value};

/// What clients see of an error that may say more than they should know.
const MASKED: &str = "An unexpected error occurred.";

/// One request while it is executed.
pub(super) struct Execution<'r> {
    pub types: &'r Types,
    pub stock: &'r Stock,
    pub cx: &'r RequestContext,
    /// Coerced.
    pub variables: &'r Map,
    pub errors: Mutex<Vec<GraphqlError>>,
}

/// The path to a value of the response, as a chain through the callers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    /// `None` at the root.
    pub step: Option<Step<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a Arc<str>),
    Index(usize),
}

impl<'a> Path<'a> {
    pub(super) fn key(&'a self, key: &'a Arc<str>) -> Path<'a> {
        Path { parent: Some(self), step: Some(Step::Key(key)) }
    }

    pub(super) fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Some(Step::Index(index)) }
    }

    fn segments(&self) -> Vec<PathSegment> {
        let mut segments = self.parent.map(Path::segments).unwrap_or_default();
        segments.extend(self.step.map(|step| match step {
            Step::Key(key) => PathSegment::Key(key.clone()),
            Step::Index(index) => PathSegment::Index(index),
        }));
        segments
    }
}

impl Execution<'_> {
    /// ExecuteQuery and ExecuteMutation (section 6.2).
    pub(super) async fn run(&self, kind: OperationType, plan: &Plan) -> Output {
        let mut root = Value::Null;
        let path = Path::default();
        let done = match kind {
            OperationType::Mutation => self.serially(&plan.root, &mut root, &path).await,
            _ => self.selection(&plan.root, &mut root, &path).await,
        };
        match (done, &plan.introspection) {
            (Ok(Output::Object(mut entries)), Some(document)) => {
                match self.stock.introspect(document.clone(), self.variables) {
                    Ok(answers) => {
                        for (key, answer) in answers {
                            let entry = entries.iter_mut().find(|(name, _)| **name == *key);
                            if let Some((_, value)) = entry {
                                *value = answer;
                            }
                        }
                    }
                    Err(errors) => {
                        let message =
                            errors.into_iter().map(|e| e.message).collect::<Vec<_>>().join(" ");
                        self.errors.lock().push(GraphqlError::new(code::UNEXPECTED, message));
                        return Output::Null;
                    }
                }
                Output::Object(entries)
            }
            (Ok(output), _) => output,
            (Err(Nulled), _) => Output::Null,
        }
    }

    /// The root fields of a mutation, one after the other.
    async fn serially(&self, set: &Selection, root: &mut Value, path: &Path<'_>) -> Completed {
        let mut entries = Vec::with_capacity(set.fields.len());
        let mut nulled = false;
        for plan in &set.fields {
            let done = match &plan.kind {
                FieldKind::Declared(declared) => {
                    self.resolved(At { plan, declared }, root, path).await
                }
                _ => self.property(plan, root, path),
            };
            match done {
                Ok(output) => entries.push((plan.key.clone(), output)),
                // The fields after it are executed all the same: they are independent.
                Err(Nulled) => nulled = true,
            }
        }
        if nulled { Err(Nulled) } else { Ok(Output::Object(entries)) }
    }

    /// ExecuteSelectionSet (section 6.3) for an object with resolvers in it or below it.
    async fn selection(&self, set: &Selection, parent: &mut Value, path: &Path<'_>) -> Completed {
        let mut outputs: Vec<Completed> = Vec::with_capacity(set.fields.len());
        outputs.resize_with(set.fields.len(), || Ok(Output::Null));
        let mut done = Done::default();
        match (set.resolved.as_slice(), set.waiting.as_slice()) {
            ([], []) => {}
            ([one], []) => {
                if let Some(at) = at(&set.fields[*one]) {
                    outputs[*one] = self.resolved(at, parent, path).await;
                }
                done.add(*one);
            }
            ([], [one]) => {
                if let Some(at) = at(&set.fields[*one]) {
                    outputs[*one] = self.waiting_property(at, parent, path).await;
                }
                done.add(*one);
            }
            (resolved, waiting) => {
                // Resolvers see the whole parent, so the others work on copies of their part.
                let mut copies: Vec<(usize, Value)> = waiting
                    .iter()
                    .map(|index| {
                        let name = at(&set.fields[*index]).map(|at| &*at.declared.field.name);
                        (
                            *index,
                            name.and_then(|name| parent.get(name)).cloned().unwrap_or_default(),
                        )
                    })
                    .collect();
                let shared: &Value = parent;
                let resolved = resolved.iter().filter_map(|index| {
                    let at = at(&set.fields[*index])?;
                    let run = async move { (*index, self.resolved(at, shared, path).await) };
                    Some(run.boxed())
                });
                let waiting = copies.iter_mut().filter_map(|(index, copy)| {
                    let at = at(&set.fields[*index])?;
                    let run = async move {
                        let path = path.key(&at.plan.key);
                        let ty = &at.declared.field.output;
                        (*index, self.complete_waiting(at, ty, copy, &path).await)
                    };
                    Some(run.boxed())
                });
                let all: Vec<BoxFuture<'_, (usize, Completed)>> = resolved.chain(waiting).collect();
                for (index, output) in join_all(all).await {
                    outputs[index] = output;
                    done.add(index);
                }
            }
        }
        let mut entries = Vec::with_capacity(set.fields.len());
        let mut nulled = false;
        for (index, (plan, output)) in set.fields.iter().zip(outputs).enumerate() {
            let output = match done.has(index) {
                true => output,
                false => self.property(plan, parent, path),
            };
            match output {
                Ok(output) => entries.push((plan.key.clone(), output)),
                Err(Nulled) => nulled = true,
            }
        }
        if nulled { Err(Nulled) } else { Ok(Output::Object(entries)) }
    }

    /// A property without a resolver, below which there is one.
    async fn waiting_property(&self, at: At<'_>, parent: &mut Value, path: &Path<'_>) -> Completed {
        let path = path.key(&at.plan.key);
        let name = &*at.declared.field.name;
        let mut value = match parent {
            Value::Map(map) if at.declared.last_reader => {
                map.get_mut(name).map(std::mem::take).unwrap_or_default()
            }
            Value::Map(map) => map.get(name).cloned().unwrap_or_default(),
            _ => Value::Null,
        };
        self.complete_waiting(at, &at.declared.field.output, &mut value, &path).await
    }

    /// ExecuteField (section 6.4) for a field with a resolver.
    async fn resolved(&self, at: At<'_>, parent: &Value, path: &Path<'_>) -> Completed {
        let path = path.key(&at.plan.key);
        let mut value = match self.resolve(at.declared, parent).await {
            Ok(value) => value,
            Err(error) => return self.failed(at, &path, error),
        };
        let ty = &at.declared.field.output;
        match at.declared.selection.as_ref().is_some_and(Selection::waits) {
            true => self.complete_waiting(at, ty, &mut value, &path).await,
            false => self.complete(at, ty, &mut value, &path),
        }
    }

    /// Who may, with what, and the resolver itself, in this order.
    async fn resolve(&self, declared: &DeclaredField, parent: &Value) -> Result<Value, Error> {
        let field = &declared.field;
        if let Some(auth) = &field.auth {
            authorize(auth, self.cx)?;
        }
        let args = match &declared.args {
            Args::Constant { args, .. } => args.clone(),
            Args::Dynamic(written) => {
                let mut coercer = Coercer::new(self.types);
                let args =
                    coercer.arguments(&field.args, written, Variables::Known(self.variables));
                match coercer.issues.as_slice() {
                    [] => args,
                    issues => return Err(arguments_error(issues)),
                }
            }
        };
        let call = async {
            if let Some(Auth::Custom(check)) = &field.auth
                && !check.allowed(&args, self.cx).await?
            {
                return Err(denied(self.cx));
            }
            match &declared.args {
                Args::Constant { refused: Some(error), .. } => return Err((**error).clone()),
                Args::Constant { .. } => {}
                Args::Dynamic(_) => check_constraints(self.types, field, &args)?,
            }
            match &field.resolver {
                Some(resolver) => resolver.resolve(parent, args, self.cx).await,
                None => Ok(parent.get(&field.name).cloned().unwrap_or_default()),
            }
        };
        AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
            let reason = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            Err(Error::unexpected(format!("the resolver panicked: {reason}")))
        })
    }

    /// CompleteValue (section 6.4.3) for a value below which there are resolvers.
    fn complete_waiting<'a>(
        &'a self,
        at: At<'a>,
        ty: &'a OutputType,
        value: &'a mut Value,
        path: &'a Path<'a>,
    ) -> BoxFuture<'a, Completed> {
        async move {
            if let OutputType::NonNull(inner) = ty {
                if value.is_null() {
                    return self.null_in_non_null(at, path);
                }
                return non_null(self.complete_waiting(at, inner, value, path).await);
            }
            if value.is_null() {
                return Ok(Output::Null);
            }
            if let Shape::List(items, inner) = match self.shape(at, ty, value, path) {
                Shape::Done(done) => return done,
                shape => shape,
            } {
                let paths: Vec<Path<'_>> = (0..items.len()).map(|i| path.index(i)).collect();
                let items = items.iter_mut().zip(&paths);
                let all = items.map(|(item, path)| self.complete_waiting(at, inner, item, path));
                let list: Result<Vec<Output>, Nulled> = join_all(all).await.into_iter().collect();
                // An item that must not be null was: the list is.
                return Ok(list.map_or(Output::Null, Output::List));
            }
            let Some(selection) = &at.declared.selection else { return Ok(Output::Null) };
            let done = self.selection(selection, value, path).await;
            Ok(done.unwrap_or(Output::Null))
        }
        .boxed()
    }

    /// Records an error that a resolver returned, and masks it if it is unexpected.
    pub(super) fn record(&self, plan: &PlanField, path: &Path<'_>, error: Error) {
        let segments = path.segments();
        if error.code != code::UNEXPECTED {
            self.push(plan, segments, error.into());
            return;
        }
        tracing::error!(
            request_id = %self.cx.info.id,
            path = %path_text(&segments),
            error = %error.message,
            "a GraphQL field failed"
        );
        self.push(plan, segments, self.unexpected(MASKED));
    }

    /// Records an error of the engine about what a resolver returned. `message` names types and
    /// fields only, so clients may see it; `detail`, which may quote the value, is for the log.
    pub(super) fn record_own(
        &self,
        plan: &PlanField,
        path: &Path<'_>,
        message: String,
        detail: &str,
    ) {
        let segments = path.segments();
        tracing::error!(
            request_id = %self.cx.info.id,
            path = %path_text(&segments),
            error = %message,
            detail,
            "a GraphQL field has a wrong value"
        );
        self.push(plan, segments, self.unexpected(message));
    }

    fn unexpected(&self, message: impl Into<String>) -> GraphqlError {
        GraphqlError::new(code::UNEXPECTED, message).with("requestId", self.cx.info.id.as_str())
    }

    fn push(&self, plan: &PlanField, path: Vec<PathSegment>, error: GraphqlError) {
        self.errors.lock().push(GraphqlError { path, ..error.at(plan.pos) });
    }
}

fn at(plan: &PlanField) -> Option<At<'_>> {
    match &plan.kind {
        FieldKind::Declared(declared) => Some(At { plan, declared }),
        _ => None,
    }
}

/// What needs no look at the arguments. A custom check decides about anonymous callers itself.
fn authorize(auth: &Auth, cx: &RequestContext) -> Result<(), Error> {
    let role = cx.user.as_ref().map(|user| user.role);
    match (auth, role) {
        (Auth::Public | Auth::Custom(_), _) | (Auth::User, Some(_)) => Ok(()),
        (Auth::Administrator, Some(Role::Administrator)) => Ok(()),
        (Auth::User | Auth::Administrator, _) => Err(denied(cx)),
    }
}

fn denied(cx: &RequestContext) -> Error {
    match cx.user {
        None => Error::new(code::UNAUTHENTICATED, "You must be signed in to do this."),
        Some(_) => Error::new(code::UNAUTHORIZED_ACTION, "You are not allowed to do this."),
    }
}

/// Which fields of a selection are done: the common case of one without an allocation.
#[derive(Default)]
struct Done {
    indices: smallvec::SmallVec<[usize; 4]>,
}

impl Done {
    fn add(&mut self, index: usize) {
        self.indices.push(index);
    }

    fn has(&self, index: usize) -> bool {
        self.indices.contains(&index)
    }
}
