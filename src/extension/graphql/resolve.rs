//! What stands behind fields and types: functions of plugins, or of the host.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::error::Error;
use crate::request::RequestContext;
use crate::value::{Map, Value};

/// Produces the value of a field.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// Resolves the field for one parent. `parent` is null for root fields. An omitted argument
    /// without a default is an absent key; an explicit null is [`Value::Null`].
    fn resolve<'a>(
        &'a self,
        parent: &'a Value,
        args: Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Value, Error>>;
}

/// Produces the values of a field for all parents of a level.
pub trait BatchResolver: Send + Sync + fmt::Debug {
    /// One value for each of `parents`, in their order.
    fn resolve_all<'a>(
        &'a self,
        parents: Vec<Value>,
        args: Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Vec<Value>, Error>>;
}

/// What a subscription hears, until it ends.
pub type Messages = BoxStream<'static, Result<Value, Error>>;

/// Produces what the subscriptions of a field hear.
pub trait Subscriber: Send + Sync + fmt::Debug {
    /// Begins to listen. The messages end with an error when they cannot go on.
    fn subscribe<'a>(
        &'a self,
        args: Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Messages, Error>>;

    /// The value of the field for a message; `None` if this subscription is not to hear of it.
    fn value<'a>(
        &'a self,
        message: Value,
        args: &'a Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Option<Value>, Error>> {
        let _ = (args, cx);
        Box::pin(async move { Ok(Some(message)) })
    }
}

/// Says which object type a value of an interface or union has.
pub trait TypeResolver: Send + Sync + fmt::Debug {
    /// The name of the type.
    fn type_of<'a>(
        &'a self,
        value: &'a Value,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<String, Error>>;
}

/// Reads and writes the values of a scalar.
pub trait ScalarCodec: Send + Sync + fmt::Debug {
    /// From what a client sent, which is not null. The inner error says what is wrong with it.
    fn parse<'a>(
        &'a self,
        value: &'a Value,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Result<Value, String>, Error>>;

    /// To what a client gets.
    fn serialize<'a>(
        &'a self,
        value: &'a Value,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Value, Error>>;
}

/// Decides whether a caller may use a root field.
pub trait AuthCheck: Send + Sync + fmt::Debug {
    /// `args` are the coerced arguments.
    fn allowed<'a>(
        &'a self,
        args: &'a Map,
        cx: &'a RequestContext,
    ) -> BoxFuture<'a, Result<bool, Error>>;
}

/// Makes a [`Resolver`] of a Rust function.
///
/// ```
/// use futures_util::FutureExt;
/// use moondock::extension::graphql::for_fn;
/// use moondock::value::Value;
///
/// let resolver = for_fn(|_parent, args, _cx| {
///     async move { Ok(args.get("name").cloned().unwrap_or(Value::from("world"))) }.boxed()
/// });
/// ```
pub fn for_fn<F>(resolve: F) -> Arc<dyn Resolver>
where
    F: for<'a> Fn(&'a Value, Map, &'a RequestContext) -> BoxFuture<'a, Result<Value, Error>>
        + Send
        + Sync
        + 'static,
{
    struct FnResolver<F>(F);

    impl<F> fmt::Debug for FnResolver<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("FnResolver")
        }
    }

    impl<F> Resolver for FnResolver<F>
    where
        F: for<'a> Fn(&'a Value, Map, &'a RequestContext) -> BoxFuture<'a, Result<Value, Error>>
            + Send
            + Sync,
    {
        fn resolve<'a>(
            &'a self,
            parent: &'a Value,
            args: Map,
            cx: &'a RequestContext,
        ) -> BoxFuture<'a, Result<Value, Error>> {
            (self.0)(parent, args, cx)
        }
    }

    Arc::new(FnResolver(resolve))
}
