//! The administrators' GraphQL for what is owed to plugins.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::error::{Error, Result};
use crate::extension::graphql::hosted::{self, described, described_object, input, ty};
use crate::extension::graphql::{
    Auth, Declarations, EnumDef, EnumValueDef, InputValueDef, Operation, RootField, TypeDef, for_fn,
};
use crate::services::{Services, ServicesCell};
use crate::store::DbErrorKind;
use crate::store::deliveries::{self, Delivery, Filter, Kind, State};
use crate::value::{Map, Value};

/// The most deliveries that are listed at once.
const MAX_LISTED: u64 = 1_000;
/// How many are listed unless it is said.
const LISTED: i64 = 100;

const FIELDS: &[(&str, &str, &str)] = &[
    ("id", "ID!", "The same in every attempt."),
    ("kind", "DeliveryKind!", "Why the plugin is called."),
    ("pluginId", "String!", "Who is called."),
    ("name", "String!", "Of the event, the job or the schedule."),
    ("handler", "String!", "The file and the function."),
    ("payload", "JSON", "What the function gets."),
    ("key", "String", "The ordering key of an event, or the unique key of a job."),
    ("state", "DeliveryState!", "How far it is."),
    ("attempt", "Int!", "How often it was tried."),
    ("maxAttempts", "Int!", "How often it is tried before it is given up."),
    ("dueAt", "DateTime!", "When it is tried next, or was to be tried last."),
    ("emittedAt", "DateTime!", "When the event was raised or the job enqueued."),
    ("lastError", "String", "Why the last attempt failed."),
];

/// The types and fields.
pub fn declarations(services: &ServicesCell) -> Arc<Declarations> {
    let enumeration = |name: &str, description: &str, values: &[&str]| {
        TypeDef::Enum(EnumDef {
            name: name.into(),
            description: Some(description.into()),
            values: values.iter().map(|value| EnumValueDef::new(*value)).collect(),
            place: None,
        })
    };
    let id_input = |name: &str| input(name, &[("id", "String!")]);
    let filter = [
        ("id", "String"),
        ("pluginId", "String"),
        ("kind", "DeliveryKind"),
        ("name", "String"),
        ("state", "DeliveryState"),
    ];
    let types = vec![
        enumeration("DeliveryKind", "Why a plugin is called.", &["EVENT", "JOB", "SCHEDULE"]),
        enumeration(
            "DeliveryState",
            "WAITING for its time, its turn or its plugin; RUNNING; or DEAD: it has failed too often.",
            &["WAITING", "RUNNING", "DEAD"],
        ),
        described_object("Delivery", "A call that is owed to a plugin.", FIELDS),
        input("DeliveriesFilter", &filter),
        id_input("RetryDeliveryInput"),
        id_input("DiscardDeliveryInput"),
    ];
    let mut list = root(
        services,
        Operation::Query,
        ("deliveries", "[Delivery!]!", "What is owed to plugins, oldest first."),
        list,
    );
    list.field = list
        .field
        .arg(InputValueDef::new("filter", ty("DeliveriesFilter")))
        .arg(InputValueDef::new("limit", ty("Int")))
        .arg(InputValueDef::new("offset", ty("Int")));
    let mut retry = root(
        services,
        Operation::Mutation,
        ("retryDelivery", "Delivery", "Makes a delivery now, as if it had not been tried before."),
        retry,
    );
    retry.field = retry.field.arg(InputValueDef::new("input", ty("RetryDeliveryInput!")));
    let mut discard = root(
        services,
        Operation::Mutation,
        ("discardDelivery", "Delivery", "Removes a delivery, which is then never made."),
        discard,
    );
    discard.field = discard.field.arg(InputValueDef::new("input", ty("DiscardDeliveryInput!")));
    hosted::declarations(types, vec![list, retry, discard])
}

type Handler = fn(Arc<Services>, Map) -> BoxFuture<'static, Result<Value>>;

fn root(
    services: &ServicesCell,
    operation: Operation,
    (name, returns, description): (&str, &str, &str),
    handler: Handler,
) -> RootField {
    let services = services.clone();
    let resolver = for_fn(move |_, args, _| {
        let services = services.clone();
        async move { handler(services.get()?, args).await }.boxed()
    });
    let field = described(name, returns, description).resolver(resolver);
    RootField { operation, field, auth: Auth::Administrator }
}

fn list(services: Arc<Services>, args: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let given = args.get("filter").cloned().unwrap_or_default();
        let text = |key: &str| given.get(key).and_then(Value::as_str).map(str::to_owned);
        let named = |key: &str| text(key).map(|name| name.to_ascii_lowercase());
        let kind = named("kind");
        let state = named("state");
        let filter = Filter {
            id: text("id"),
            plugin_id: text("pluginId"),
            kind: Kind::ALL.into_iter().find(|known| Some(known.as_str()) == kind.as_deref()),
            name: text("name"),
            state: State::ALL.into_iter().find(|known| Some(known.as_str()) == state.as_deref()),
        };
        let limit = number(&args, "limit", LISTED, MAX_LISTED)?;
        let offset = number(&args, "offset", 0, i32::MAX.unsigned_abs().into())?;
        let session = services.store.session();
        let found = deliveries::list(&session, &filter, limit, offset).await?;
        Ok(Value::List(found.iter().map(value).collect()))
    }
    .boxed()
}

pub(crate) fn number(args: &Map, key: &str, default: i64, most: u64) -> Result<u64> {
    let number = match args.get(key) {
        Some(Value::Int(number)) => *number,
        _ => default,
    };
    u64::try_from(number).ok().filter(|number| *number <= most).ok_or_else(|| {
        Error::invalid_argument(&[key], format!("It must be a number from 0 to {most}"))
    })
}

fn retry(services: Arc<Services>, args: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let session = services.store.session();
        let retried = deliveries::retry(&session, &id(&args)?).await;
        let retried = retried.map_err(|error| match error.kind {
            DbErrorKind::UniqueViolation => Error::new(
                crate::error::code::FORBIDDEN_ON_ARGUMENTS,
                "The same job was enqueued again meanwhile and waits",
            ),
            _ => error.into(),
        })?;
        let retried = retried.ok_or_else(missing)?;
        services.events.wake();
        Ok(value(&retried))
    }
    .boxed()
}

fn discard(services: Arc<Services>, args: Map) -> BoxFuture<'static, Result<Value>> {
    async move {
        let filter = Filter { id: Some(id(&args)?), ..Filter::default() };
        let gone = deliveries::discard(&services.store.session(), &filter).await?;
        let gone = gone.ok_or_else(missing)?;
        tracing::warn!(
            plugin = gone.plugin_id,
            kind = gone.kind.as_str(),
            name = gone.name,
            id = gone.id,
            "a delivery was discarded"
        );
        Ok(value(&gone))
    }
    .boxed()
}

fn id(args: &Map) -> Result<String> {
    let id = args.get("input").and_then(|input| input.get("id")).and_then(Value::as_str);
    match id.map(uuid::Uuid::try_parse) {
        Some(Ok(id)) => Ok(id.to_string()),
        _ => Err(Error::invalid_argument(&["input", "id"], "It must be a UUID")),
    }
}

fn missing() -> Error {
    let message = "There is no such delivery, or it is being made right now";
    Error::not_found(&["input", "id"], message)
}

fn value(delivery: &Delivery) -> Value {
    let key = delivery.ordering_key.clone().or_else(|| delivery.unique_key.clone());
    // `kind:file:function`, of which the kind is said already.
    let handler = delivery.handler.split_once(':').map_or(&*delivery.handler, |(_, rest)| rest);
    let due = jiff::Timestamp::from_millisecond(delivery.due_at).unwrap_or_default();
    let entries: [(&str, Value); 13] = [
        ("id", delivery.id.clone().into()),
        ("kind", delivery.kind.as_str().to_ascii_uppercase().into()),
        ("pluginId", delivery.plugin_id.clone().into()),
        ("name", delivery.name.clone().into()),
        ("handler", handler.into()),
        ("payload", serde_json::from_str(&delivery.payload).unwrap_or_default()),
        ("key", key.into()),
        ("state", delivery.state.as_str().to_ascii_uppercase().into()),
        ("attempt", i64::from(delivery.attempt).into()),
        ("maxAttempts", i64::from(delivery.max_attempts).into()),
        ("dueAt", format!("{due:.3}").into()),
        ("emittedAt", delivery.emitted_at.clone().into()),
        ("lastError", delivery.last_error.clone().into()),
    ];
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
