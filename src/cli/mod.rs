//! The command line: one file for each command.

pub mod client;
mod dev;
mod plugin;
mod schema;
mod serve;
mod table;
mod table_plan;
mod user;

use std::io::Write;
use std::process::ExitCode;

use async_trait::async_trait;
use clap::{Parser, Subcommand};

use crate::control::{ControlReply, ControlRequest, Operation};
use crate::data_dir::{DataDir, DataDirError};
use crate::error::Error;
use crate::logging;
use crate::report::Reporter;
use crate::settings::{Flags, Mode, Settings, SettingsError};

/// Exit code of an operation that failed.
const FAILED: u8 = 1;
/// Exit code of a wrong configuration or command line.
const MISCONFIGURED: u8 = 2;

/// A plugin host: folders of Lua become typed GraphQL fields, tables and hooks of a running server.
#[derive(Parser)]
#[command(
    name = "moondock",
    version,
    after_help = "Every setting is also read from the environment (--data-dir is MOONDOCK_DATA_DIR) \
                  and from moondock.toml (data-dir). Flags win over environment, environment over file."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server
    Serve(serve::ServeArgs),
    /// Runs the server for plugin authors: new folders are taken in, changes are reloaded
    Dev(dev::DevArgs),
    /// Lists, installs, activates, deactivates and uninstalls plugins, also of a running server
    Plugin(plugin::PluginArgs),
    /// Shows the GraphQL schema, also of a running server
    Schema(schema::SchemaArgs),
    /// Makes accounts, also of a running server
    User(user::UserArgs),
}

/// What the commands need from the host.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Runs the server until it is told to stop. [`Settings::mode`] tells `serve` from `dev`.
    async fn serve(&self, settings: Settings, data_dir: DataDir) -> Result<(), Error>;

    /// Carries out one operation without a server.
    async fn operate(
        &self,
        settings: Settings,
        data_dir: DataDir,
        operation: Operation,
        request: ControlRequest,
    ) -> ControlReply;
}

/// Why a command ended.
enum Failure {
    /// The configuration or the environment of the command: one line.
    Configuration(String),
    /// The operation, with all its problems.
    Operation(Error),
    /// Standard output could not be written to.
    Output(std::io::Error),
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Failure::Configuration(error.to_string())
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        match error {
            DataDirError::InUse { .. } => Failure::Operation(Error::unexpected(error)),
            DataDirError::Io { .. } => Failure::Configuration(error.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Operation(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Output(error)
    }
}

impl Cli {
    /// Runs the command to its end, inside a Tokio runtime.
    pub async fn run(self, backend: &dyn Backend) -> ExitCode {
        let result = match self.command {
            Command::Serve(args) => serve::run(args, backend).await,
            Command::Dev(args) => dev::run(args, backend).await,
            Command::Plugin(args) => plugin::run(args, backend).await,
            Command::Schema(args) => schema::run(args, backend).await,
            Command::User(args) => user::run(args, backend).await,
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        }
    }
}

impl Failure {
    fn report(self) -> ExitCode {
        let (text, code) = match self {
            Failure::Configuration(line) => (format!("error: {line}\n"), MISCONFIGURED),
            Failure::Operation(error) => (Reporter::stderr().error(&error), FAILED),
            // Whoever read the output has gone, as `head` does; that is no failure of ours.
            Failure::Output(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Failure::Output(e) => (format!("error: cannot write the output: {e}\n"), FAILED),
        };
        // With standard error gone too there is nobody left to tell; the exit code remains.
        let _ = std::io::stderr().write_all(text.as_bytes());
        ExitCode::from(code)
    }
}

/// What `serve` and `dev` share.
async fn start(flags: &Flags, mode: Mode, backend: &dyn Backend) -> Result<(), Failure> {
    let settings = Settings::load(flags, mode)?;
    logging::init(&settings);
    let data_dir = DataDir::open(&settings.data_dir)?;
    backend.serve(settings, data_dir).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
