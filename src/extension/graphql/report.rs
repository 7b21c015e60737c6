//! Errors of fields: where they are, and what clients and logs are told of them.

use std::sync::Arc;

use super::execute::Execution;
use super::plan::{FieldKind, PlanField};
use super::response::{GraphqlError, PathSegment, path_text};
use crate::error::{Error, code};
use crate::plugin::logs::{self, Level, Line};

/// What clients see of an error that may say more than they should know.
pub(super) const MASKED: &str = "An unexpected error occurred.";

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
        self.tell(plan, &segments, &error.message);
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
        self.tell(plan, &segments, &message);
        self.push(plan, segments, self.unexpected(message));
    }

    /// Tells those who watch the log of the plugin that a field is of.
    fn tell(&self, plan: &PlanField, path: &[PathSegment], error: &str) {
        let FieldKind::Declared(declared) = &plan.kind else { return };
        let owner = &*declared.field.owner;
        let generations = self.cx.world.generations();
        if let Some(generation) = generations.iter().find(|g| g.plugin_id() == owner) {
            let message = format!("the GraphQL field {} failed: {error}", path_text(path));
            let request_id = Some(self.cx.info.id.as_str());
            let line = Line { level: Level::Error, message: &message, fields: None, request_id };
            logs::tell(&generation.services, owner, line);
        }
    }

    fn unexpected(&self, message: impl Into<String>) -> GraphqlError {
        GraphqlError::new(code::UNEXPECTED, message).with("requestId", self.cx.info.id.as_str())
    }

    fn push(&self, plan: &PlanField, path: Vec<PathSegment>, error: GraphqlError) {
        self.errors.lock().push(GraphqlError { path, ..error.at(plan.pos) });
    }
}
