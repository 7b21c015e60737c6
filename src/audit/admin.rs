//! The administrators' GraphQL for the audit log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::error::Result;
use crate::events::admin::number;
use crate::extension::graphql::hosted::{self, described, described_object, input, ty};
use crate::extension::graphql::{Auth, Declarations, InputValueDef, Operation, RootField, for_fn};
use crate::services::{Services, ServicesCell};
use crate::store::audit_log::{self, Entry, Filter};
use crate::value::{Map, Value};

/// The most entries that are listed at once.
const MAX_LISTED: u64 = 1_000;
/// How many are listed unless it is said.
const LISTED: i64 = 100;

const FIELDS: &[(&str, &str, &str)] = &[
    ("id", "ID!", "The number of the entry."),
    ("at", "DateTime!", "When it happened."),
    (
        "actor",
        "String!",
        "Who did it: an account, the command line, the host, or the plugin itself.",
    ),
    ("action", "String!", "What was done: grant, configure, installed, activated, …, or denied."),
    ("pluginId", "String!", "About which plugin."),
    ("details", "JSON!", "What exactly; never the values of a configuration."),
];

/// The types and the field.
pub fn declarations(services: &ServicesCell) -> Arc<Declarations> {
    let filter = [("pluginId", "String"), ("action", "String")];
    let types = vec![
        described_object(
            "AuditEntry",
            "Something that was done to a plugin, or that one was denied.",
            FIELDS,
        ),
        input("AuditFilter", &filter),
    ];
    let services = services.clone();
    let resolver = for_fn(move |_, args, _| {
        let services = services.clone();
        async move { list(services.get()?, args).await }.boxed()
    });
    let field = described("auditLog", "[AuditEntry!]!", "What was done to plugins, newest first.")
        .arg(InputValueDef::new("filter", ty("AuditFilter")))
        .arg(InputValueDef::new("limit", ty("Int")))
        .arg(InputValueDef::new("offset", ty("Int")))
        .resolver(resolver);
    let field = RootField { operation: Operation::Query, field, auth: Auth::Administrator };
    hosted::declarations(types, vec![field])
}

async fn list(services: Arc<Services>, args: Map) -> Result<Value> {
    let given = args.get("filter").cloned().unwrap_or_default();
    let text = |key: &str| given.get(key).and_then(Value::as_str).map(str::to_owned);
    let filter = Filter { plugin_id: text("pluginId"), action: text("action") };
    let limit = number(&args, "limit", LISTED, MAX_LISTED)?;
    let offset = number(&args, "offset", 0, i32::MAX.unsigned_abs().into())?;
    // Who has just done something finds it.
    services.audit.written(Duration::from_secs(1)).await;
    let found = audit_log::list(&services.store.session(), &filter, limit, offset).await?;
    Ok(Value::List(found.iter().map(value).collect()))
}

fn value((seq, entry): &(i64, Entry)) -> Value {
    let entries: [(&str, Value); 6] = [
        ("id", seq.to_string().into()),
        ("at", entry.at.clone().into()),
        ("actor", entry.actor.clone().into()),
        ("action", entry.action.clone().into()),
        ("pluginId", entry.plugin_id.clone().into()),
        ("details", serde_json::from_str(&entry.details).unwrap_or_default()),
    ];
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}
