//! The schema: built from declarations, immutable, and able to execute requests.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;

use super::check::{SchemaProblem, check};
use super::document::Documents;
use super::execute::Execution;
use super::merge::merged;
use super::model::{Declarations, HOST};
use super::response::{GraphqlError, Mode, Outcome, Request, Response};
use super::sdl;
use super::stock::Stock;
use super::tables::Types;
use super::variables::variables;
use crate::error::code;
use crate::request::RequestContext;

/// How a [`Schema`] is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaOptions {
    /// Whether parsed and validated documents are kept. Off only to measure.
    pub cache_documents: bool,
}

impl Default for SchemaOptions {
    fn default() -> Self {
        SchemaOptions { cache_documents: true }
    }
}

/// An executable schema.
#[derive(Debug)]
pub struct Schema {
    types: Types,
    stock: Stock,
    sdl: String,
    documents: Documents,
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
        Ok(Schema { types, stock, sdl, documents: Documents::new(options.cache_documents) })
    }

    /// The schema as SDL. It depends on the declarations alone, not on their owners' order.
    pub fn sdl(&self) -> &str {
        &self.sdl
    }

    /// Executes a request (specification, section 6).
    pub async fn execute(&self, request: &Request, mode: Mode, cx: &RequestContext) -> Response {
        let document = match self.documents.prepare(&self.types, &self.stock, &request.query) {
            Ok(document) => document,
            Err((outcome, errors)) => return Response::refused(outcome, errors),
        };
        let operation = match document.operation(request.operation_name.as_deref()) {
            Ok(operation) => operation,
            Err(error) => return Response::refused(Outcome::ValidationFailed, vec![error]),
        };
        let Some(definition) = document.definition(operation) else {
            // Operations are made from definitions.
            return Response::refused(Outcome::ValidationFailed, Vec::new());
        };
        if mode == Mode::QueryOnly && operation.kind != OperationType::Query {
            let message = format!("A {} cannot be sent with this method.", operation.kind);
            let error = GraphqlError::new(code::GRAPHQL_OPERATION_NOT_ALLOWED, message);
            let error = error.at(definition.pos);
            return Response::refused(Outcome::OperationNotAllowed, vec![error]);
        }
        let definitions = &definition.node.variable_definitions;
        let variables = match variables(&self.types, definitions, &request.variables, cx).await {
            Ok(variables) => variables,
            Err(errors) => return Response::refused(Outcome::InvalidVariables, errors),
        };
        let plan = document.plan(&self.types, operation, definition, &variables);
        let execution = Execution::new(&self.types, &self.stock, cx, &variables);
        let data = execution.run(operation.kind, &plan).await;
        Response {
            data: Some(data),
            errors: execution.errors.into_inner(),
            outcome: Outcome::Executed,
        }
    }
}
