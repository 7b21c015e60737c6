//! The `extensionPoints` section.

use std::collections::HashMap;

use super::check::{Check, Fields, Node};
use super::patterns::{
    inner_path, is_config_reference, is_cron, is_event, is_header_name, is_name, is_script,
    is_webhook_path,
};
use super::*;

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const HANDLER: &str = "the name of an exported function";

/// Reads the section. `main` is the file of entries that name none.
pub(super) fn read(check: &mut Check<'_>, node: &Node<'_>, main: &str) -> ExtensionPoints {
    let known = ["graphql", "database", "hooks", "webhooks", "schedules", "jobs"];
    let mut points = ExtensionPoints::default();
    let Some(fields) = check.object(node, &known) else { return points };
    points.graphql = entries(check, &fields, "graphql", |c, n| graphql(c, n, main));
    points.database = entries(check, &fields, "database", |c, n| database(c, n, main));
    points.hooks = entries(check, &fields, "hooks", |c, n| hook(c, n, main));
    points.webhooks = entries(check, &fields, "webhooks", |c, n| webhook(c, n, main));
    points.schedules = entries(check, &fields, "schedules", |c, n| schedule(c, n, main));
    points.jobs = entries(check, &fields, "jobs", |c, n| job(c, n, main));
    refuse_duplicates(check, &fields, "database", "name", |entry| {
        entry.get("name")?.as_str().map(str::to_owned)
    });
    refuse_duplicates(check, &fields, "webhooks", "path", |entry| {
        let method = entry.get("method").map_or(Some("POST"), |m| m.as_str())?.to_uppercase();
        Some(format!("{method} {}", route_shape(entry.get("path")?.as_str()?)))
    });
    refuse_duplicates(check, &fields, "jobs", "name", |entry| {
        entry.get("name")?.as_str().map(str::to_owned)
    });
    points
}

/// What two webhook paths have in common when they match the same requests.
fn route_shape(path: &str) -> String {
    path.trim_end_matches('/')
        .split('/')
        .map(|s| if s.starts_with(':') { ":" } else { s })
        .collect::<Vec<_>>()
        .join("/")
}

fn entries<T>(
    check: &mut Check<'_>,
    fields: &Fields<'_>,
    section: &str,
    mut read: impl FnMut(&mut Check<'_>, &Node<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(section) else { return Vec::new() };
    let items = check.list(&node).unwrap_or_default();
    items.iter().filter_map(|item| read(check, item)).collect()
}

/// Works on the JSON rather than on what was read, so that the entries keep their places even when
/// one of them is broken.
fn refuse_duplicates(
    check: &mut Check<'_>,
    fields: &Fields<'_>,
    section: &str,
    at: &str,
    key: impl Fn(&serde_json::Value) -> Option<String>,
) {
    let Some(node) = fields.get(section) else { return };
    let Some(items) = node.json.as_array() else { return };
    let mut first: HashMap<String, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let Some(key) = key(item) else { continue };
        if let Some(earlier) = first.get(&key) {
            let message = format!("{key:?} is already declared at {}[{earlier}]", node.path);
            check.problem(&format!("{}[{index}].{at}", node.path), message);
        } else {
            first.insert(key, index);
        }
    }
}

fn label(check: &mut Check<'_>, fields: &Fields<'_>) -> Label {
    Label { name: fields.text(check, "name"), description: fields.text(check, "description") }
}

/// The entry's script, `main` unless it names one.
fn file(check: &mut Check<'_>, fields: &Fields<'_>, main: &str) -> Option<String> {
    match fields.get("file") {
        Some(node) => script(check, &node),
        None => Some(main.to_owned()),
    }
}

/// The normalized name of a script inside the plugin's folder.
pub(super) fn script(check: &mut Check<'_>, node: &Node<'_>) -> Option<String> {
    let text = check.string_where(node, "the name of a script", |s| !s.is_empty())?;
    match inner_path(text) {
        Ok(path) if is_script(&path) => Some(path),
        Ok(_) => {
            check.expected(node, "a file name ending in .lua or .luau");
            None
        }
        Err(what) => {
            check.expected(node, what);
            None
        }
    }
}

fn name(check: &mut Check<'_>, fields: &Fields<'_>, key: &str, what: &str) -> Option<String> {
    let node = fields.required(check, key, what)?;
    check.string_where(&node, what, is_name).map(str::to_owned)
}

fn kind<T: Copy>(
    check: &mut Check<'_>,
    fields: &Fields<'_>,
    what: &str,
    choices: &[(&str, T)],
) -> Option<T> {
    let node = fields.required(check, "type", what)?;
    check.one_of(&node, choices)
}

fn graphql(check: &mut Check<'_>, node: &Node<'_>, main: &str) -> Option<GraphqlEntry> {
    let known = ["type", "name", "file", "builderDefinition", "description"];
    let fields = check.object(node, &known)?;
    let kind = kind(
        check,
        &fields,
        "\"query\", \"mutation\" or \"subscription\"",
        &[
            ("query", GraphqlKind::Query),
            ("mutation", GraphqlKind::Mutation),
            ("subscription", GraphqlKind::Subscription),
        ],
    );
    let label = label(check, &fields);
    let file = file(check, &fields, main);
    let builder_definition = name(check, &fields, "builderDefinition", HANDLER);
    Some(GraphqlEntry { label, kind: kind?, file: file?, builder_definition: builder_definition? })
}

fn database(check: &mut Check<'_>, node: &Node<'_>, main: &str) -> Option<DatabaseEntry> {
    let fields = check.object(node, &["type", "name", "file", "description"])?;
    let kind = kind(
        check,
        &fields,
        "\"table\", \"enum\" or \"relation\"",
        &[
            ("table", DatabaseKind::Table),
            ("enum", DatabaseKind::Enum),
            ("relation", DatabaseKind::Relation),
        ],
    );
    let name = name(check, &fields, "name", "the name of an export");
    let file = file(check, &fields, main);
    let description = fields.text(check, "description");
    Some(DatabaseEntry { kind: kind?, name: name?, file: file?, description })
}

fn hook(check: &mut Check<'_>, node: &Node<'_>, main: &str) -> Option<HookEntry> {
    let known = [
        "type",
        "event",
        "handler",
        "file",
        "order",
        "timeoutMs",
        "onError",
        "name",
        "description",
    ];
    let fields = check.object(node, &known)?;
    let kinds = [("pre", HookKind::Pre), ("post", HookKind::Post)];
    let kind = kind(check, &fields, "\"pre\" or \"post\"", &kinds);
    let event = fields
        .required(check, "event", "an event name")
        .and_then(|n| check.string_where(&n, "an event name, which may end in \"*\"", is_event))
        .map(str::to_owned);
    let handler = name(check, &fields, "handler", HANDLER);
    let file = file(check, &fields, main);
    let order = fields.get("order").and_then(|n| check.integer(&n, i64::MIN..=i64::MAX));
    let timeout_ms = fields
        .get("timeoutMs")
        .and_then(|n| check.integer(&n, 1..=MAX_TIMEOUT_MS as i64))
        .map(i64::unsigned_abs);
    let on_error = fields.get("onError").and_then(|n| {
        check.one_of(&n, &[("reject", OnError::Reject), ("ignore", OnError::Ignore)])
    });
    let label = label(check, &fields);
    Some(HookEntry {
        label,
        kind: kind?,
        event: event?,
        handler: handler?,
        file: file?,
        order: order.unwrap_or(0),
        timeout_ms,
        on_error: on_error.unwrap_or_default(),
    })
}

fn webhook(check: &mut Check<'_>, node: &Node<'_>, main: &str) -> Option<WebhookEntry> {
    let known = ["path", "method", "handler", "file", "name", "description", "verify"];
    let fields = check.object(node, &known)?;
    let path_what = "a path from \"/\", such as \"/callback\" or \"/orders/:id\"";
    let path = fields
        .required(check, "path", path_what)
        .and_then(|n| check.string_where(&n, path_what, is_webhook_path))
        .map(str::to_owned);
    let method = match fields.get("method") {
        Some(node) => method(check, &node),
        None => Some("POST".to_owned()),
    };
    let handler = name(check, &fields, "handler", HANDLER);
    let file = file(check, &fields, main);
    let label = label(check, &fields);
    let verify = fields.get("verify").and_then(|n| verify(check, &n));
    Some(WebhookEntry {
        label,
        path: path?,
        method: method?,
        handler: handler?,
        file: file?,
        verify,
    })
}

fn method(check: &mut Check<'_>, node: &Node<'_>) -> Option<String> {
    let upper = node.json.as_str().map(str::to_uppercase);
    match upper {
        Some(upper) if METHODS.contains(&upper.as_str()) => Some(upper),
        _ => {
            let choices = METHODS.map(|method| (method, method));
            check.one_of(node, &choices).map(str::to_owned)
        }
    }
}

fn verify(check: &mut Check<'_>, node: &Node<'_>) -> Option<Verify> {
    let fields = check
        .object(node, &["scheme", "secret", "secretHandler", "header", "encoding", "prefix"])?;
    if fields.map.is_empty() {
        check.warning(&fields.path, "has no \"scheme\", so no signature is checked");
        return None;
    }
    let schemes = [
        ("standard-webhooks", VerifyScheme::StandardWebhooks),
        ("hmac-sha256", VerifyScheme::HmacSha256),
        ("stripe", VerifyScheme::Stripe),
        ("github", VerifyScheme::Github),
    ];
    let scheme = fields
        .required(
            check,
            "scheme",
            "\"standard-webhooks\", \"hmac-sha256\", \"stripe\" or \"github\"",
        )
        .and_then(|n| check.one_of(&n, &schemes));
    let secret = secret(check, &fields);
    let header = match fields.get("header") {
        Some(node) => check.string_where(&node, "the name of a header", is_header_name),
        None if scheme == Some(VerifyScheme::HmacSha256) => {
            fields.required(check, "header", "the header that has the signature");
            None
        }
        None => None,
    };
    let encodings = [("hex", SignatureEncoding::Hex), ("base64", SignatureEncoding::Base64)];
    let encoding = fields.get("encoding").and_then(|n| check.one_of(&n, &encodings));
    Some(Verify {
        scheme: scheme?,
        secret: secret?,
        header: header.map(str::to_lowercase),
        encoding: encoding.unwrap_or_default(),
        prefix: fields.text(check, "prefix").unwrap_or_default(),
    })
}

fn secret(check: &mut Check<'_>, fields: &Fields<'_>) -> Option<SecretSource> {
    const REFERENCE: &str = "a configuration value such as \"config.webhookSecret\"";
    match (fields.get("secret"), fields.get("secretHandler")) {
        (Some(node), None) => {
            let text = check.string_where(&node, REFERENCE, is_config_reference)?;
            Some(SecretSource::Config(text.trim_start_matches("config.").to_owned()))
        }
        (None, Some(node)) => {
            let text = check.string_where(&node, HANDLER, is_name)?;
            Some(SecretSource::Handler(text.to_owned()))
        }
        (Some(secret), Some(handler)) => {
            check.string_where(&secret, REFERENCE, is_config_reference);
            check.string_where(&handler, HANDLER, is_name);
            check.problem(&fields.path, "expected \"secret\" or \"secretHandler\", found both");
            None
        }
        (None, None) => {
            check.problem(&fields.path, "expected \"secret\" or \"secretHandler\", found neither");
            None
        }
    }
}

fn schedule(check: &mut Check<'_>, node: &Node<'_>, main: &str) -> Option<ScheduleEntry> {
    let fields =
        check.object(node, &["cron", "timezone", "handler", "file", "name", "description"])?;
    const CRON: &str = "a cron expression such as \"*/5 * * * *\"";
    let cron = fields
        .required(check, "cron", CRON)
        .and_then(|n| check.string_where(&n, CRON, is_cron))
        .map(str::to_owned);
    let handler = name(check, &fields, "handler", HANDLER);
    let file = file(check, &fields, main);
    let timezone = fields.text(check, "timezone");
    let label = label(check, &fields);
    Some(ScheduleEntry { label, cron: cron?, timezone, handler: handler?, file: file? })
}

fn job(check: &mut Check<'_>, node: &Node<'_>, main: &str) -> Option<JobEntry> {
    let fields = check.object(node, &["name", "handler", "file", "maxAttempts", "description"])?;
    let job_name = name(check, &fields, "name", "the name of a job");
    let handler = name(check, &fields, "handler", HANDLER);
    let file = file(check, &fields, main);
    let max_attempts = fields.get("maxAttempts").and_then(|n| check.integer(&n, 1..=100));
    let description = fields.text(check, "description");
    Some(JobEntry {
        name: job_name?,
        description,
        handler: handler?,
        file: file?,
        max_attempts: max_attempts.map_or(DEFAULT_MAX_ATTEMPTS, |n| n.unsigned_abs() as u32),
    })
}
