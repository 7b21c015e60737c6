//! `moondock user …`: accounts, in the running server if there is one, else in this process.

use std::io::{self, IsTerminal as _, Write as _};

use clap::{Args, Subcommand, ValueEnum};

use super::plugin::ask;
use super::{Backend, Failure};
use crate::control::{ControlRequest, ControlUser, Operation};
use crate::error::Error;
use crate::logging;
use crate::settings::{Flags, Mode, Settings};

#[derive(Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes an account. The password is asked for, or is the first line of standard input
    Create {
        /// The address to sign in with
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        /// How the person is called
        #[arg(long)]
        name: String,
        /// What the person may do
        #[arg(long, default_value = "regular")]
        role: RoleName,
        #[command(flatten)]
        flags: Flags,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Administrator,
    Regular,
}

pub(super) async fn run(args: UserArgs, backend: &dyn Backend) -> Result<(), Failure> {
    let Action::Create { email, name, role, flags } = args.action;
    let settings = Settings::load(&flags, Mode::Shell)?;
    logging::init(&settings);
    let user = ControlUser {
        name,
        email_address: email,
        password: password()?,
        is_administrator: role == RoleName::Administrator,
    };
    let request = ControlRequest { user: Some(user), ..ControlRequest::default() };
    let reply = ask(settings, Operation::CreateUser, request, backend).await?;
    if let Some(error) = reply.error {
        let problems = error.problems;
        return Err(Error { problems, ..Error::new(error.code, error.message) }.into());
    }
    writeln!(io::stdout(), "{}", reply.note.unwrap_or_default())?;
    Ok(())
}

/// Never an argument: other users of the machine can see command lines.
fn password() -> Result<String, Failure> {
    let unreadable =
        |error: io::Error| Failure::Configuration(format!("the password cannot be read: {error}"));
    if io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(unreadable)?;
        let again = rpassword::prompt_password("Once more: ").map_err(unreadable)?;
        if first != again {
            return Err(Failure::Configuration("the two passwords differ".to_owned()));
        }
        return Ok(first);
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(unreadable)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
