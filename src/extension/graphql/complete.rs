//! Output coercion (specification, section 6.4.3): resolved values become [`Output`]s of their
//! field's type. This half waits for nothing; see [`super::execute`] for values below which there
//! are resolvers.

use super::execute::Execution;
use super::output::Output;
use super::plan::{Below, DeclaredField, FieldKind, PlanField, Selection};
use super::report::{Path, Step};
use super::tables::{AbstractType, OutputType};
use crate::error::Error;
use crate::value::Value;

/// A non-null position is null, and the error is recorded: the nearest nullable position above
/// becomes null (section 6.4.4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Nulled;

/// An output, which is null where an error was recorded too.
pub(super) type Completed = Result<Output, Nulled>;

/// A field in the place where it is executed.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub plan: &'a PlanField,
    pub declared: &'a DeclaredField,
}

/// What a value of a type turned out to be, before its parts are completed.
pub(super) enum Shape<'v, 't> {
    Done(Completed),
    List(&'v mut [Value], &'t OutputType),
    Object,
}

impl Execution<'_> {
    /// Looks at a value that is not null, of a type that is nullable.
    pub(super) fn shape<'v, 't>(
        &self,
        at: At<'_>,
        ty: &'t OutputType,
        value: &'v mut Value,
        path: &Path<'_>,
    ) -> Shape<'v, 't> {
        let (expected, detail) = match ty {
            // Its caller takes the wrapper off.
            OutputType::NonNull(inner) => return self.shape(at, inner, value, path),
            OutputType::List(inner) => match value {
                Value::List(items) => return Shape::List(items, inner),
                // Lua has one empty table.
                Value::Map(map) if map.is_empty() => return Shape::List(&mut [], inner),
                _ => ("a list".to_owned(), None),
            },
            OutputType::Object(name) => match value {
                Value::Map(_) => return Shape::Object,
                Value::List(items) if items.is_empty() => return Shape::Object,
                _ => (format!("an object of the type \"{name}\""), None),
            },
            OutputType::Abstract(of) => match value {
                Value::Map(_) => return Shape::Object,
                _ => (format!("an object of the type \"{}\"", of.name), None),
            },
            // Its owner looks at it.
            OutputType::Custom(_) => return Shape::Object,
            OutputType::Scalar(scalar) => match scalar.serialize(value) {
                Ok(output) => return Shape::Done(Ok(output)),
                Err(detail) => (scalar.expectation().to_owned(), Some(detail)),
            },
            OutputType::Enum(def) => {
                if let Value::String(s) = value
                    && let Some(name) = def.values.iter().find(|name| ***name == **s)
                {
                    return Shape::Done(Ok(Output::Name(name.clone())));
                }
                (format!("a value of the enum \"{}\"", def.name), None)
            }
        };
        let detail = detail.unwrap_or_else(|| format!("found {}", value.excerpt()));
        let message = format!("expected {expected}, found {}", described(value));
        self.misfit(at, path, &message, &detail);
        Shape::Done(Ok(Output::Null))
    }

    /// CompleteValue, for a value below which there is no resolver.
    pub(super) fn complete(
        &self,
        at: At<'_>,
        ty: &OutputType,
        value: &mut Value,
        path: &Path<'_>,
    ) -> Completed {
        if let OutputType::NonNull(inner) = ty {
            if value.is_null() {
                return self.null_in_non_null(at, path);
            }
            return non_null(self.complete(at, inner, value, path));
        }
        if value.is_null() {
            return Ok(Output::Null);
        }
        match self.shape(at, ty, value, path) {
            Shape::Done(done) => done,
            Shape::List(items, inner) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter_mut().enumerate() {
                    match self.complete(at, inner, item, &path.index(index)) {
                        Ok(output) => list.push(output),
                        Err(Nulled) => return Ok(Output::Null),
                    }
                }
                Ok(Output::List(list))
            }
            Shape::Object => {
                let selection: &Selection = match (&at.declared.below, ty) {
                    (Below::One(selection), _) => selection,
                    (Below::ByType(_), OutputType::Abstract(of)) => {
                        match self.named_type(at, of, value, path) {
                            Ok(selection) => selection,
                            Err(done) => return done,
                        }
                    }
                    _ => return Ok(Output::Null),
                };
                Ok(self.properties(selection, value, path))
            }
        }
    }

    /// What is selected of an object of an interface or union, by its `__typename`.
    pub(super) fn named_type<'a>(
        &self,
        at: At<'a>,
        of: &AbstractType,
        value: &Value,
        path: &Path<'_>,
    ) -> Result<&'a Selection, Completed> {
        match (value.get("__typename").and_then(Value::as_str), of.possible.as_slice()) {
            (Some(name), _) => self.selected_of(at, of, name, path),
            (None, [only]) => self.selected_of(at, of, only, path),
            (None, _) => {
                let message = format!(
                    "its type is not known; \"{}\" needs a \"resolveType\", or the value a \
                     \"__typename\"",
                    of.name
                );
                self.misfit(at, path, &message, "found no __typename");
                Err(Ok(Output::Null))
            }
        }
    }

    /// What is selected of an object that turned out to be of the type `name`.
    pub(super) fn selected_of<'a>(
        &self,
        at: At<'a>,
        of: &AbstractType,
        name: &str,
        path: &Path<'_>,
    ) -> Result<&'a Selection, Completed> {
        if let Below::ByType(all) = &at.declared.below
            && let Some((_, selection)) = all.iter().find(|(possible, _)| **possible == *name)
        {
            return Ok(selection);
        }
        let known = of.possible.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
        let message = format!("\"{}\" cannot be of the type {name:?}; it can be {known}", of.name);
        self.misfit(at, path, &message, "found an unknown type");
        Err(Ok(Output::Null))
    }

    /// An object without resolvers. Null if one of its non-null fields is.
    pub(super) fn properties(
        &self,
        selection: &Selection,
        parent: &mut Value,
        path: &Path<'_>,
    ) -> Output {
        let mut entries = Vec::with_capacity(selection.fields.len());
        for plan in &selection.fields {
            match self.property(plan, parent, path) {
                Ok(output) => entries.push((plan.key.clone(), output)),
                Err(Nulled) => return Output::Null,
            }
        }
        Output::Object(entries)
    }

    /// A field that reads the key of its own name from its parent.
    pub(super) fn property(
        &self,
        plan: &PlanField,
        parent: &mut Value,
        path: &Path<'_>,
    ) -> Completed {
        let declared = match &plan.kind {
            FieldKind::Declared(declared) => declared,
            FieldKind::TypeName(name) => return Ok(Output::Name(name.clone())),
            FieldKind::Introspection => return Ok(Output::Null),
        };
        let path = path.key(&plan.key);
        let mut absent = Value::Null;
        let mut copy;
        let value = match (parent, declared.last_reader) {
            (Value::Map(map), true) => map.get_mut(&*declared.field.name).unwrap_or(&mut absent),
            (Value::Map(map), false) => {
                copy = map.get(&*declared.field.name).cloned().unwrap_or_default();
                &mut copy
            }
            _ => &mut absent,
        };
        self.complete(At { plan, declared }, &declared.field.output, value, &path)
    }

    /// Records that a non-null field resolved to null.
    pub(super) fn null_in_non_null(&self, at: At<'_>, path: &Path<'_>) -> Completed {
        let field = &at.declared.field;
        let message =
            format!("Cannot return null for non-nullable field {}.{}.", field.parent, field.name);
        self.record_own(at.plan, path, message, "found null");
        Err(Nulled)
    }

    /// Records that a resolved value does not fit its type.
    pub(super) fn misfit(&self, at: At<'_>, path: &Path<'_>, message: &str, detail: &str) {
        let field = &at.declared.field;
        let item = match path.step {
            Some(Step::Index(index)) => format!(" (item {index})"),
            _ => String::new(),
        };
        let message = format!(
            "The field {}.{} of the type \"{}\" resolved to a wrong value{item}: {message}.",
            field.parent, field.name, field.ty
        );
        self.record_own(at.plan, path, message, detail);
    }

    /// Records an error that a resolver returned.
    pub(super) fn failed(&self, at: At<'_>, path: &Path<'_>, error: Error) -> Completed {
        self.record(at.plan, path, error);
        match at.declared.field.output {
            OutputType::NonNull(_) => Err(Nulled),
            _ => Ok(Output::Null),
        }
    }
}

/// Null in a non-null position propagates.
pub(super) fn non_null(completed: Completed) -> Completed {
    match completed {
        Ok(Output::Null) => Err(Nulled),
        other => other,
    }
}

fn described(value: &Value) -> String {
    let name = value.type_name();
    match name.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => format!("an {name}"),
        false => format!("a {name}"),
    }
}
