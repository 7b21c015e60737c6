//! What administrators watch: the events of plugins' lives, and the logs of plugins.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;

use super::logs::{self, Level};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::events::pubsub::{BUFFER, HOST, OVERFLOW_CODE, Overflow};
use crate::extension::graphql::hosted::{self, described, described_object, ty};
use crate::extension::graphql::{
    Auth, Declarations, EnumDef, EnumValueDef, InputValueDef, Messages, Operation, RootField,
    Subscriber, TypeDef,
};
use crate::request::RequestContext;
use crate::services::ServicesCell;
use crate::value::{Map, Value};

/// The types and fields.
pub fn declarations(services: &ServicesCell) -> Arc<Declarations> {
    let levels = Level::ALL.map(|level| EnumValueDef::new(level.as_str())).into();
    let types = vec![
        described_object(
            "PluginEvent",
            "Something in the life of plugins.",
            &[
                ("type", "String!", "Such as plugin:activated."),
                ("pluginId", "String", "The plugin, if it is about one."),
                ("at", "DateTime!", "When it was raised."),
                ("message", "String", "What went wrong, if something did."),
            ],
        ),
        TypeDef::Enum(EnumDef {
            name: "PluginLogLevel".into(),
            description: Some("How serious a line of a log is.".into()),
            values: levels,
            place: None,
        }),
        described_object(
            "PluginLogLine",
            "A line of a plugin's log.",
            &[
                ("at", "DateTime!", "When it was written."),
                ("pluginId", "String!", "The plugin."),
                ("level", "PluginLogLevel!", "How serious it is."),
                ("message", "String!", "The text."),
                ("fields", "JSON", "The fields that were given with it."),
                ("requestId", "String", "The request in which it was written."),
            ],
        ),
    ];
    let events =
        described("pluginEvents", "PluginEvent!", "The events of plugins' lives, from now on.");
    let events = events.subscriber(Arc::new(PluginEvents(services.clone())));
    let lines = described(
        "pluginLogs",
        "PluginLogLine!",
        "The lines that a plugin logs, from now on, and what goes wrong in it.",
    );
    let lines = lines
        .arg(InputValueDef::new("pluginId", ty("String!")))
        .subscriber(Arc::new(PluginLogs(services.clone())));
    let root =
        |field| RootField { operation: Operation::Subscription, field, auth: Auth::Administrator };
    hosted::declarations(types, vec![root(events), root(lines)])
}

struct PluginEvents(ServicesCell);

impl std::fmt::Debug for PluginEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PluginEvents")
    }
}

impl Subscriber for PluginEvents {
    fn subscribe<'a>(&'a self, _: Map, _: &'a RequestContext) -> BoxFuture<'a, Result<Messages>> {
        async move {
            let events = self.0.get()?.events.subscribe();
            let messages = stream::unfold(Some(events), |events| async move {
                let mut events = events?;
                loop {
                    match events.recv().await {
                        Ok(event) if is_of_plugins(&event) => {
                            return Some((Ok(event_value(&event)), Some(events)));
                        }
                        Ok(_) => {}
                        Err(RecvError::Lagged(count)) => {
                            let message =
                                format!("The subscription has ended: {count} events were missed.");
                            return Some((Err(Error::new(OVERFLOW_CODE, message)), None));
                        }
                        Err(RecvError::Closed) => return None,
                    }
                }
            });
            Ok(messages.boxed())
        }
        .boxed()
    }
}

fn is_of_plugins(event: &Event) -> bool {
    event.name.starts_with("plugin:") || event.name.starts_with("plugins:")
}

fn event_value(event: &Event) -> Value {
    let part = |key: &str| event.payload.get(key).cloned().unwrap_or_default();
    let entries = [
        ("type", Value::from(&*event.name)),
        ("pluginId", part("pluginId")),
        ("at", format!("{:.3}", Timestamp::now()).into()),
        ("message", part("message")),
    ];
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

struct PluginLogs(ServicesCell);

impl std::fmt::Debug for PluginLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PluginLogs")
    }
}

impl Subscriber for PluginLogs {
    fn subscribe<'a>(
        &'a self,
        args: Map,
        _: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Messages>> {
        async move {
            let plugin_id = args.get("pluginId").and_then(Value::as_str).unwrap_or_default();
            let topic = logs::topic(plugin_id);
            let subscription = self.0.get()?.pubsub.subscribe(HOST, &topic);
            subscription.limit(BUFFER, Overflow::DropOldest);
            Ok(subscription.messages())
        }
        .boxed()
    }
}
