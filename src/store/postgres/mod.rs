//! PostgreSQL: one pool, whose connections read and write.

mod cell;
mod connection;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use deadpool::managed;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

pub use connection::{Connection, Epoch, Manager, OWN_ROLE};

use super::cell::{Outcome, Want};
use super::{DbError, Statement, StoreOptions, pool};
use crate::error::{Error, Result};

/// The connections when no number is set.
const CONNECTIONS: usize = 16;

pub type Pool = managed::Pool<Manager>;

/// An open database.
pub struct Postgres {
    pub pool: Pool,
    pub epoch: Arc<Epoch>,
}

/// Opens the database and applies the host's migrations.
///
/// # Errors
/// One line that says what is wrong; never the password.
pub(super) async fn open(url: &str, settings: &StoreOptions) -> Result<Postgres> {
    let options = PgConnectOptions::from_str(url)
        // The error may repeat parts of the URL.
        .map_err(|_| {
            Error::unexpected("database URL: expected postgres://user:password@host:port/name")
        })?
        .application_name("moondock")
        .disable_statement_logging();
    let place = format!(
        "database {} on {}:{}",
        options.get_database().unwrap_or("(of the user's name)"),
        options.get_host(),
        options.get_port()
    );
    let epoch = Arc::<Epoch>::default();
    let manager = Manager {
        options,
        statement_timeout: settings.statement_timeout,
        epoch: Arc::clone(&epoch),
    };
    let pool = pool::new(manager, settings.connections.unwrap_or(CONNECTIONS))?;
    let mut connection = pool::get(&pool, settings.wait_until())
        .await
        .map_err(|e| Error::unexpected(format!("{place}: cannot connect: {e}")))?;
    sqlx::migrate!("migrations/postgres")
        .run_direct(None, connection.inner(), false)
        .await
        .map_err(|e| Error::unexpected(format!("{place}: cannot migrate: {e}")))?;
    drop(connection);
    Ok(Postgres { pool, epoch })
}

impl Postgres {
    pub(super) async fn close(&self) {
        pool::close(&self.pool, Connection::close).await;
    }
}

/// How often a statement is tried that may be. A server that goes down ends one connection after another.
const ATTEMPTS: u32 = 4;

/// Runs a statement by itself, on a connection that is free before `until`.
pub(super) async fn run(
    postgres: &Postgres,
    statement: &Statement,
    want: Want,
    until: Instant,
    deadline: Instant,
) -> Result<Outcome, DbError> {
    for _ in 1..ATTEMPTS {
        let outcome = once(postgres, statement, want, until, deadline).await;
        match &outcome {
            // What only reads may be asked again.
            Err(error) if error.lost && !statement.writes => {}
            // The connection had prepared it before a table was changed; it was not run.
            Err(error) if error.message.contains("cached plan must not change result type") => {
                postgres.epoch.tables_changed();
            }
            _ => return outcome,
        }
    }
    once(postgres, statement, want, until, deadline).await
}

async fn once(
    postgres: &Postgres,
    statement: &Statement,
    want: Want,
    until: Instant,
    deadline: Instant,
) -> Result<Outcome, DbError> {
    let mut connection = pool::get(&postgres.pool, until).await?;
    let role = statement.fence.as_ref().map(|fence| fence.role.as_str());
    if role.is_none() && !statement.may_give_too_much(want) {
        return connection.run(statement, want, deadline).await;
    }
    let begin = if statement.writes { "BEGIN" } else { "BEGIN READ ONLY" };
    let outcome = match role {
        Some(role) => connection.run_as(begin, role, statement, want, deadline).await,
        None => {
            connection.command(begin).await?;
            connection.run(statement, want, deadline).await
        }
    };
    match outcome {
        Ok(outcome) => connection.command(&format!("COMMIT; {OWN_ROLE}")).await.map(|()| outcome),
        Err(error) => {
            connection.roll_back().await;
            Err(error)
        }
    }
}
