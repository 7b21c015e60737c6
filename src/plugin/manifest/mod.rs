//! `manifest.json`: what a plugin is, what it adds and what it may use.

mod check;
mod config_schema;
mod document;
mod extension_points;
mod id;
mod patterns;
mod permissions;
mod validate;

#[cfg(test)]
mod tests;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use config_schema::{ConfigIssue, ConfigSchema};
pub(crate) use document::line_of;
pub use id::{MAX_PLUGIN_ID, generate_plugin_id, is_plugin_id};

use crate::error::Problem;

/// The name of the manifest in a plugin's folder.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The longest time that a manifest may ask for one call, in milliseconds.
pub const MAX_TIMEOUT_MS: u64 = 150_000;
/// The most memory that a manifest may ask for one VM, in MiB.
pub const MAX_MEMORY_MB: u64 = 1_024;
/// The most VMs that a manifest may ask for.
pub const MAX_INSTANCES: u32 = 64;
/// How often a job is tried unless its entry says otherwise.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 5;

/// A valid manifest. File names are normalized: relative to the plugin's folder, with forward
/// slashes and without a leading `./`.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub name: String,
    pub plugin_id: String,
    pub version: semver::Version,
    pub description: String,
    pub author: String,
    /// The main module, whose functions are the lifecycle functions.
    pub main: String,
    pub icon: Option<String>,
    pub homepage: Option<String>,
    pub license: Option<String>,
    pub tags: Vec<String>,
    pub extension_points: ExtensionPoints,
    /// Plugin id to the versions that will do.
    pub dependencies: IndexMap<String, semver::VersionReq>,
    /// The modules that dependents may require.
    pub exports: Vec<String>,
    /// What the plugin asks for; what it is granted is in the host's database.
    pub permissions: Permissions,
    /// What the plugin's configuration must be.
    pub config_schema: Option<ConfigSchema>,
    pub runtime: Runtime,
    pub docker: Option<Docker>,
    /// The whole manifest as it was written.
    pub json: serde_json::Value,
}

impl Manifest {
    /// Reads a manifest. With `folder_name`, `pluginId` must equal it. On success the second part
    /// holds warnings; on failure the list has everything that is wrong, in the order of the file.
    pub fn parse(
        text: &str,
        folder_name: Option<&str>,
    ) -> Result<(Manifest, Vec<Problem>), Vec<Problem>> {
        validate::parse(text, folder_name)
    }
}

/// What a plugin adds to the host.
#[derive(Debug, Clone, Default)]
pub struct ExtensionPoints {
    pub graphql: Vec<GraphqlEntry>,
    pub database: Vec<DatabaseEntry>,
    pub hooks: Vec<HookEntry>,
    pub webhooks: Vec<WebhookEntry>,
    pub schedules: Vec<ScheduleEntry>,
    pub jobs: Vec<JobEntry>,
}

/// The name and description that any entry may carry, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    pub name: Option<String>,
    pub description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphqlKind {
    Query,
    Mutation,
    Subscription,
}

/// A function that declares GraphQL fields and types.
#[derive(Debug, Clone)]
pub struct GraphqlEntry {
    pub label: Label,
    pub kind: GraphqlKind,
    pub file: String,
    /// The exported function that gets the builder.
    pub builder_definition: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    Table,
    Enum,
    Relation,
}

/// A table, enum or relation.
#[derive(Debug, Clone)]
pub struct DatabaseEntry {
    pub kind: DatabaseKind,
    /// The export of `file` that declares it; unique within the plugin.
    pub name: String,
    pub file: String,
    pub description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    Pre,
    Post,
}

/// What happens to an event when a pre hook fails with anything but a veto.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The event is refused.
    #[default]
    Reject,
    /// The hook counts as not having run.
    Ignore,
}

/// A function that runs before or after an event.
#[derive(Debug, Clone)]
pub struct HookEntry {
    pub label: Label,
    pub kind: HookKind,
    /// The event's name; a trailing `*` matches every name that starts so.
    pub event: String,
    pub handler: String,
    pub file: String,
    /// Pre hooks run in ascending order.
    pub order: i64,
    /// `None`: the plugin's `runtime.timeoutMs`.
    pub timeout_ms: Option<u64>,
    pub on_error: OnError,
}

/// A function that answers HTTP requests.
#[derive(Debug, Clone)]
pub struct WebhookEntry {
    pub label: Label,
    /// Starts with `/`; may have `:params`.
    pub path: String,
    /// Upper-case.
    pub method: String,
    pub handler: String,
    pub file: String,
    pub verify: Option<Verify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyScheme {
    StandardWebhooks,
    HmacSha256,
    Stripe,
    Github,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureEncoding {
    #[default]
    Hex,
    Base64,
}

/// Where a webhook's secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A key of the plugin's configuration, without the `config.` prefix.
    Config(String),
    /// An exported function `(request, ctx)` of the webhook's file.
    Handler(String),
}

/// How the host checks a webhook's signature before the handler runs.
#[derive(Debug, Clone)]
pub struct Verify {
    pub scheme: VerifyScheme,
    pub secret: SecretSource,
    /// Lower-case. Present for `hmac-sha256`, whose header is the sender's choice.
    pub header: Option<String>,
    pub encoding: SignatureEncoding,
    /// What precedes the signature in the header.
    pub prefix: String,
}

/// A function that runs at certain times.
#[derive(Debug, Clone)]
pub struct ScheduleEntry {
    pub label: Label,
    pub cron: String,
    /// The time zone in which the expression is meant, such as `Europe/Berlin`; UTC unless set.
    pub timezone: Option<String>,
    pub handler: String,
    pub file: String,
}

/// A function that works off jobs of one name.
#[derive(Debug, Clone)]
pub struct JobEntry {
    pub name: String,
    pub description: Option<String>,
    pub handler: String,
    pub file: String,
    pub max_attempts: u32,
}

/// What a plugin asks for beyond its own tables and events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// Origins, `https://*.example.com`, `config.key` or `https://*`.
    pub http: Vec<String>,
    /// Names of environment variables.
    pub env: Vec<String>,
    /// Events it may emit besides its own; a trailing `*` is a wildcard.
    pub events: Vec<String>,
    /// Raw SQL on its own tables.
    pub sql: bool,
    /// Containers. A manifest whose `docker` is enabled asks for it.
    pub docker: bool,
}

impl Permissions {
    /// Reads the `permissions` shape from JSON, as grants have it.
    pub fn parse(json: &serde_json::Value) -> Result<Permissions, Vec<Problem>> {
        permissions::parse(json)
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Permissions::default()
    }

    /// All of this and all of the other.
    pub fn and(mut self, other: Permissions) -> Permissions {
        let lists = [
            (&mut self.http, other.http),
            (&mut self.env, other.env),
            (&mut self.events, other.events),
        ];
        for (list, more) in lists {
            for entry in more {
                if !list.contains(&entry) {
                    list.push(entry);
                }
            }
        }
        self.sql |= other.sql;
        self.docker |= other.docker;
        self
    }

    /// What of this is not in `granted`, entry by entry, as `http https://api.example.com`.
    pub fn missing_from(&self, granted: &Permissions) -> Vec<String> {
        let lists = [
            ("http", &self.http, &granted.http),
            ("env", &self.env, &granted.env),
            ("events", &self.events, &granted.events),
        ];
        let mut missing: Vec<String> = lists
            .into_iter()
            .flat_map(|(kind, asked, granted)| {
                asked.iter().filter(|e| !granted.contains(e)).map(move |e| format!("{kind} {e}"))
            })
            .collect();
        for (kind, asked, granted) in
            [("sql", self.sql, granted.sql), ("docker", self.docker, granted.docker)]
        {
            if asked && !granted {
                missing.push(kind.to_owned());
            }
        }
        missing
    }
}

/// How much a plugin may use while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// How many VMs a generation has.
    pub instances: u32,
    /// The memory of one VM, in MiB.
    pub memory_mb: u64,
    /// The time of one call, in milliseconds.
    pub timeout_ms: u64,
}

impl Default for Runtime {
    fn default() -> Self {
        Runtime { instances: 1, memory_mb: 64, timeout_ms: 1_000 }
    }
}

/// The container services of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    pub enabled: bool,
    pub compose_file: String,
    /// The service that is the plugin's; `None`: all of the file's.
    pub service: Option<String>,
    pub build_on_install: bool,
    pub up_on_activate: bool,
    pub down_on_deactivate: bool,
    pub remove_on_uninstall: bool,
    /// Feeds the interpolation of the Compose file.
    pub env: IndexMap<String, String>,
}
