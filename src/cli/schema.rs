//! `moondock schema …`: the GraphQL schema, of the running server if there is one.

use std::io::{self, Write as _};

use clap::{Args, Subcommand};

use super::plugin::ask;
use super::{Backend, Failure};
use crate::control::{ControlRequest, Operation};
use crate::error::Error;
use crate::logging;
use crate::settings::{Flags, Mode, Settings};

#[derive(Args)]
pub(super) struct SchemaArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Prints the schema of the host and all active plugins as SDL
    Print {
        /// Prints only what this plugin adds
        #[arg(long, value_name = "ID")]
        plugin: Option<String>,
        #[command(flatten)]
        flags: Flags,
    },
}

pub(super) async fn run(args: SchemaArgs, backend: &dyn Backend) -> Result<(), Failure> {
    let Action::Print { plugin, flags } = args.action;
    let settings = Settings::load(&flags, Mode::Shell)?;
    logging::init(&settings);
    let request = ControlRequest { plugin_id: plugin, ..ControlRequest::default() };
    let reply = ask(settings, Operation::Schema, request, backend).await?;
    if let Some(error) = reply.error {
        let problems = error.problems;
        return Err(Error { problems, ..Error::new(error.code, error.message) }.into());
    }
    write!(io::stdout(), "{}", reply.schema.unwrap_or_default())?;
    Ok(())
}
