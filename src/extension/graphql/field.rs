//! Resolving one field: who may, with what, and by which function.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use super::coerce::{Coercer, CustomValue, Variables};
use super::execute::Execution;
use super::model::{Auth, Resolve};
use super::plan::{Args, DeclaredField};
use super::variables::{arguments_error, check_constraints, read_custom};
use crate::error::{Error, code};
use crate::request::{RequestContext, Role};
use crate::value::{Map, Value};

impl Execution<'_> {
    /// Who may, with what, and the resolver itself, in this order.
    pub(super) async fn resolve(
        &self,
        declared: &DeclaredField,
        parent: &Value,
    ) -> Result<Value, Error> {
        let field = &declared.field;
        if let Some(auth) = &field.auth {
            authorize(auth, self.cx)?;
        }
        let args = self.arguments(declared)?;
        let call = async {
            let args = self.checked(declared, args).await?;
            match &field.resolver {
                Some(Resolve::One(resolver)) => {
                    let _coming = self.batches.coming(declared.below.batches());
                    match &field.visible {
                        None => resolver.resolve(parent, args, self.cx).await,
                        Some(names) => {
                            resolver.resolve(&visible(parent, names), args, self.cx).await
                        }
                    }
                }
                Some(Resolve::Batch(_)) => {
                    let identity = std::ptr::from_ref(parent) as usize;
                    let parent = match &field.visible {
                        None => parent.clone(),
                        Some(names) => visible(parent, names),
                    };
                    let below = declared.below.batches();
                    self.batches.load(field, (identity, parent), args, below).await
                }
                // A subscription's value comes with its event.
                Some(Resolve::Subscribe(_)) | None => {
                    Ok(parent.get(&field.name).cloned().unwrap_or_default())
                }
            }
        };
        guarded(call).await
    }

    /// The coerced arguments of a field.
    pub(super) fn arguments(
        &self,
        declared: &DeclaredField,
    ) -> Result<(Map, Cow<'_, [CustomValue]>), Error> {
        match &declared.args {
            Args::Constant { args, custom, .. } => Ok((args.clone(), Cow::Owned(custom.clone()))),
            Args::Dynamic(written) => {
                let mut coercer = Coercer::new(self.types);
                let args = coercer.arguments(
                    &declared.field.args,
                    written,
                    Variables::Known(self.variables),
                );
                match coercer.issues.as_slice() {
                    [] => Ok((args, Cow::Owned(coercer.custom))),
                    issues => Err(arguments_error(issues)),
                }
            }
        }
    }

    /// Arguments with the values of custom scalars in them read, if `auth` and the constraints let them
    /// pass.
    pub(super) async fn checked(
        &self,
        declared: &DeclaredField,
        (mut args, custom): (Map, Cow<'_, [CustomValue]>),
    ) -> Result<Map, Error> {
        let field = &declared.field;
        if !custom.is_empty() {
            let mut value = Value::Map(args);
            let issues = read_custom(&mut value, &custom, self.cx).await?;
            if !issues.is_empty() {
                return Err(arguments_error(&issues));
            }
            args = match value {
                Value::Map(args) => args,
                _ => Map::new(),
            };
        }
        if let Some(Auth::Custom(check)) = &field.auth
            && !check.allowed(&args, self.cx).await?
        {
            return Err(denied(self.cx));
        }
        match &declared.args {
            Args::Constant { refused: Some(error), .. } => Err((**error).clone()),
            Args::Constant { .. } => Ok(args),
            Args::Dynamic(_) => check_constraints(self.types, field, &args).map(|()| args),
        }
    }
}

/// What a function gives, or that it panicked.
pub(super) async fn guarded<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Err(Error::unexpected(format!("the resolver panicked: {reason}")))
    })
}

/// The part of a parent that plugins other than its owner may see.
fn visible(parent: &Value, names: &[Arc<str>]) -> Value {
    let Value::Map(map) = parent else { return Value::Map(Map::new()) };
    let seen = map.iter().filter(|(key, _)| names.iter().any(|name| **name == ***key));
    Value::Map(seen.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// What needs no look at the arguments. A custom check decides about anonymous callers itself.
pub(super) fn authorize(auth: &Auth, cx: &RequestContext) -> Result<(), Error> {
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
