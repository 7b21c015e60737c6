//! Documents: parsed, validated and planned once, then kept for the requests that send them again.

use std::sync::Arc;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::limits::{QueryLimits, exceeded};
use super::plan::Plan;
use super::planner::{Conditions, Planner};
use super::response::{GraphqlError, Location, Outcome};
use super::scan::{Finding, MAX_NESTING, scan};
use super::stock::Stock;
use super::tables::Types;
use super::validate::{Planned, guard, invalid, verdict};
use crate::error::code;
use crate::value::{Map, Value};

/// How many documents a schema keeps.
const MAX_DOCUMENTS: usize = 1_000;

/// Longer documents are seldom sent twice.
const MAX_CACHED_LENGTH: usize = 16 * 1024;

/// How long the texts of all kept documents may be together. What is made of a text takes some
/// thirty times its length.
const MAX_TOTAL_LENGTH: u64 = 2 * 1024 * 1024;

/// How many plans an operation keeps. Each is for one combination of conditions.
const MAX_PLANS: usize = 32;

/// Weighs a document by its text. Short ones count as if they were 2 KiB, which bounds their number.
#[derive(Debug, Clone)]
struct Length;

impl Weighter<Arc<str>, Arc<Document>> for Length {
    fn weight(&self, text: &Arc<str>, _: &Arc<Document>) -> u64 {
        (text.len() as u64).max(MAX_TOTAL_LENGTH / MAX_DOCUMENTS as u64)
    }
}

/// The documents that a schema has seen. It is part of its schema and ends with it, so a verdict
/// never outlives what it was about.
#[derive(Debug)]
pub(super) struct Documents {
    cache: Option<Cache<Arc<str>, Arc<Document>, Length>>,
    limits: QueryLimits,
}

impl Documents {
    /// `cached: false` prepares every document anew.
    pub(super) fn new(cached: bool, limits: QueryLimits) -> Self {
        Documents {
            limits,
            cache: cached.then(|| Cache::with_weighter(MAX_DOCUMENTS, MAX_TOTAL_LENGTH, Length)),
        }
    }

    /// The document of a query text.
    ///
    /// # Errors
    ///
    /// All parse or validation errors, and which of the two they are.
    pub(super) fn prepare(
        &self,
        types: &Types,
        stock: &Stock,
        query: &str,
    ) -> Result<Arc<Document>, (Outcome, Vec<GraphqlError>)> {
        let cache = self.cache.as_ref().filter(|_| query.len() <= MAX_CACHED_LENGTH);
        if let Some(document) = cache.and_then(|cache| cache.get(query)) {
            return Ok(document);
        }
        let document = Arc::new(Document::new(types, stock, query, &self.limits)?);
        if let Some(cache) = cache {
            cache.insert(query.into(), document.clone());
        }
        Ok(document)
    }
}

/// A valid document.
#[derive(Debug)]
pub(super) struct Document {
    ast: ExecutableDocument,
    operations: Vec<Operation>,
}

/// One operation of a document.
#[derive(Debug)]
pub(super) struct Operation {
    pub name: Option<Arc<str>>,
    pub kind: OperationType,
    /// Whether it asks what is in the schema. Whether a type exists is no secret: it shows in what is
    /// valid.
    pub introspects: bool,
    plans: Plans,
}

#[derive(Debug)]
enum Plans {
    /// Nothing depends on variables.
    One(Arc<Plan>),
    /// By the values of the variables that conditions depend on.
    Many { variables: Vec<Arc<str>>, made: Mutex<Vec<(Vec<bool>, Arc<Plan>)>> },
}

impl Document {
    fn new(
        types: &Types,
        stock: &Stock,
        query: &str,
        limits: &QueryLimits,
    ) -> Result<Self, (Outcome, Vec<GraphqlError>)> {
        let refused = |errors| (Outcome::ValidationFailed, errors);
        let ast = parse(query, limits)?;
        let errors = guard(types, &ast, limits);
        if !errors.is_empty() {
            return Err(refused(errors));
        }
        let mut operations = Vec::new();
        let mut planned = Planned::default();
        for (name, operation) in ast.operations.iter() {
            // Ignoring conditions, this sees everything that could ever be executed.
            let mut planner = Planner::new(types, &ast, Conditions::Ignored);
            let whole = planner.plan(operation);
            let introspects = asks_for_schema(&ast, operation);
            let roots = whole.root.fields.len();
            if roots > limits.root_fields {
                let (found, allowed) = (roots as u64, limits.root_fields as u64);
                let what = format!("selects {found} fields of its root");
                let error = exceeded("root-fields", &what, found, allowed).at(operation.pos);
                planner.errors.push(error);
            }
            for error in std::mem::take(&mut planner.errors) {
                // Operations may share a fragment with an error.
                if !planned.errors.contains(&error) {
                    planned.errors.push(error);
                }
            }
            planned.used.extend(planner.condition_variables.iter().map(|name| (*name).to_owned()));
            planned.allowed_by_default.append(&mut planner.allowed_by_default);
            let plans = if !planner.condition_variables.is_empty() {
                let variables = planner.condition_variables.iter().map(|v| (*v).into()).collect();
                Plans::Many { variables, made: Mutex::default() }
            } else if planner.constant_conditions {
                let none = Map::new();
                let mut planner = Planner::new(types, &ast, Conditions::Known(&none));
                Plans::One(Arc::new(planner.plan(operation)))
            } else {
                Plans::One(Arc::new(whole))
            };
            operations.push(Operation {
                name: name.map(|name| name.as_str().into()),
                kind: operation.node.ty,
                introspects,
                plans,
            });
        }
        let errors = verdict(types, stock, &ast, planned);
        match errors.is_empty() {
            true => Ok(Document { ast, operations }),
            false => Err(refused(errors)),
        }
    }

    /// GetOperation (specification, section 6.1).
    ///
    /// # Errors
    ///
    /// There is no operation of that name, or a name is needed.
    pub(super) fn operation(&self, name: Option<&str>) -> Result<&Operation, GraphqlError> {
        match name {
            None => match self.operations.as_slice() {
                [only] => Ok(only),
                _ => Err(invalid(
                    "Must provide operation name if query contains multiple operations.",
                )),
            },
            Some(name) => self
                .operations
                .iter()
                .find(|operation| operation.name.as_deref() == Some(name))
                .ok_or_else(|| invalid(format!("Unknown operation named \"{name}\"."))),
        }
    }

    /// The definition of one of this document's operations.
    pub(super) fn definition(
        &self,
        operation: &Operation,
    ) -> Option<&Positioned<OperationDefinition>> {
        match (&self.ast.operations, &operation.name) {
            (DocumentOperations::Single(definition), _) => Some(definition),
            (DocumentOperations::Multiple(all), Some(name)) => all.get(&**name),
            (DocumentOperations::Multiple(_), None) => None,
        }
    }

    /// The plan of an operation under coerced variables.
    pub(super) fn plan(
        &self,
        types: &Types,
        operation: &Operation,
        definition: &Positioned<OperationDefinition>,
        variables: &Map,
    ) -> Arc<Plan> {
        let (names, made) = match &operation.plans {
            Plans::One(plan) => return plan.clone(),
            Plans::Many { variables, made } => (variables, made),
        };
        let key: Vec<bool> = names
            .iter()
            .map(|name| variables.get(&**name).and_then(Value::as_bool).unwrap_or(false))
            .collect();
        if let Some((_, plan)) = made.lock().iter().find(|(other, _)| *other == key) {
            return plan.clone();
        }
        let mut planner = Planner::new(types, &self.ast, Conditions::Known(variables));
        let plan = Arc::new(planner.plan(definition));
        let mut made = made.lock();
        if made.len() < MAX_PLANS {
            made.push((key, plan.clone()));
        }
        plan
    }
}

/// Whether an operation asks for `__schema`, or for more of a `__type` than what it is called.
fn asks_for_schema(
    document: &ExecutableDocument,
    operation: &Positioned<OperationDefinition>,
) -> bool {
    fn any(document: &ExecutableDocument, set: &SelectionSet) -> bool {
        set.items.iter().any(|item| match &item.node {
            Selection::Field(field) => match field.node.name.node.as_str() {
                "__schema" => true,
                "__type" => field.node.selection_set.node.items.iter().any(|item| {
                    !matches!(&item.node, Selection::Field(field)
                        if ["name", "kind", "__typename"].contains(&field.node.name.node.as_str()))
                }),
                _ => false,
            },
            Selection::InlineFragment(inline) => any(document, &inline.node.selection_set.node),
            Selection::FragmentSpread(spread) => {
                let fragment = document.fragments.get(&spread.node.fragment_name.node);
                fragment.is_some_and(|f| any(document, &f.node.selection_set.node))
            }
        })
    }
    any(document, &operation.node.selection_set.node)
}

fn parse(
    query: &str,
    limits: &QueryLimits,
) -> Result<ExecutableDocument, (Outcome, Vec<GraphqlError>)> {
    let unreadable = |message: String| GraphqlError::new(code::GRAPHQL_PARSE_FAILED, message);
    if query.len() > limits.length {
        let (found, allowed) = (query.len() as u64, limits.length as u64);
        let what = format!("is {found} bytes long, and long texts belong into variables");
        let error = exceeded("length", &what, found, allowed);
        return Err((Outcome::ValidationFailed, vec![error]));
    }
    match scan(query, limits.tokens) {
        Some(Finding::TooLong) => {
            let allowed = limits.tokens as u64;
            let what = format!("has more than {allowed} tokens");
            let error = exceeded("tokens", &what, allowed + 1, allowed);
            return Err((Outcome::ValidationFailed, vec![error]));
        }
        Some(Finding::TooDeep(at)) => {
            let message = format!("Syntax Error: nested deeper than {MAX_NESTING} brackets.");
            return Err((Outcome::ParseFailed, vec![unreadable(message).at(at)]));
        }
        Some(Finding::DuplicateInputField { name, at }) => {
            let message = format!("There can be only one input field named \"{name}\".");
            return Err((Outcome::ValidationFailed, vec![invalid(message).at(at)]));
        }
        None => {}
    }
    use async_graphql::parser::Error as ParseError;
    async_graphql::parser::parse_query(query).map_err(|error| {
        let locations = error.positions().map(Location::from).collect();
        // The parser finds these, but they are rules of validation.
        let (outcome, mut own) = match &error {
            ParseError::MultipleOperations { .. } => {
                let message = "This anonymous operation must be the only defined operation.";
                (Outcome::ValidationFailed, invalid(message))
            }
            ParseError::OperationDuplicated { operation, .. } => {
                let message = format!("There can be only one operation named \"{operation}\".");
                (Outcome::ValidationFailed, invalid(message))
            }
            ParseError::FragmentDuplicated { fragment, .. } => {
                let message = format!("There can be only one fragment named \"{fragment}\".");
                (Outcome::ValidationFailed, invalid(message))
            }
            ParseError::MissingOperation => {
                let message = "The document does not contain an operation.";
                (Outcome::ValidationFailed, invalid(message))
            }
            other => (Outcome::ParseFailed, unreadable(format!("Syntax Error: {}", reason(other)))),
        };
        own.locations = locations;
        (outcome, vec![own])
    })
}

/// The parser draws the place with lines and arrows; only the last line says what was expected.
fn reason(error: &async_graphql::parser::Error) -> String {
    let text = error.to_string();
    let last = text.lines().next_back().unwrap_or_default();
    last.trim_start_matches([' ', '=']).to_owned()
}
