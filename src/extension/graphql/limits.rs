//! Limits on what an operation may ask for. What an operation is refused for is known before anything is
//! executed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_graphql_value::Value as Literal;

use super::plan::{Args, Below, DeclaredField, FieldKind, Plan, Selection};
use super::response::GraphqlError;
use crate::error::code;
use crate::value::{Map, Value};

/// How much an operation may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Of a document, in bytes. Long texts belong into variables.
    pub length: usize,
    /// Tokens of a document.
    pub tokens: usize,
    /// How deep selections are nested, fragments included.
    pub depth: usize,
    /// Aliases in an operation, fragments included.
    pub aliases: usize,
    /// Fields of the root.
    pub root_fields: usize,
    /// Directives in an operation, fragments included.
    pub directives: usize,
    /// Fields, times the sizes of the lists that they are in.
    pub cost: u64,
    /// Of a response, in bytes.
    pub response: usize,
    /// How long executing an operation may take. If a plugin may take longer for one call, then so may
    /// an operation with fields of it.
    pub timeout: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        QueryLimits {
            length: 128 * 1024,
            tokens: 5_000,
            depth: 20,
            aliases: 100,
            root_fields: 50,
            directives: 50,
            cost: 100_000,
            response: 16 * 1024 * 1024,
            timeout: Duration::from_secs(30),
        }
    }
}

/// The error of something that goes beyond a limit: which, and by how much.
pub(super) fn exceeded(limit: &str, what: &str, found: u64, allowed: u64) -> GraphqlError {
    let message =
        format!("The operation {what}; at most {allowed} are allowed (graphql-max-{limit}).");
    let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    GraphqlError::new(code::GRAPHQL_LIMIT_EXCEEDED, message)
        .with("limit", limit)
        .with("found", int(found))
        .with("allowed", int(allowed))
}

/// What an operation costs: each field 1, or what it declares, times the sizes of the lists that it is
/// in. `variables` are coerced. What is too much to count is the largest number.
pub(super) fn cost(plan: &Plan, variables: &Map) -> u64 {
    Counter { variables, counted: HashMap::new() }.selection(&plan.root)
}

struct Counter<'p> {
    variables: &'p Map,
    /// Selections are shared where types differ in nothing.
    counted: HashMap<*const Selection, u64>,
}

impl Counter<'_> {
    fn selection(&mut self, selection: &Selection) -> u64 {
        selection.fields.iter().fold(0, |sum: u64, field| {
            sum.saturating_add(match &field.kind {
                FieldKind::TypeName(_) => 0,
                FieldKind::Introspection => 1,
                FieldKind::Declared(declared) => self.field(declared),
            })
        })
    }

    fn field(&mut self, declared: &DeclaredField) -> u64 {
        let below = match &declared.below {
            Below::Nothing => 0,
            Below::One(selection) => self.selection(selection),
            Below::ByType(all) => {
                all.iter().map(|(_, selection)| self.shared(selection)).max().unwrap_or(0)
            }
        };
        let field = &declared.field;
        field.cost.saturating_add(self.size(declared).saturating_mul(below))
    }

    fn shared(&mut self, selection: &Arc<Selection>) -> u64 {
        let key = Arc::as_ptr(selection);
        if let Some(known) = self.counted.get(&key) {
            return *known;
        }
        let cost = self.selection(selection);
        self.counted.insert(key, cost);
        cost
    }

    /// How often what is below a field is there.
    fn size(&self, declared: &DeclaredField) -> u64 {
        let field = &declared.field;
        let asked = field.size_arguments.iter().filter_map(|name| match &declared.args {
            Args::Constant { args, .. } => args.get(&**name).and_then(whole),
            Args::Dynamic(written) => {
                let (_, literal) = written.iter().find(|(arg, _)| arg.node.as_str() == &**name)?;
                match &literal.node {
                    Literal::Variable(name) => self.variables.get(name.as_str()).and_then(whole),
                    Literal::Number(number) => number.as_u64(),
                    _ => None,
                }
            }
        });
        asked.max().unwrap_or(field.list_size)
    }
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => Some(u64::try_from(*number).unwrap_or(0)),
        _ => None,
    }
}
