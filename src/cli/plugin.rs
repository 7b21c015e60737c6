//! `moondock plugin …`: in the running server if there is one, else in this process.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::table::Table;
use super::{Backend, Failure, client, table_plan};
use crate::control::{ControlReply, ControlRequest, Operation, PluginInfo};
use crate::data_dir::{DataDir, DataDirError};
use crate::error::Error;
use crate::logging;
use crate::plugin::manifest::Permissions;
use crate::report::Reporter;
use crate::settings::{Flags, Mode, Settings};

#[derive(Args)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Lists all plugins
    List {
        /// Writes JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Shows one plugin, with its errors
    Info {
        /// The plugin's id, which is its folder's name
        id: String,
        /// Writes JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Installs a plugin from its folder
    Install {
        /// The plugin's id, which is its folder's name
        id: String,
        /// Grants what the plugin's manifest asks for
        #[arg(long)]
        grant: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Grants a plugin what its manifest asks for, or what is said here besides what it has
    Grant {
        /// The plugin's id, which is its folder's name
        id: String,
        /// An origin that it may send requests to, such as https://api.example.com
        #[arg(long, value_name = "ORIGIN")]
        http: Vec<String>,
        /// An environment variable that it may read
        #[arg(long, value_name = "NAME")]
        env: Vec<String>,
        /// An event that it may raise; a * at the end stands for any rest
        #[arg(long, value_name = "EVENT")]
        events: Vec<String>,
        /// SQL on its own tables
        #[arg(long)]
        sql: bool,
        /// Lets it run containers
        #[arg(long)]
        docker: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Activates an installed plugin
    Activate(Named),
    /// Deactivates a plugin
    Deactivate(Forceable),
    /// Uninstalls a plugin and drops its tables, after a backup if its record says so
    Uninstall(Forceable),
    /// Shows what the version in a plugin's folder would change in the database
    Plan {
        /// The plugin's id, which is its folder's name
        id: String,
        /// Writes JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Brings a plugin's rows back from a backup
    Restore {
        /// The plugin's id, which is its folder's name
        id: String,
        /// The backup [default: the newest of the plugin in the data dir]
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// Deletes the rows that are in the plugin's tables
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        flags: Flags,
    },
}

#[derive(Args)]
struct Named {
    /// The plugin's id, which is its folder's name
    id: String,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Forceable {
    /// The plugin's id, which is its folder's name
    id: String,
    /// Goes on although the plugin's own function for this step fails
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    flags: Flags,
}

/// An action taken apart.
struct Plan {
    operation: Operation,
    request: ControlRequest,
    json: bool,
    flags: Flags,
}

impl Action {
    fn plan(self) -> Plan {
        let plan = |operation, flags| Plan {
            operation,
            request: ControlRequest::default(),
            json: false,
            flags,
        };
        let about = |operation, id: String, flags| {
            let request = ControlRequest { plugin_id: Some(id), ..ControlRequest::default() };
            Plan { request, ..plan(operation, flags) }
        };
        match self {
            Action::List { json, flags } => Plan { json, ..plan(Operation::List, flags) },
            Action::Info { id, json, flags } => Plan { json, ..about(Operation::Info, id, flags) },
            Action::Install { id, grant, flags } => {
                let mut plan = about(Operation::Install, id, flags);
                plan.request.grant = grant;
                plan
            }
            Action::Grant { id, http, env, events, sql, docker, flags } => {
                let permissions = Permissions { http, env, events, sql, docker };
                let mut plan = about(Operation::Grant, id, flags);
                plan.request.permissions = Some(permissions).filter(|given| !given.is_empty());
                plan
            }
            Action::Activate(named) => about(Operation::Activate, named.id, named.flags),
            Action::Deactivate(f) => f.plan(Operation::Deactivate),
            Action::Uninstall(f) => f.plan(Operation::Uninstall),
            Action::Plan { id, json, flags } => Plan { json, ..about(Operation::Plan, id, flags) },
            Action::Restore { id, file, replace, flags } => {
                let mut plan = about(Operation::Restore, id, flags);
                // A running server may have another current folder.
                plan.request.file = file.map(|file| std::path::absolute(&file).unwrap_or(file));
                plan.request.replace = replace;
                plan
            }
        }
    }
}

impl Forceable {
    fn plan(self, operation: Operation) -> Plan {
        let (plugin_id, force) = (Some(self.id), self.force);
        let request = ControlRequest { plugin_id, force, ..ControlRequest::default() };
        Plan { operation, request, json: false, flags: self.flags }
    }
}

pub(super) async fn run(args: PluginArgs, backend: &dyn Backend) -> Result<(), Failure> {
    let Plan { operation, request, json, flags } = args.action.plan();
    let settings = Settings::load(&flags, Mode::Shell)?;
    logging::init(&settings);
    let reply = ask(settings, operation, request, backend).await?;
    if let Some(error) = reply.error {
        let problems = error.problems;
        return Err(Error { problems, ..Error::new(error.code, error.message) }.into());
    }
    let text = if json { as_json(&reply) } else { describe(operation, &reply) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

pub(super) async fn ask(
    settings: Settings,
    operation: Operation,
    request: ControlRequest,
    backend: &dyn Backend,
) -> Result<ControlReply, Failure> {
    let path = settings.data_dir.clone();
    if let Some(reply) = client::send(&path, operation, request.clone()).await? {
        return Ok(reply);
    }
    match DataDir::open(&path) {
        Ok(data_dir) => Ok(backend.operate(settings, data_dir, operation, request).await),
        // A server may have opened its socket between the two looks.
        Err(in_use @ DataDirError::InUse { .. }) => {
            client::send(&path, operation, request).await?.ok_or_else(|| in_use.into())
        }
        Err(e) => Err(e.into()),
    }
}

fn as_json(reply: &ControlReply) -> String {
    fn pretty(value: &impl Serialize) -> String {
        // Only maps with keys that are no strings fail, and these types have none.
        serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
    }
    match (&reply.plugins, &reply.plan, &reply.plugin) {
        (Some(plugins), _, _) => pretty(plugins),
        (None, Some(plan), _) => pretty(plan),
        (None, None, plugin) => pretty(plugin),
    }
}

fn describe(operation: Operation, reply: &ControlReply) -> String {
    if let Some(plan) = &reply.plan {
        return table_plan::describe(plan);
    }
    match (operation, &reply.plugin, &reply.plugins) {
        (Operation::List, _, Some(plugins)) => list(plugins),
        (Operation::Info, Some(plugin), _) => info(plugin, &Reporter::stdout()),
        (_, Some(plugin), _) => {
            let done = match operation {
                Operation::Install => "installed",
                Operation::Activate => "activated",
                Operation::Deactivate => "deactivated",
                Operation::Uninstall => "uninstalled",
                Operation::Restore => "restored",
                Operation::List
                | Operation::Info
                | Operation::Plan
                | Operation::Grant
                | Operation::CreateUser
                | Operation::Schema => "found",
            };
            if operation == Operation::Grant {
                return granted(plugin);
            }
            let note = reply.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            format!("{} {done}{note}\n", plugin.plugin_id)
        }
        _ => String::new(),
    }
}

/// What a plugin may do now.
fn granted(plugin: &PluginInfo) -> String {
    let id = &plugin.plugin_id;
    let text = |permissions: Vec<String>| permissions.join(", ");
    let all = plugin.granted_permissions.missing_from(&Permissions::default());
    let missing = plugin.permissions.missing_from(&plugin.granted_permissions);
    match (all.is_empty(), missing.is_empty()) {
        (true, true) => format!("{id} asks for nothing, and is granted nothing\n"),
        (_, true) => format!("{id} is granted: {}\n", text(all)),
        (_, false) => {
            format!("{id} is granted: {}\nnot granted: {}\n", text(all), text(missing))
        }
    }
}

/// The plugins as a table.
pub(super) fn list(plugins: &[PluginInfo]) -> String {
    if plugins.is_empty() {
        return "no plugins\n".to_owned();
    }
    let mut table = Table::new(["ID", "STATUS", "VERSION", "NAME"]);
    for plugin in plugins {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            plugin.plugin_id.clone(),
            status(plugin),
            text(&plugin.version),
            text(&plugin.name),
        ]);
    }
    table.to_string()
}

/// One plugin with everything that is known about it.
pub(super) fn info(plugin: &PluginInfo, reporter: &Reporter) -> String {
    let mut lines = vec![("id", plugin.plugin_id.clone()), ("status", status(plugin))];
    let texts = [
        ("name", &plugin.name),
        ("version", &plugin.version),
        ("description", &plugin.description),
        ("author", &plugin.author),
    ];
    lines.extend(texts.into_iter().filter_map(|(key, text)| Some((key, text.clone()?))));
    lines.push(("generation", plugin.generation.to_string()));
    let granted = plugin.granted_permissions.missing_from(&Permissions::default());
    if !granted.is_empty() {
        lines.push(("granted", granted.join(", ")));
    }
    let missing = plugin.permissions.missing_from(&plugin.granted_permissions);
    if !missing.is_empty() {
        lines.push(("not granted", missing.join(", ")));
    }
    let mut text: String =
        lines.iter().map(|(key, value)| format!("{:<13}{value}\n", format!("{key}:"))).collect();
    for service in &plugin.services {
        let state = service.state.to_lowercase();
        let health = match service.health.as_str() {
            "none" => String::new(),
            health => format!(", {health}"),
        };
        let url = service.url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
        let error = service.error.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text.push_str(&format!("{:<13}{} {state}{health}{url}{error}\n", "service:", service.name));
    }
    for failure in &plugin.errors {
        let phase = failure.problem.phase.as_str();
        text.push_str(&format!("\n{} while in phase {phase}:\n", failure.at));
        text.push_str(&reporter.problem(&failure.problem));
    }
    text
}

fn status(plugin: &PluginInfo) -> String {
    if !plugin.is_installed && plugin.status == "INACTIVE" {
        return "not installed".to_owned();
    }
    plugin.status.to_lowercase()
}
