//! The settings of the GraphQL endpoint.

use std::path::PathBuf;
use std::time::Duration;

use super::SettingsError;
use super::file::{Key, Kind};
use super::parse::{Found, millis, number, path, wrong};
use crate::extension::graphql::{MAX_DEPTH, QueryLimits};

/// Who may ask what the schema is, and gets suggestions for what they misspell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspection {
    Everyone,
    /// Who is signed in.
    Users,
}

/// Everything about the GraphQL endpoint that can be configured.
#[derive(Debug, Clone)]
pub struct GraphqlSettings {
    /// What an operation may ask for.
    pub limits: QueryLimits,
    pub introspection: Introspection,
    /// How many requests a batch may have; 0 refuses batches.
    pub batch_limit: usize,
    /// The largest multipart request, in bytes.
    pub upload_limit: usize,
    /// A file of the only operations that are executed, by their ids.
    pub registered_operations: Option<PathBuf>,
}

impl GraphqlSettings {
    /// The defaults, for authors or for everybody.
    pub fn new(introspection: Introspection) -> Self {
        GraphqlSettings {
            limits: QueryLimits::default(),
            introspection,
            batch_limit: 0,
            upload_limit: 16 * 1024 * 1024,
            registered_operations: None,
        }
    }
}

/// Flags of the GraphQL endpoint.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct GraphqlFlags {
    /// Who may ask what the schema is: everyone or users [default: users; in dev everyone]
    #[arg(long, value_name = "WHO")]
    pub introspection: Option<String>,
    /// The longest GraphQL document, in bytes; variables do not count [default: 131072]
    #[arg(long, value_name = "BYTES")]
    pub graphql_max_length: Option<String>,
    /// The most tokens of a GraphQL document [default: 5000]
    #[arg(long, value_name = "NUMBER")]
    pub graphql_max_tokens: Option<String>,
    /// How deep the selections of an operation may be nested [default: 20]
    #[arg(long, value_name = "NUMBER")]
    pub graphql_max_depth: Option<String>,
    /// The most aliases in an operation [default: 100]
    #[arg(long, value_name = "NUMBER")]
    pub graphql_max_aliases: Option<String>,
    /// The most fields of the root in an operation [default: 50]
    #[arg(long, value_name = "NUMBER")]
    pub graphql_max_root_fields: Option<String>,
    /// The most directives in an operation [default: 50]
    #[arg(long, value_name = "NUMBER")]
    pub graphql_max_directives: Option<String>,
    /// The most that an operation may cost: fields, times the lists that they are in [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    pub graphql_max_cost: Option<String>,
    /// The largest GraphQL response, in bytes [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub graphql_max_response: Option<String>,
    /// How long an operation may take, in milliseconds; its plugins may take longer for one call
    /// [default: 30000]
    #[arg(long, value_name = "MS")]
    pub graphql_timeout_ms: Option<String>,
    /// How many requests a GraphQL batch may have; 0 refuses batches [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub graphql_batch_limit: Option<String>,
    /// The largest multipart request, in bytes [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub upload_limit: Option<String>,
    /// Executes no operations but those of this JSON file, which has their texts by their ids
    #[arg(long, value_name = "PATH")]
    pub registered_operations: Option<String>,
}

pub(super) const KEYS: &[Key] = &[
    Key { name: "introspection", kind: Kind::Text },
    Key { name: "graphql-max-length", kind: Kind::Number },
    Key { name: "graphql-max-tokens", kind: Kind::Number },
    Key { name: "graphql-max-depth", kind: Kind::Number },
    Key { name: "graphql-max-aliases", kind: Kind::Number },
    Key { name: "graphql-max-root-fields", kind: Kind::Number },
    Key { name: "graphql-max-directives", kind: Kind::Number },
    Key { name: "graphql-max-cost", kind: Kind::Number },
    Key { name: "graphql-max-response", kind: Kind::Number },
    Key { name: "graphql-timeout-ms", kind: Kind::Number },
    Key { name: "graphql-batch-limit", kind: Kind::Number },
    Key { name: "upload-limit", kind: Kind::Number },
    Key { name: "registered-operations", kind: Kind::Text },
];

impl GraphqlFlags {
    /// The flag of a key.
    pub(super) fn get(&self, key: &str) -> Option<&String> {
        match key {
            "introspection" => self.introspection.as_ref(),
            "graphql-max-length" => self.graphql_max_length.as_ref(),
            "graphql-max-tokens" => self.graphql_max_tokens.as_ref(),
            "graphql-max-depth" => self.graphql_max_depth.as_ref(),
            "graphql-max-aliases" => self.graphql_max_aliases.as_ref(),
            "graphql-max-root-fields" => self.graphql_max_root_fields.as_ref(),
            "graphql-max-directives" => self.graphql_max_directives.as_ref(),
            "graphql-max-cost" => self.graphql_max_cost.as_ref(),
            "graphql-max-response" => self.graphql_max_response.as_ref(),
            "graphql-timeout-ms" => self.graphql_timeout_ms.as_ref(),
            "graphql-batch-limit" => self.graphql_batch_limit.as_ref(),
            "upload-limit" => self.upload_limit.as_ref(),
            "registered-operations" => self.registered_operations.as_ref(),
            _ => None,
        }
    }
}

/// Sets one of [`KEYS`].
pub(super) fn set(
    settings: &mut GraphqlSettings,
    key: &str,
    found: &Found,
) -> Result<(), SettingsError> {
    let limits = &mut settings.limits;
    let count = |max: u64| number(key, found, 1..=max).map(|n| n as usize);
    match key {
        "introspection" => {
            settings.introspection = match found.text.as_str() {
                "everyone" => Introspection::Everyone,
                "users" => Introspection::Users,
                _ => return wrong(key, found, "everyone or users"),
            };
        }
        "graphql-max-length" => limits.length = number(key, found, 1_024..=1 << 24)? as usize,
        "graphql-max-tokens" => limits.tokens = count(1_000_000)?,
        "graphql-max-depth" => limits.depth = count(MAX_DEPTH as u64)?,
        "graphql-max-aliases" => limits.aliases = number(key, found, 0..=10_000)? as usize,
        "graphql-max-root-fields" => limits.root_fields = count(10_000)?,
        "graphql-max-directives" => limits.directives = number(key, found, 0..=10_000)? as usize,
        "graphql-max-cost" => limits.cost = number(key, found, 1..=1 << 53)?,
        "graphql-max-response" => limits.response = number(key, found, 1_024..=1 << 30)? as usize,
        "graphql-timeout-ms" => limits.timeout = millis(key, found, 1..=3_600_000)?,
        "graphql-batch-limit" => settings.batch_limit = number(key, found, 0..=1_000)? as usize,
        "upload-limit" => settings.upload_limit = number(key, found, 1_024..=1 << 30)? as usize,
        "registered-operations" => settings.registered_operations = Some(path(key, found)?),
        _ => {}
    }
    Ok(())
}

impl GraphqlSettings {
    /// The limits in one line, for the start of the log.
    pub fn summary(&self) -> String {
        let QueryLimits {
            length,
            tokens,
            depth,
            aliases,
            root_fields,
            directives,
            cost,
            response,
            timeout,
        } = self.limits;
        format!(
            "length {length} bytes, tokens {tokens}, depth {depth}, aliases {aliases}, root fields {root_fields}, directives \
             {directives}, cost {cost}, response {response} bytes, {} ms, upload {} bytes, batch {}, \
             introspection {}",
            Duration::as_millis(&timeout),
            self.upload_limit,
            self.batch_limit,
            match self.introspection {
                Introspection::Everyone => "for everyone",
                Introspection::Users => "for users",
            }
        )
    }
}
