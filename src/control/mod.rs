//! The control channel: how the shell's `moondock plugin …` reaches a running server.
//!
//! The server listens on a Unix socket in its data dir and speaks HTTP there:
//! `POST /plugins/{operation}` with a [`ControlRequest`] is answered with a [`ControlReply`]. Who may
//! open the socket, which is the server's own user, may do everything.

mod listen;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use listen::{listen, serve};

use crate::error::{Error, Problem, code};
use crate::plugin::manifest::Permissions;
use crate::value::Value;

/// The socket of the server that uses this data dir.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    List,
    Info,
    Install,
    Activate,
    Deactivate,
    Uninstall,
    Plan,
    Restore,
    Grant,
    CreateUser,
    Schema,
}

impl Operation {
    const ALL: [Operation; 11] = [
        Operation::List,
        Operation::Info,
        Operation::Install,
        Operation::Activate,
        Operation::Deactivate,
        Operation::Uninstall,
        Operation::Plan,
        Operation::Restore,
        Operation::Grant,
        Operation::CreateUser,
        Operation::Schema,
    ];

    /// Whether it needs to be told of which plugin.
    pub fn is_about_plugin(self) -> bool {
        !matches!(self, Operation::List | Operation::CreateUser | Operation::Schema)
    }

    /// The name in the URL and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::List => "list",
            Operation::Info => "info",
            Operation::Install => "install",
            Operation::Activate => "activate",
            Operation::Deactivate => "deactivate",
            Operation::Uninstall => "uninstall",
            Operation::Plan => "plan",
            Operation::Restore => "restore",
            Operation::Grant => "grant",
            Operation::CreateUser => "create-user",
            Operation::Schema => "schema",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Operation::ALL
            .into_iter()
            .find(|o| o.as_str() == text)
            .ok_or_else(|| Error::new(code::NOT_FOUND, format!("there is no operation {text:?}")))
    }
}

/// The body of a request. An operation that is about a plugin has a `plugin_id`; the server's end refuses
/// those that do not before a handler sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_id: Option<String>,
    /// Installing grants what the manifest asks for.
    pub grant: bool,
    /// Deactivating and uninstalling go on although the plugin's own functions fail.
    pub force: bool,
    /// The backup to restore; `None` for the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What to grant besides what is granted already; `None` for all that the manifest asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// The account to create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<ControlUser>,
    /// Restoring deletes the rows that are there.
    pub replace: bool,
}

/// An account to create.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlUser {
    pub name: String,
    pub email_address: String,
    pub password: String,
    pub is_administrator: bool,
}

impl fmt::Debug for ControlUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ControlUser({})", self.email_address)
    }
}

impl ControlRequest {
    /// The plugin's id, or the error that it is missing.
    pub fn require_plugin_id(&self) -> Result<&str, Error> {
        let id = self.plugin_id.as_deref();
        id.ok_or_else(|| Error::invalid_argument(&["pluginId"], "pluginId is missing"))
    }
}

/// The body of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlReply {
    pub ok: bool,
    /// The plugin after the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginInfo>,
    /// What [`Operation::List`] found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Vec<PluginInfo>>,
    /// What [`Operation::Schema`] found: SDL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What [`Operation::Plan`] found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// What the operation has to say beyond that it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ControlError>,
}

impl ControlReply {
    /// Success with one plugin.
    pub fn plugin(plugin: PluginInfo) -> Self {
        ControlReply { ok: true, plugin: Some(plugin), ..ControlReply::default() }
    }

    /// Success with a plan.
    pub fn plan(plan: Value) -> Self {
        ControlReply { ok: true, plan: Some(plan), ..ControlReply::default() }
    }

    /// Success with a schema.
    pub fn schema(sdl: String) -> Self {
        ControlReply { ok: true, schema: Some(sdl), ..ControlReply::default() }
    }

    /// Success with something to say.
    pub fn note(note: impl Into<String>) -> Self {
        ControlReply { ok: true, note: Some(note.into()), ..ControlReply::default() }
    }

    /// Success with a list.
    pub fn plugins(plugins: Vec<PluginInfo>) -> Self {
        ControlReply { ok: true, plugins: Some(plugins), ..ControlReply::default() }
    }
}

impl From<Error> for ControlReply {
    fn from(error: Error) -> Self {
        let Error { code, message, problems, .. } = error;
        let error = Some(ControlError { code, message, problems });
        ControlReply { error, ..ControlReply::default() }
    }
}

/// Why an operation failed. Nothing is masked: whoever asks runs the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ControlError {
    pub code: String,
    pub message: String,
    pub problems: Vec<Problem>,
}

/// A plugin as the shell shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginInfo {
    pub plugin_id: String,
    /// `LOADING`, `ACTIVE`, `INACTIVE` or `ERROR`.
    pub status: String,
    pub is_installed: bool,
    pub is_activated: bool,
    pub name: Option<String>,
    pub version: Option<String>,
    pub description: Option<String>,
    pub author: Option<String>,
    pub generation: u64,
    pub permissions: Permissions,
    pub granted_permissions: Permissions,
    pub errors: Vec<PluginFailure>,
    /// Its containers, while it is active.
    pub services: Vec<ServiceInfo>,
}

/// A container service of a plugin as the shell shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceInfo {
    pub name: String,
    /// `RUNNING`, `RESTARTING`, `EXITED` or `MISSING`.
    pub state: String,
    /// `healthy`, `unhealthy`, `starting` or `none`.
    pub health: String,
    pub url: Option<String>,
    pub error: Option<String>,
}

/// A problem and when it came up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginFailure {
    /// RFC 3339.
    pub at: String,
    #[serde(flatten)]
    pub problem: Problem,
}

/// Carries out operations: the host.
#[async_trait]
pub trait ControlHandler: Send + Sync + 'static {
    /// Does what is asked; failures are replies too.
    async fn handle(&self, operation: Operation, request: ControlRequest) -> ControlReply;
}

#[cfg(test)]
mod tests;
