//! The library's view of the schema: it parses, validates and answers introspection. Its resolvers are never called; execution is our own.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, InputObject, InputValue, Interface, InterfaceField, Object,
    Scalar as StockScalar, Schema, SchemaError, Subscription, SubscriptionField,
    SubscriptionFieldFuture, TypeRef as StockTypeRef, Union,
};
use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery, NextValidation,
};
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument};
use async_graphql::{
    CacheControl, Name, Request, Response, ServerError, ServerResult, ValidationResult,
    Value as StockValue, Variables, async_trait,
};
use futures_util::FutureExt;

use super::model::{Declarations, FieldDef, InputValueDef, InterfaceDef, Operation, TypeDef};
use super::output::Output;
use super::scalar::Scalar;
use super::tables::{Type, Types};
use super::types::TypeRef;
use crate::value::{Map, Value};

/// What a request to the library is for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Purpose {
    Validate,
    Introspect,
}

/// The library's schema.
#[derive(Debug)]
pub(super) struct Stock {
    schema: Schema,
}

impl Stock {
    /// Builds it from declarations that passed the check. Root fields are sorted, so that the
    /// result does not depend on the order in which plugins were activated; the library sorts
    /// types itself.
    pub(super) fn build(sets: &[Arc<Declarations>], types: &Types) -> Result<Self, SchemaError> {
        let roots = |operation: Operation| -> BTreeMap<&str, &FieldDef> {
            sets.iter()
                .flat_map(|set| &set.fields)
                .filter(|root| root.operation == operation)
                .map(|root| (root.field.name.as_str(), &root.field))
                .collect()
        };
        let mutations = roots(Operation::Mutation);
        let mutation = (!mutations.is_empty()).then_some(Operation::Mutation.type_name());
        let subscriptions = roots(Operation::Subscription);
        let subscription =
            (!subscriptions.is_empty()).then_some(Operation::Subscription.type_name());
        let mut builder = Schema::build(Operation::Query.type_name(), mutation, subscription)
            // Checked before, without the cost that grows with every fragment spread.
            .limit_recursive_depth(usize::MAX)
            .extension(Hooks)
            .register(object("Query", None, roots(Operation::Query).into_values(), types));
        if mutation.is_some() {
            builder = builder.register(object("Mutation", None, mutations.into_values(), types));
        }
        if subscription.is_some() {
            builder = builder.register(subscription_type(subscriptions.into_values(), types));
        }
        for scalar in Scalar::ALL {
            if let Some((description, url)) = scalar.documentation() {
                let stock = StockScalar::new(scalar.name()).description(description);
                builder = builder.register(match url {
                    Some(url) => stock.specified_by_url(url),
                    None => stock,
                });
            }
        }
        for def in sets.iter().flat_map(|set| &set.types) {
            builder = match def {
                TypeDef::Object(def) => {
                    let description = def.description.as_deref();
                    let mut stock = object(&def.name, description, def.fields.iter(), types);
                    for interface in &def.interfaces {
                        stock = stock.implement(interface);
                    }
                    builder.register(stock)
                }
                TypeDef::Interface(def) => builder.register(interface(def, types)),
                TypeDef::Union(def) => {
                    let mut stock = Union::new(&def.name);
                    if let Some(description) = &def.description {
                        stock = stock.description(description);
                    }
                    for name in &def.types {
                        stock = stock.possible_type(name);
                    }
                    builder.register(stock)
                }
                TypeDef::Scalar(def) => {
                    let mut stock = StockScalar::new(&def.name);
                    if let Some(description) = &def.description {
                        stock = stock.description(description);
                    }
                    if let Some(url) = &def.specified_by {
                        stock = stock.specified_by_url(url);
                    }
                    builder.register(stock)
                }
                TypeDef::Input(def) => {
                    let mut input = InputObject::new(&def.name);
                    if def.one_of {
                        input = input.oneof();
                    }
                    if let Some(description) = &def.description {
                        input = input.description(description);
                    }
                    for field in &def.fields {
                        input = input.field(input_value(field, types));
                    }
                    builder.register(input)
                }
                TypeDef::Enum(def) => {
                    let mut stock = Enum::new(&def.name);
                    if let Some(description) = &def.description {
                        stock = stock.description(description);
                    }
                    for value in &def.values {
                        let mut item = EnumItem::new(&value.name);
                        if let Some(description) = &value.description {
                            item = item.description(description);
                        }
                        if let Some(reason) = &value.deprecated {
                            item = item.deprecation(Some(reason));
                        }
                        stock = stock.item(item);
                    }
                    builder.register(stock)
                }
            };
        }
        Ok(Stock { schema: builder.finish()? })
    }

    /// Validates a document. Variables play no part, so the verdict holds for all requests.
    pub(super) fn validate(&self, document: &ExecutableDocument) -> Vec<ServerError> {
        let mut request = Request::new(String::new()).data(Purpose::Validate);
        // The library wants to know which operation would be executed.
        if let DocumentOperations::Multiple(operations) = &document.operations
            && let Some(name) = operations.keys().min()
        {
            request = request.operation_name(name.as_str());
        }
        request.set_parsed_query(document.clone());
        self.run(request).errors
    }

    /// Executes an operation that selects nothing but `__schema` and `__type`.
    pub(super) fn introspect(
        &self,
        document: ExecutableDocument,
        variables: &Map,
    ) -> Result<Vec<(Name, Output)>, Vec<ServerError>> {
        let variables: Variables = Variables::from_value(StockValue::Object(
            variables.iter().map(|(k, v)| (Name::new(k), plain_stock_value(v))).collect(),
        ));
        let mut request =
            Request::new(String::new()).data(Purpose::Introspect).variables(variables);
        request.set_parsed_query(document);
        let response = self.run(request);
        match response.data {
            StockValue::Object(entries) if response.errors.is_empty() => {
                Ok(entries.into_iter().map(|(name, value)| (name, output(value))).collect())
            }
            _ => Err(response.errors),
        }
    }

    /// Nothing here waits for anything, so one poll is enough. A panic of the library is answered
    /// as an error, since what led to it came from outside.
    fn run(&self, request: Request) -> Response {
        let run = || self.schema.execute(request).now_or_never();
        let message = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Some(response)) => return response,
            Ok(None) => "validation did not finish",
            Err(_) => "validation panicked",
        };
        tracing::error!(message, "the GraphQL library failed");
        let error = ServerError::new("The document could not be validated.", None);
        Response::from_errors(vec![error])
    }
}

fn object<'d>(
    name: &str,
    description: Option<&str>,
    fields: impl Iterator<Item = &'d FieldDef>,
    types: &Types,
) -> Object {
    let mut object = Object::new(name);
    if let Some(description) = description {
        object = object.description(description);
    }
    for def in fields {
        let mut field =
            Field::new(&def.name, stock_type(&def.ty), |_| FieldFuture::from_value(None));
        if let Some(description) = &def.description {
            field = field.description(description);
        }
        if let Some(reason) = &def.deprecated {
            field = field.deprecation(Some(reason));
        }
        for arg in &def.args {
            field = field.argument(input_value(arg, types));
        }
        object = object.field(field);
    }
    object
}

fn interface(def: &InterfaceDef, types: &Types) -> Interface {
    let mut stock = Interface::new(&def.name);
    if let Some(description) = &def.description {
        stock = stock.description(description);
    }
    for name in &def.interfaces {
        stock = stock.implement(name);
    }
    for def in &def.fields {
        let mut field = InterfaceField::new(&def.name, stock_type(&def.ty));
        if let Some(description) = &def.description {
            field = field.description(description);
        }
        if let Some(reason) = &def.deprecated {
            field = field.deprecation(Some(reason));
        }
        for arg in &def.args {
            field = field.argument(input_value(arg, types));
        }
        stock = stock.field(field);
    }
    stock
}

fn subscription_type<'d>(
    fields: impl Iterator<Item = &'d FieldDef>,
    types: &Types,
) -> Subscription {
    let mut stock = Subscription::new(Operation::Subscription.type_name());
    for def in fields {
        let mut field = SubscriptionField::new(&def.name, stock_type(&def.ty), |_| {
            SubscriptionFieldFuture::new(async {
                Ok(futures_util::stream::empty::<async_graphql::Result<StockValue>>())
            })
        });
        if let Some(description) = &def.description {
            field = field.description(description);
        }
        if let Some(reason) = &def.deprecated {
            field = field.deprecation(Some(reason));
        }
        for arg in &def.args {
            field = field.argument(input_value(arg, types));
        }
        stock = stock.field(field);
    }
    stock
}

fn input_value(def: &InputValueDef, types: &Types) -> InputValue {
    let mut input = InputValue::new(&def.name, stock_type(&def.ty));
    if let Some(reason) = &def.deprecated {
        input = input.deprecation(Some(reason));
    }
    if let Some(description) = &def.description {
        input = input.description(description);
    }
    if let Some(default) = &def.default {
        input = input.default_value(stock_value(&def.ty, default, types));
    }
    input
}

fn stock_type(ty: &TypeRef) -> StockTypeRef {
    match ty {
        TypeRef::Named(name) => StockTypeRef::named(&**name),
        TypeRef::List(inner) => StockTypeRef::List(Box::new(stock_type(inner))),
        TypeRef::NonNull(inner) => StockTypeRef::NonNull(Box::new(stock_type(inner))),
    }
}

/// A default value as a literal: strings in enum positions become enum values.
pub(super) fn stock_value(ty: &TypeRef, value: &Value, types: &Types) -> StockValue {
    match (ty.nullable(), value) {
        (TypeRef::List(inner), Value::List(items)) => {
            StockValue::List(items.iter().map(|item| stock_value(inner, item, types)).collect())
        }
        (TypeRef::List(inner), single) if !single.is_null() => {
            StockValue::List(vec![stock_value(inner, single, types)])
        }
        (TypeRef::Named(name), Value::String(s))
            if matches!(types.get(name), Some(Type::Enum(_))) =>
        {
            StockValue::Enum(Name::new(s))
        }
        (TypeRef::Named(name), Value::Map(map)) => match types.get(name) {
            Some(Type::Input(def)) => StockValue::Object(
                map.iter()
                    .map(|(key, value)| {
                        let field = def.fields.iter().find(|field| &*field.name == key);
                        let value = match field {
                            Some(field) => stock_value(&field.ty, value, types),
                            None => plain_stock_value(value),
                        };
                        (Name::new(key), value)
                    })
                    .collect(),
            ),
            _ => plain_stock_value(value),
        },
        _ => plain_stock_value(value),
    }
}

fn plain_stock_value(value: &Value) -> StockValue {
    match value {
        Value::Null | Value::Bytes(_) => StockValue::Null,
        Value::Bool(b) => StockValue::Boolean(*b),
        Value::Int(i) => StockValue::from(*i),
        Value::Float(f) if f.fract() == 0.0 && f.abs() < 1e15 => StockValue::from(*f as i64),
        Value::Float(f) => StockValue::from(*f),
        Value::String(s) => StockValue::String(s.clone()),
        Value::List(items) => StockValue::List(items.iter().map(plain_stock_value).collect()),
        Value::Map(map) => StockValue::Object(
            map.iter().map(|(key, value)| (Name::new(key), plain_stock_value(value))).collect(),
        ),
    }
}

/// What introspection answers, in our form.
fn output(value: StockValue) -> Output {
    match value {
        StockValue::Null | StockValue::Binary(_) => Output::Null,
        StockValue::Number(n) => match n.as_i64() {
            Some(i) => Output::Int(i),
            None => n.as_f64().map_or(Output::Null, Output::Float),
        },
        StockValue::String(s) => Output::Str(s),
        StockValue::Boolean(b) => Output::Bool(b),
        StockValue::Enum(name) => Output::Str(name.to_string()),
        StockValue::List(items) => Output::List(items.into_iter().map(output).collect()),
        StockValue::Object(entries) => Output::Object(
            entries.into_iter().map(|(key, value)| (key.as_str().into(), output(value))).collect(),
        ),
    }
}

struct Hooks;

impl ExtensionFactory for Hooks {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Hooks)
    }
}

fn purpose(cx: &ExtensionContext<'_>) -> Option<Purpose> {
    cx.data_opt::<Purpose>().copied()
}

#[async_trait::async_trait]
impl Extension for Hooks {
    async fn parse_query(
        &self,
        cx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        next.run(cx, query, variables).await
    }

    async fn validation(
        &self,
        cx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        match purpose(cx) {
            Some(Purpose::Introspect) => Ok(ValidationResult {
                cache_control: CacheControl::default(),
                complexity: 0,
                depth: 0,
            }),
            _ => next.run(cx).await,
        }
    }

    async fn execute(
        &self,
        cx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        match purpose(cx) {
            Some(Purpose::Introspect) => next.run(cx, operation_name).await,
            _ => Response::default(),
        }
    }
}
