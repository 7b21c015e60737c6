//! Execution of a planned operation (specification, section 6). Fields with resolvers, and list
//! items below which there are some, run side by side; everything else is done on the way, without
//! a future (see [`super::complete`]).

use async_graphql::parser::types::OperationType;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;

use super::batches::{Batches, join_begun};
use super::complete::{At, Completed, Nulled, Shape, non_null};
use super::field::{authorize, guarded};
use super::model::Resolve;
use super::output::Output;
use super::plan::{Below, DeclaredField, FieldKind, Plan, PlanField, Selection};
use super::report::Path;
use super::resolve::Messages;
use super::response::GraphqlError;
use super::scalar::Scalar;
use super::stock::Stock;
use super::tables::{CustomScalar, OutputType, Types};
use crate::error::{Error, code};
use crate::request::RequestContext;
use crate::value::{Map, Value};

/// One request while it is executed.
pub(super) struct Execution<'r> {
    pub types: &'r Types,
    pub stock: &'r Stock,
    pub cx: &'r RequestContext,
    /// Coerced.
    pub variables: &'r Map,
    pub errors: Mutex<Vec<GraphqlError>>,
    pub batches: Batches,
}

impl<'r> Execution<'r> {
    /// Runs with `errors` empty.
    pub(super) fn new(
        types: &'r Types,
        stock: &'r Stock,
        cx: &'r RequestContext,
        variables: &'r Map,
    ) -> Self {
        let (errors, batches) = (Mutex::default(), Batches::default());
        Execution { types, stock, cx, variables, errors, batches }
    }

    /// ExecuteQuery and ExecuteMutation (section 6.2).
    pub(super) async fn run(&self, kind: OperationType, plan: &Plan) -> Output {
        match plan.root.batches.is_empty() {
            true => self.operation(kind, plan).await,
            false => self.batches.run(self.cx, self.operation(kind, plan)).await,
        }
    }

    /// CreateSourceEventStream (section 6.2.3.1): the field's arguments, and what it hears.
    pub(super) async fn source(&self, declared: &DeclaredField) -> Result<(Map, Messages), Error> {
        let field = &declared.field;
        if let Some(auth) = &field.auth {
            authorize(auth, self.cx)?;
        }
        let args = self.arguments(declared)?;
        guarded(async {
            let args = self.checked(declared, args).await?;
            match &field.resolver {
                Some(Resolve::Subscribe(subscriber)) => {
                    let messages = subscriber.subscribe(args.clone(), self.cx).await?;
                    Ok((args, messages))
                }
                _ => Err(Error::unexpected("the field cannot be subscribed to")),
            }
        })
        .await
    }

    /// ExecuteSubscriptionEvent (section 6.2.3.2), for an event whose field has this value.
    pub(super) async fn event(&self, plan: &Plan, value: Result<Value, Error>) -> Output {
        let Some(at) = plan.root.fields.first().and_then(at) else { return Output::Null };
        let root = Path::default();
        let complete = async {
            let path = root.key(&at.plan.key);
            match value {
                Ok(mut value) => {
                    let ty = &at.declared.field.output;
                    self.completed(at, ty, &mut value, &path).await
                }
                Err(error) => self.failed(at, &path, error),
            }
        };
        let done = match plan.root.batches.is_empty() {
            true => complete.await,
            false => self.batches.run(self.cx, complete).await,
        };
        match done {
            Ok(output) => Output::Object(vec![(at.plan.key.clone(), output)]),
            Err(Nulled) => Output::Null,
        }
    }

    async fn operation(&self, kind: OperationType, plan: &Plan) -> Output {
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
                let all = match set.batches.is_empty() {
                    true => join_all(all).await,
                    false => join_begun(all).await,
                };
                for (index, output) in all {
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
        self.completed(at, &at.declared.field.output, &mut value, &path).await
    }

    async fn completed(
        &self,
        at: At<'_>,
        ty: &OutputType,
        value: &mut Value,
        path: &Path<'_>,
    ) -> Completed {
        match at.declared.waits {
            true => self.complete_waiting(at, ty, value, path).await,
            false => self.complete(at, ty, value, path),
        }
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
                let all = match at.declared.below.batches().next() {
                    None => join_all(all).await,
                    Some(_) => join_begun(all.collect()).await,
                };
                let list: Result<Vec<Output>, Nulled> = all.into_iter().collect();
                // An item that must not be null was: the list is.
                return Ok(list.map_or(Output::Null, Output::List));
            }
            if let OutputType::Custom(scalar) = ty {
                return self.custom(at, scalar, value, path).await;
            }
            let selection = match self.selected(at, ty, value, path).await {
                Ok(selection) => selection,
                Err(done) => return done,
            };
            let done = match selection.waits() {
                true => self.selection(selection, value, path).await,
                false => Ok(self.properties(selection, value, path)),
            };
            Ok(done.unwrap_or(Output::Null))
        }
        .boxed()
    }

    /// What is selected of an object, whose type is found out if need be.
    async fn selected<'a>(
        &self,
        at: At<'a>,
        ty: &OutputType,
        value: &Value,
        path: &Path<'_>,
    ) -> Result<&'a Selection, Completed> {
        let OutputType::Abstract(of) = ty else {
            return match &at.declared.below {
                Below::One(selection) => Ok(selection),
                _ => Err(Ok(Output::Null)),
            };
        };
        let Some(resolver) = &of.resolver else { return self.named_type(at, of, value, path) };
        let _coming = self.batches.coming(at.declared.below.batches());
        match guarded(resolver.type_of(value, self.cx)).await {
            Ok(name) => self.selected_of(at, of, &name, path),
            Err(error) => {
                self.record(at.plan, path, error);
                Err(Ok(Output::Null))
            }
        }
    }

    /// A value of a custom scalar, as its owner writes it.
    async fn custom(
        &self,
        at: At<'_>,
        scalar: &CustomScalar,
        value: &Value,
        path: &Path<'_>,
    ) -> Completed {
        match guarded(scalar.codec.serialize(value, self.cx)).await {
            Ok(Value::Null) => Ok(Output::Null),
            Ok(written) => match Scalar::Json.serialize(&mut { written }) {
                Ok(output) => Ok(output),
                Err(detail) => {
                    let message = format!(
                        "\"serialize\" of the scalar \"{}\" gave a wrong value",
                        scalar.name
                    );
                    self.misfit(at, path, &message, &detail);
                    Ok(Output::Null)
                }
            },
            Err(error) => {
                self.record(at.plan, path, error);
                Ok(Output::Null)
            }
        }
    }
}

fn at(plan: &PlanField) -> Option<At<'_>> {
    match &plan.kind {
        FieldKind::Declared(declared) => Some(At { plan, declared }),
        _ => None,
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
