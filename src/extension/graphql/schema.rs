//! The schema: built from declarations, immutable, and able to execute requests.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_graphql::parser::types::OperationType;
use futures_util::{StreamExt, poll};

use super::check::{SchemaProblem, check};
use super::document::Documents;
use super::execute::Execution;
use super::field::guarded;
use super::limits::{QueryLimits, cost, exceeded};
use super::merge::merged;
use super::model::{Declarations, HOST, Resolve};
use super::output::Output;
use super::plan::{FieldKind, Plan, PlanField};
use super::report::Path;
use super::resolve::Messages;
use super::response::{GraphqlError, Mode, Outcome, Request, Response};
use super::sdl;
use super::stock::Stock;
use super::tables::{Field, Types};
use super::validate::invalid;
use super::variables::variables;
use crate::error::{Error, code};
use crate::request::RequestContext;
use crate::value::{Map, Value};

/// How a [`Schema`] is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaOptions {
    /// Whether parsed and validated documents are kept. Off only to measure.
    pub cache_documents: bool,
    /// What operations may ask for.
    pub limits: QueryLimits,
    /// Whether callers who are not signed in may ask what the schema is, and get suggestions for what
    /// they misspell.
    pub is_public: bool,
}

impl Default for SchemaOptions {
    fn default() -> Self {
        SchemaOptions { cache_documents: true, limits: QueryLimits::default(), is_public: true }
    }
}

/// An executable schema.
#[derive(Debug)]
pub struct Schema {
    types: Types,
    stock: Stock,
    sdl: String,
    /// As they were declared.
    declared: Vec<Arc<Declarations>>,
    documents: Documents,
    options: SchemaOptions,
}

impl Schema {
    /// Builds the schema of all declarations together.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the declarations.
    pub fn build(sets: &[Arc<Declarations>]) -> Result<Schema, Vec<SchemaProblem>> {
        Schema::build_with(sets, SchemaOptions::default())
    }

    /// Builds the schema of all declarations together, with options.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the declarations.
    pub fn build_with(
        sets: &[Arc<Declarations>],
        options: SchemaOptions,
    ) -> Result<Schema, Vec<SchemaProblem>> {
        let problems = check(sets);
        if !problems.is_empty() {
            return Err(problems);
        }
        let declared = sets.to_vec();
        let sets = &*merged(sets);
        let types = Types::new(sets);
        if types.object_type("Query").is_none() {
            let message = "there is no query field; a schema needs at least one".to_owned();
            return Err(vec![SchemaProblem { owner: HOST.to_owned(), place: None, message }]);
        }
        let stock = Stock::build(sets, &types).map_err(|error| {
            vec![SchemaProblem { owner: HOST.to_owned(), place: None, message: error.to_string() }]
        })?;
        let sdl = sdl::print(sets, &types);
        let documents = Documents::new(options.cache_documents, options.limits);
        Ok(Schema { types, stock, sdl, declared, documents, options })
    }

    /// The schema as SDL. It depends on the declarations alone, not on their owners' order.
    pub fn sdl(&self) -> &str {
        &self.sdl
    }

    /// What one owner adds to the schema, as SDL.
    pub fn sdl_of(&self, owner: &str) -> String {
        let own = self.declared.iter().filter(|set| set.owner == owner);
        sdl::print_own(own, &self.types)
    }

    /// Executes a query or a mutation (specification, section 6).
    pub async fn execute(&self, request: &Request, mode: Mode, cx: &RequestContext) -> Response {
        let prepared = match self.prepare(request, mode, cx).await {
            Ok(prepared) => prepared,
            Err(refused) => return self.discreet(refused, cx),
        };
        let execution = Execution::new(&self.types, &self.stock, cx, &prepared.variables);
        let run = execution.run(prepared.kind, &prepared.plan);
        let response = match self.in_time(&prepared.plan, cx, run).await {
            Ok(data) => {
                let errors = execution.errors.into_inner();
                Response { data: Some(data), errors, outcome: Outcome::Executed }
            }
            Err(error) => {
                let data = Some(Output::Null);
                Response { data, errors: vec![error], outcome: Outcome::Executed }
            }
        };
        self.discreet(response, cx)
    }

    /// What an execution comes to, if it does so in time.
    async fn in_time<T>(
        &self,
        plan: &Plan,
        cx: &RequestContext,
        run: impl Future<Output = T>,
    ) -> Result<T, GraphqlError> {
        let mut run = pin!(run);
        // Most are over at once, and need no timer.
        if let Poll::Ready(done) = poll!(run.as_mut()) {
            return Ok(done);
        }
        let generations = cx.world.generations().iter();
        let involved = generations.filter(|g| plan.owners.iter().any(|o| **o == *g.plugin_id()));
        let longest = involved.map(|generation| generation.time_limit()).max().max(plan.time_limit);
        let limit = self.options.limits.timeout.max(longest.unwrap_or_default());
        tokio::time::timeout(limit, run).await.map_err(|_| {
            let message = format!("The operation was given up after {limit:?}.");
            GraphqlError::new(code::GRAPHQL_TIMEOUT, message)
        })
    }

    /// Without suggestions, for those who may not ask what the schema is.
    fn discreet(&self, mut response: Response, cx: &RequestContext) -> Response {
        if !self.options.is_public && cx.user.is_none() {
            for error in &mut response.errors {
                error.drop_hints();
            }
        }
        response
    }

    /// Whether a request is a subscription. One that is wrong is none.
    pub fn is_subscription(&self, request: &Request) -> bool {
        let document = self.documents.prepare(&self.types, &self.stock, &request.query);
        document.is_ok_and(|document| {
            let operation = document.operation(request.operation_name.as_deref());
            operation.is_ok_and(|operation| operation.kind == OperationType::Subscription)
        })
    }

    /// Begins a subscription (section 6.2.3).
    ///
    /// # Errors
    ///
    /// The answer, if the request is refused or the subscription cannot begin.
    pub async fn subscribe(
        &self,
        request: &Request,
        cx: &RequestContext,
    ) -> Result<Subscribed, Response> {
        let prepared = self.prepare(request, Mode::Subscription, cx).await;
        let Prepared { plan, variables, .. } =
            prepared.map_err(|refused| self.discreet(refused, cx))?;
        let execution = Execution::new(&self.types, &self.stock, cx, &variables);
        let Some(PlanField { kind: FieldKind::Declared(declared), key, pos }) =
            plan.root.fields.first()
        else {
            // By `@skip` or `@include`.
            let error = invalid("The subscription selects no field.");
            return Err(Response::refused(Outcome::ValidationFailed, vec![error]));
        };
        let source = self.in_time(&plan, cx, execution.source(declared)).await;
        let source = source.map_err(|error| Response::refused(Outcome::Executed, vec![error]))?;
        match source {
            Ok((args, messages)) => {
                let field = Arc::clone(&declared.field);
                Ok(Subscribed { request: request.clone(), field, plan, args, variables, messages })
            }
            Err(error) => {
                let field =
                    PlanField { key: key.clone(), pos: *pos, kind: FieldKind::Introspection };
                execution.record(&field, &Path::default().key(key), error);
                let errors = execution.errors.into_inner();
                Err(Response::refused(Outcome::Executed, errors))
            }
        }
    }

    /// What comes before any field is looked at.
    async fn prepare(
        &self,
        request: &Request,
        mode: Mode,
        cx: &RequestContext,
    ) -> Result<Prepared, Response> {
        let document = self.documents.prepare(&self.types, &self.stock, &request.query);
        let document = document.map_err(|(outcome, errors)| Response::refused(outcome, errors))?;
        let refused =
            |error: GraphqlError| Response::refused(Outcome::ValidationFailed, vec![error]);
        let operation = document.operation(request.operation_name.as_deref()).map_err(refused)?;
        let Some(definition) = document.definition(operation) else {
            // Operations are made from definitions.
            return Err(Response::refused(Outcome::ValidationFailed, Vec::new()));
        };
        if let Some((outcome, message)) = not_allowed(mode, operation.kind) {
            let error = GraphqlError::new(code::GRAPHQL_OPERATION_NOT_ALLOWED, message);
            return Err(Response::refused(outcome, vec![error.at(definition.pos)]));
        }
        // A plan without `@skip` and `@include` decides, so that nobody learns anything by them.
        if !self.options.is_public && cx.user.is_none() && operation.introspects {
            let message = "Introspection is for those who are signed in.";
            let error = GraphqlError::new(code::GRAPHQL_INTROSPECTION_DISABLED, message);
            return Err(refused(error.at(definition.pos)));
        }
        let definitions = &definition.node.variable_definitions;
        let variables = variables(&self.types, definitions, &request.variables, cx).await;
        let variables =
            variables.map_err(|errors| Response::refused(Outcome::InvalidVariables, errors))?;
        let plan = document.plan(&self.types, operation, definition, &variables);
        let (cost, allowed) = (cost(&plan, &variables), self.options.limits.cost);
        if cost > allowed {
            let error = exceeded("cost", &format!("costs {cost}"), cost, allowed);
            return Err(refused(error.at(definition.pos)));
        }
        Ok(Prepared { kind: operation.kind, plan, variables })
    }
}

/// A request that can be executed.
struct Prepared {
    kind: OperationType,
    plan: Arc<Plan>,
    variables: Map,
}

fn not_allowed(mode: Mode, kind: OperationType) -> Option<(Outcome, String)> {
    match (mode, kind) {
        (Mode::QueryOnly, OperationType::Query)
        | (Mode::AnyOperation, OperationType::Query | OperationType::Mutation)
        | (Mode::Subscription, OperationType::Subscription) => None,
        (Mode::QueryOnly, kind) => Some((
            Outcome::OperationNotAllowed,
            format!("A {kind} cannot be sent with this method."),
        )),
        (Mode::AnyOperation, kind) => Some((
            Outcome::ValidationFailed,
            format!(
                "A {kind} is sent over a WebSocket (graphql-transport-ws), or with \"Accept: \
                 text/event-stream\"."
            ),
        )),
        (Mode::Subscription, kind) => {
            Some((Outcome::ValidationFailed, format!("A {kind} is no subscription.")))
        }
    }
}

/// A subscription that has begun.
pub struct Subscribed {
    request: Request,
    field: Arc<Field>,
    plan: Arc<Plan>,
    /// Of its field.
    args: Map,
    variables: Map,
    messages: Messages,
}

impl Subscribed {
    /// The owners of everything that it has to do with: plugins, and the host.
    pub fn owners(&self) -> &[Arc<str>] {
        &self.plan.owners
    }

    /// The next message. It can be given up waiting for without losing one.
    pub async fn message(&mut self) -> Option<Result<Value, Error>> {
        self.messages.next().await
    }

    /// The response for a message; `None` if this subscription is not to hear of it.
    pub async fn respond(
        &mut self,
        schema: &Schema,
        message: Value,
        cx: &RequestContext,
    ) -> Option<Response> {
        let Some(Resolve::Subscribe(subscriber)) = &self.field.resolver else { return None };
        let value = match guarded(subscriber.value(message, &self.args, cx)).await {
            Ok(value) => Ok(value?),
            Err(error) => Err(error),
        };
        let execution = Execution::new(&schema.types, &schema.stock, cx, &self.variables);
        let data = execution.event(&self.plan, value).await;
        let errors = execution.errors.into_inner();
        Some(Response { data: Some(data), errors, outcome: Outcome::Executed })
    }

    /// Goes on in another schema, in which its owners are what they were.
    ///
    /// # Errors
    ///
    /// When the request is not valid in it.
    pub async fn move_to(&mut self, schema: &Schema, cx: &RequestContext) -> Result<(), Response> {
        let prepared = schema.prepare(&self.request, Mode::Subscription, cx).await?;
        self.plan = prepared.plan;
        self.variables = prepared.variables;
        Ok(())
    }
}

impl fmt::Debug for Subscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribed").field("field", &self.field.name).finish_non_exhaustive()
    }
}
