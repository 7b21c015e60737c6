//! Flags, environment and file become one [`Settings`]. Flags win over environment, environment
//! over file, file over defaults.

pub mod docker;
mod file;
pub mod graphql;
mod parse;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use docker::{DockerFlags, DockerSettings};
use graphql::{GraphqlFlags, GraphqlSettings, Introspection};
use parse::Found;

use crate::accounts::jwt::JwtSettings;

/// The shortest admin token that is accepted.
pub const MIN_ADMIN_TOKEN: usize = 16;

/// The shortest key for secret columns that is accepted.
pub const MIN_SECRET_KEY: usize = 32;

/// The options that every command shares. They stay text here, so that a value is judged in one
/// place wherever it comes from, and a wrong one is a single line.
#[derive(Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// Reads settings from this file [default: ./moondock.toml, if it exists]
    #[arg(long, value_name = "PATH")]
    pub config: Option<String>,
    /// The address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// The folder with the plugins [default: ./plugins]
    #[arg(long, value_name = "DIR")]
    pub plugins: Option<String>,
    /// The folder for the database and other state [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// The database [default: an SQLite file in the data dir]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// The most database connections: on SQLite those that read, on PostgreSQL all [default: 4 on
    /// SQLite, 16 on PostgreSQL]
    #[arg(long, value_name = "NUMBER")]
    pub database_connections: Option<String>,
    /// How long a statement waits for a free database connection, in milliseconds [default: 5000]
    #[arg(long, value_name = "MS")]
    pub database_wait_ms: Option<String>,
    /// How long a database statement may take, in milliseconds; the deadline of the call that it is
    /// part of may come before [default: 30000]
    #[arg(long, value_name = "MS")]
    pub statement_timeout_ms: Option<String>,
    /// The key that secret columns are encrypted with; better set as MOONDOCK_SECRET_KEY [default:
    /// the file secret.key in the data dir, which is made at the first start]
    #[arg(long, value_name = "KEY")]
    pub secret_key: Option<String>,
    /// The secret key before this one: what it has encrypted can still be read, and the configurations of
    /// plugins are encrypted anew at the start
    #[arg(long, value_name = "KEY")]
    pub previous_secret_key: Option<String>,
    /// The form of log lines: text or json [default: text]
    #[arg(long, value_name = "FORM")]
    pub log: Option<String>,
    /// What is logged: a level, or a filter such as info,moondock=debug [default: info; warn for
    /// commands that do not serve]
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Reloads plugins when their files change [default: false; true in dev]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub hot_reload: Option<String>,
    /// A bearer token with the administrator's rights; better set as MOONDOCK_ADMIN_TOKEN, because
    /// other users of the machine can see command lines
    #[arg(long, value_name = "TOKEN")]
    pub admin_token: Option<String>,
    /// Lets everybody make an account [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sign_up: Option<String>,
    /// How long somebody who has signed in stays so, in hours [default: 720]
    #[arg(long, value_name = "HOURS")]
    pub token_lifetime_hours: Option<String>,
    /// Takes tokens (JWT) that another identity provider has signed with this secret by HS256; better
    /// set as MOONDOCK_AUTH_JWT_SECRET
    #[arg(long, value_name = "SECRET")]
    pub auth_jwt_secret: Option<String>,
    /// Takes tokens (JWT) that are signed with one of the keys in this JSON Web Key Set
    #[arg(long, value_name = "PATH|URL")]
    pub auth_jwt_jwks: Option<String>,
    /// What the claim "iss" of such tokens must be
    #[arg(long, value_name = "TEXT")]
    pub auth_jwt_issuer: Option<String>,
    /// What the claim "aud" of such tokens must contain
    #[arg(long, value_name = "TEXT")]
    pub auth_jwt_audience: Option<String>,
    /// The claim of such tokens with the role, or a list of roles [default: role]
    #[arg(long, value_name = "NAME")]
    pub auth_jwt_role_claim: Option<String>,
    /// The role that makes an administrator [default: administrator]
    #[arg(long, value_name = "TEXT")]
    pub auth_jwt_administrator: Option<String>,
    /// The largest request body, in bytes [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub body_limit: Option<String>,
    /// How many requests a second each webhook of a plugin takes; 0 for any number [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub webhook_rate: Option<String>,
    /// How many requests a second a plugin's webhooks take together; 0 for any number [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub webhook_plugin_rate: Option<String>,
    /// The most memory that a plugin's VM may have, in MiB, whatever its manifest says [default: 1024]
    #[arg(long, value_name = "MIB")]
    pub max_memory_mb: Option<String>,
    /// The longest time that a plugin's call may take, in milliseconds [default: 150000]
    #[arg(long, value_name = "MS")]
    pub max_timeout_ms: Option<String>,
    /// How long requests may take to finish at shutdown, in milliseconds [default: 10000]
    #[arg(long, value_name = "MS")]
    pub shutdown_grace_ms: Option<String>,
    /// Keeps parsed and validated GraphQL documents [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub document_cache: Option<String>,
    #[command(flatten)]
    pub graphql: GraphqlFlags,
    #[command(flatten)]
    pub docker: DockerFlags,
}

impl Flags {
    /// The flag of a key of [`file::KEYS`].
    fn get(&self, key: &str) -> Option<&String> {
        match key {
            "listen" => self.listen.as_ref(),
            "plugins" => self.plugins.as_ref(),
            "data-dir" => self.data_dir.as_ref(),
            "database-url" => self.database_url.as_ref(),
            "database-connections" => self.database_connections.as_ref(),
            "database-wait-ms" => self.database_wait_ms.as_ref(),
            "statement-timeout-ms" => self.statement_timeout_ms.as_ref(),
            "secret-key" => self.secret_key.as_ref(),
            "previous-secret-key" => self.previous_secret_key.as_ref(),
            "log" => self.log.as_ref(),
            "log-level" => self.log_level.as_ref(),
            "hot-reload" => self.hot_reload.as_ref(),
            "admin-token" => self.admin_token.as_ref(),
            "sign-up" => self.sign_up.as_ref(),
            "token-lifetime-hours" => self.token_lifetime_hours.as_ref(),
            "auth-jwt-secret" => self.auth_jwt_secret.as_ref(),
            "auth-jwt-jwks" => self.auth_jwt_jwks.as_ref(),
            "auth-jwt-issuer" => self.auth_jwt_issuer.as_ref(),
            "auth-jwt-audience" => self.auth_jwt_audience.as_ref(),
            "auth-jwt-role-claim" => self.auth_jwt_role_claim.as_ref(),
            "auth-jwt-administrator" => self.auth_jwt_administrator.as_ref(),
            "body-limit" => self.body_limit.as_ref(),
            "webhook-rate" => self.webhook_rate.as_ref(),
            "webhook-plugin-rate" => self.webhook_plugin_rate.as_ref(),
            "max-memory-mb" => self.max_memory_mb.as_ref(),
            "max-timeout-ms" => self.max_timeout_ms.as_ref(),
            "shutdown-grace-ms" => self.shutdown_grace_ms.as_ref(),
            "document-cache" => self.document_cache.as_ref(),
            other => self.graphql.get(other).or_else(|| self.docker.get(other)),
        }
    }
}

/// What the settings are for; it decides some defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Serve,
    /// For plugin authors: hot reload is on.
    Dev,
    /// A command of the shell: only warnings are logged.
    Shell,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// A text that never shows in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Settings {
    pub mode: Mode,
    /// `HOST:PORT`.
    pub listen: String,
    pub plugins: PathBuf,
    pub data_dir: PathBuf,
    /// `None`: an SQLite file in the data dir. May hold a password.
    pub database_url: Option<Secret>,
    /// `None`: 4 that read on SQLite, 16 on PostgreSQL.
    pub database_connections: Option<usize>,
    /// How long a statement waits for a free connection.
    pub database_wait: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// At least [`MIN_SECRET_KEY`] characters. `None`: a file in the data dir.
    pub secret_key: Option<Secret>,
    /// The key before it, while it is being changed.
    pub previous_secret_key: Option<Secret>,
    pub log: LogFormat,
    /// A tracing filter.
    pub log_level: String,
    pub hot_reload: bool,
    /// At least [`MIN_ADMIN_TOKEN`] characters.
    pub admin_token: Option<Secret>,
    /// Whether everybody may make an account.
    pub sign_up: bool,
    /// How long a token of an account is valid.
    pub token_lifetime: Duration,
    /// Tokens of another identity provider.
    pub jwt: JwtSettings,
    /// In bytes.
    pub body_limit: usize,
    /// Requests a second to each webhook of a plugin; 0 for any number.
    pub webhook_rate: u32,
    /// Requests a second to a plugin's webhooks together; 0 for any number.
    pub webhook_plugin_rate: u32,
    /// The upper bound of every manifest's `runtime.memoryMb`.
    pub max_memory_mb: u64,
    /// The upper bound of every manifest's `runtime.timeoutMs`.
    pub max_timeout_ms: u64,
    pub shutdown_grace: Duration,
    pub document_cache: bool,
    /// The GraphQL endpoint.
    pub graphql: GraphqlSettings,
    /// The containers of plugins.
    pub docker: DockerSettings,
}

/// A configuration error: one line that says what is wrong and where it was set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Settings {
    /// The defaults of a mode.
    pub fn new(mode: Mode) -> Self {
        Settings {
            mode,
            listen: "127.0.0.1:8080".to_owned(),
            plugins: PathBuf::from("./plugins"),
            data_dir: PathBuf::from("./data"),
            database_url: None,
            database_connections: None,
            database_wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            secret_key: None,
            previous_secret_key: None,
            log: LogFormat::Text,
            log_level: if mode == Mode::Shell { "warn" } else { "info" }.to_owned(),
            hot_reload: mode == Mode::Dev,
            admin_token: None,
            sign_up: true,
            token_lifetime: Duration::from_secs(720 * 60 * 60),
            jwt: JwtSettings::default(),
            body_limit: 1024 * 1024,
            webhook_rate: 0,
            webhook_plugin_rate: 0,
            max_memory_mb: 1_024,
            max_timeout_ms: 150_000,
            shutdown_grace: Duration::from_secs(10),
            document_cache: true,
            graphql: GraphqlSettings::new(match mode {
                Mode::Dev => Introspection::Everyone,
                Mode::Serve | Mode::Shell => Introspection::Users,
            }),
            docker: DockerSettings::default(),
        }
    }

    /// Reads flags, the process's environment and the file.
    pub fn load(flags: &Flags, mode: Mode) -> Result<Self, SettingsError> {
        Self::load_from(flags, |name| std::env::var(name).ok(), mode)
    }

    /// As [`Settings::load`], with another environment. A variable that is empty counts as not set.
    pub fn load_from(
        flags: &Flags,
        env: impl Fn(&str) -> Option<String>,
        mode: Mode,
    ) -> Result<Self, SettingsError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let named = flags.config.clone().or_else(|| env("MOONDOCK_CONFIG"));
        let file = file::read(named.as_deref().map(Path::new))?;
        let mut settings = Settings::new(mode);
        for key in file::keys() {
            let variable = format!("MOONDOCK_{}", key.name.to_uppercase().replace('-', "_"));
            let found = if let Some(text) = flags.get(key.name) {
                Found { text: text.clone(), origin: format!("--{}", key.name), base: None }
            } else if let Some(text) = env(&variable) {
                Found { text, origin: variable, base: None }
            } else if let Some(found) = file.get(key.name) {
                found.clone()
            } else {
                continue;
            };
            parse::set(&mut settings, key.name, &found)?;
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests;
