//! Tests of the whole engine, from declarations to response.

mod abstracts;
mod auth;
mod batches;
mod checking;
mod constraints;
mod execution;
mod from_table;
mod input;
mod introspection;
mod nulls;
mod scalars;
mod sdl;
mod validation;

use std::sync::Arc;

use futures_util::FutureExt;

use super::*;
use crate::error::{Error, Result};
use crate::request::{RequestContext, RequestInfo, Role, User};
use crate::value::{Map, Value};

/// A type reference.
fn ty(text: &str) -> TypeRef {
    text.parse().unwrap()
}

/// A value, from JSON.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A field that reads its key.
fn property(name: &str, of: &str) -> FieldDef {
    FieldDef::new(name, ty(of))
}

fn arg(name: &str, of: &str) -> InputValueDef {
    InputValueDef::new(name, ty(of))
}

/// A field whose resolver answers at once.
fn field(
    name: &str,
    of: &str,
    resolve: impl Fn(&Value, Map) -> Result<Value> + Send + Sync + 'static,
) -> FieldDef {
    FieldDef::new(name, ty(of)).resolver(for_fn(move |parent, args, _| {
        let result = resolve(parent, args);
        async move { result }.boxed()
    }))
}

fn constant(name: &str, of: &str, value: Value) -> FieldDef {
    field(name, of, move |_, _| Ok(value.clone()))
}

fn failing(name: &str, of: &str) -> FieldDef {
    field(name, of, |_, _| Err(Error::new("oops", "it failed")))
}

fn object(name: &str, fields: Vec<FieldDef>) -> TypeDef {
    TypeDef::Object(ObjectDef { name: name.into(), fields, ..Default::default() })
}

fn input(name: &str, fields: Vec<InputValueDef>) -> TypeDef {
    TypeDef::Input(InputDef { name: name.into(), fields, ..Default::default() })
}

fn enumeration(name: &str, values: &[&str]) -> TypeDef {
    let values = values.iter().map(|value| EnumValueDef::new(*value)).collect();
    TypeDef::Enum(EnumDef { name: name.into(), values, ..Default::default() })
}

fn root(operation: Operation, field: FieldDef) -> RootField {
    RootField { operation, field, auth: Auth::Public }
}

/// Public declarations of one plugin.
fn declarations(
    owner: &str,
    types: Vec<TypeDef>,
    queries: Vec<FieldDef>,
    mutations: Vec<FieldDef>,
) -> Arc<Declarations> {
    let queries = queries.into_iter().map(|field| root(Operation::Query, field));
    let mutations = mutations.into_iter().map(|field| root(Operation::Mutation, field));
    let fields = queries.chain(mutations).collect();
    Arc::new(Declarations { owner: owner.into(), types, fields, ..Default::default() })
}

fn schema(types: Vec<TypeDef>, queries: Vec<FieldDef>) -> Schema {
    Schema::build(&[declarations("test", types, queries, vec![])]).unwrap()
}

fn user(role: Role) -> Arc<User> {
    Arc::new(User { id: "u".into(), name: "n".into(), email_address: "e".into(), role })
}

fn context(user: Option<Arc<User>>) -> RequestContext {
    let info = RequestInfo { id: "req-1".into(), ..Default::default() };
    RequestContext { info: Arc::new(info), user, world: Arc::default() }
}

async fn execute(schema: &Schema, query: &str, variables: &str) -> Response {
    let Value::Map(variables) = json(variables) else { panic!("variables are an object") };
    let request = Request { query: query.into(), operation_name: None, variables };
    schema.execute(&request, Mode::AnyOperation, &context(None)).await
}

/// The response as JSON.
async fn run(schema: &Schema, query: &str) -> String {
    run_with(schema, query, "{}").await
}

async fn run_with(schema: &Schema, query: &str, variables: &str) -> String {
    serde_json::to_string(&execute(schema, query, variables).await).unwrap()
}

/// Messages and paths of the errors, one in a line.
fn errors(response: &Response) -> Vec<String> {
    let mut lines: Vec<String> = response
        .errors
        .iter()
        .map(|error| format!("{}: {}", response::path_text(&error.path), error.message))
        .collect();
    lines.sort();
    lines
}

fn messages(response: &Response) -> Vec<&str> {
    response.errors.iter().map(|error| error.message.as_str()).collect()
}

fn data(response: &Response) -> String {
    serde_json::to_string(&response.data).unwrap()
}
