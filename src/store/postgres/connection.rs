//! One connection to PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection};
use sqlx::query::Query;
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Either,
    Executor as _, Postgres, Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _,
};

use super::cell::read_row;
use crate::store::cell::{Collected, Outcome, ResultColumn, Row, Want};
use crate::store::error::timed_out;
use crate::store::statement::joined;
use crate::store::{DbError, MAX_BOUND_VALUES, Statement};

/// A connection that was not used for this long is asked whether it is still there.
const UNWATCHED: Duration = Duration::from_secs(1);
/// How long the rest of a result that nobody wants may take to arrive, before it is stopped.
const REST: Duration = Duration::from_millis(50);
/// How long a cancelled statement may take to end, before its connection is given up.
const CANCELLING: Duration = Duration::from_secs(5);

/// Takes off the role that [`Connection::run_as`] has put on. Not only for the transaction: a role that
/// the statement itself has set for longer must go too.
pub const OWN_ROLE: &str = "RESET ROLE";

/// Makes the connections of a pool.
#[derive(Debug)]
pub struct Manager {
    pub options: PgConnectOptions,
    /// After this time the server stops a statement by itself, whatever became of the host.
    pub statement_timeout: Duration,
    pub epoch: Arc<Epoch>,
}

/// What all connections have to know about each other.
#[derive(Debug, Default)]
pub struct Epoch {
    /// Counts the changes of tables: prepared statements from before may no longer fit.
    tables: AtomicU64,
    /// Counts lost connections: after one, others are likely to be lost too.
    losses: AtomicU64,
}

impl Epoch {
    pub fn tables_changed(&self) {
        self.tables.fetch_add(1, Ordering::SeqCst);
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Connection, sqlx::Error> {
        let mut inner = self.options.connect().await?;
        let timeout = self.statement_timeout.as_millis();
        let settings = format!(
            "SET statement_timeout = {timeout}; SET TimeZone = 'UTC'; \
             SET client_min_messages = 'warning'"
        );
        inner.execute(sqlx::raw_sql(AssertSqlSafe(settings))).await?;
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut inner).await?;
        Ok(Connection {
            inner,
            pid,
            options: self.options.clone(),
            epoch: Arc::clone(&self.epoch),
            tables: self.epoch.tables.load(Ordering::SeqCst),
            losses: self.epoch.losses.load(Ordering::SeqCst),
            broken: false,
        })
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if connection.broken {
            return Err(RecycleError::message("the connection is broken"));
        }
        let losses = self.epoch.losses.load(Ordering::SeqCst);
        if connection.losses != losses || metrics.last_used() > UNWATCHED {
            connection.inner.ping().await.map_err(RecycleError::Backend)?;
            connection.losses = losses;
        }
        let tables = self.epoch.tables.load(Ordering::SeqCst);
        if connection.tables != tables {
            connection.inner.clear_cached_statements().await.map_err(RecycleError::Backend)?;
            connection.tables = tables;
        }
        Ok(())
    }
}

pub struct Connection {
    inner: PgConnection,
    /// The server's process.
    pid: i32,
    options: PgConnectOptions,
    epoch: Arc<Epoch>,
    tables: u64,
    losses: u64,
    /// Not to be used again.
    pub broken: bool,
}

impl Connection {
    /// The connection itself, for migrations of the host.
    pub fn inner(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Runs a statement, until the deadline at the longest.
    pub async fn run(
        &mut self,
        statement: &Statement,
        want: Want,
        deadline: Instant,
    ) -> Result<Outcome, DbError> {
        let (pid, options) = (self.pid, self.options.clone());
        let outcome = {
            let mut running = std::pin::pin!(perform(&mut self.inner, statement, want));
            match tokio::time::timeout_at(deadline.into(), running.as_mut()).await {
                Ok(outcome) => Some(outcome),
                Err(_) => {
                    cancel(&options, pid).await;
                    // It ends now, or has ended in the last moment.
                    tokio::time::timeout(CANCELLING, running).await.ok()
                }
            }
        };
        match outcome {
            Some(Err(error)) if error.of_result => Err(self.let_go(error).await),
            Some(outcome) => self.looked_at(outcome),
            None => {
                self.broken = true;
                Err(timed_out())
            }
        }
    }

    /// Waits until a statement is over whose further rows nobody wants. They would be in the way of the
    /// next statement, and may have no end.
    async fn let_go(&mut self, error: DbError) -> DbError {
        let (pid, options) = (self.pid, self.options.clone());
        let rest = {
            let mut rest = std::pin::pin!(self.inner.ping());
            match tokio::time::timeout(REST, rest.as_mut()).await {
                Ok(rest) => Ok(rest),
                Err(_) => {
                    cancel(&options, pid).await;
                    tokio::time::timeout(CANCELLING, rest).await
                }
            }
        };
        let rest = rest.unwrap_or_else(|_| {
            self.broken = true;
            Ok(())
        });
        // Where it was stopped, it has failed after all.
        let failed = self.looked_at(rest.map_err(DbError::from)).is_err();
        DbError { of_result: !failed, ends_transaction: self.broken, ..error }
    }

    /// Runs `begin`, which opens a transaction or makes a savepoint in one, and then a statement with
    /// the rights of `role`. After a failure the role goes when the transaction returns to a savepoint
    /// or ends; after a success [`OWN_ROLE`] takes it off.
    pub async fn run_as(
        &mut self,
        begin: &str,
        role: &str,
        statement: &Statement,
        want: Want,
        deadline: Instant,
    ) -> Result<Outcome, DbError> {
        // A role's name is one that `extension::database` has made of ASCII letters, digits and
        // underscores.
        self.command(&format!("{begin}; SET LOCAL ROLE \"{role}\"")).await?;
        self.run(statement, want, deadline).await
    }

    /// Streams the rows of a statement to `each`.
    pub async fn stream(
        &mut self,
        statement: &Statement,
        each: &mut (dyn FnMut(Row) -> Result<(), DbError> + Send),
    ) -> Result<(), DbError> {
        let mut rows = query(statement, &statement.sql)?.fetch(&mut self.inner);
        while let Some(row) = rows.try_next().await? {
            each(read_row(&row)?)?;
        }
        Ok(())
    }

    /// Runs the host's own commands, such as BEGIN; several are separated by semicolons.
    pub async fn command(&mut self, sql: &str) -> Result<(), DbError> {
        let done = self.inner.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        let done = done.map(|_| ()).map_err(DbError::from);
        self.looked_at(done)
    }

    /// Ends whatever transaction is open; without one that is fine too.
    pub async fn roll_back(&mut self) {
        // Without a transaction PostgreSQL only warns.
        if let Err(error) = self.command("ROLLBACK").await {
            tracing::warn!("a transaction could not be rolled back: {error}");
            self.broken = true;
        }
    }

    fn looked_at<T>(&mut self, outcome: Result<T, DbError>) -> Result<T, DbError> {
        if outcome.as_ref().is_err_and(|error| error.lost) {
            self.broken = true;
            self.epoch.losses.fetch_add(1, Ordering::SeqCst);
        }
        outcome
    }

    pub async fn close(self) {
        if let Err(error) = self.inner.close().await {
            tracing::debug!("closing a connection: {error}");
        }
    }
}

/// Asks the server, over another connection, to stop what a process is doing.
async fn cancel(options: &PgConnectOptions, pid: i32) {
    let asked = async {
        let mut other = options.connect().await?;
        sqlx::query("SELECT pg_cancel_backend($1)").bind(pid).execute(&mut other).await?;
        other.close().await
    };
    match tokio::time::timeout(CANCELLING, asked).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("a statement could not be stopped: {error}"),
        Err(_) => tracing::warn!("a statement could not be stopped: the server does not answer"),
    }
}

async fn perform(
    connection: &mut PgConnection,
    statement: &Statement,
    want: Want,
) -> Result<Outcome, DbError> {
    let typed;
    let sql = match &statement.pieces {
        Some(pieces) => {
            typed = with_types(connection, statement, pieces).await?;
            &typed
        }
        None => &statement.sql,
    };
    let query = query(statement, sql)?;
    if want == Want::Count {
        let changed = query.execute(connection).await?.rows_affected();
        return Ok(Outcome { changed, ..Outcome::default() });
    }
    let mut collected = Collected::of(statement);
    let mut columns = Vec::new();
    let mut found = query.fetch(connection);
    while let Some(row) = found.try_next().await? {
        if columns.is_empty() && statement.fence.is_some() {
            let named = |c: &sqlx::postgres::PgColumn| ResultColumn {
                name: c.name().to_owned(),
                origin: None,
            };
            columns = row.columns().iter().map(named).collect();
        }
        collected.push(read_row(&row)?)?;
    }
    Ok(Outcome { columns, rows: collected.rows, changed: 0 })
}

/// The text of a statement in which every value is cast to the type that PostgreSQL finds it to
/// have. So a text can be compared with a UUID or a timestamp as it can be on SQLite, where both
/// are texts.
async fn with_types(
    connection: &mut PgConnection,
    statement: &Statement,
    pieces: &[String],
) -> Result<Arc<str>, DbError> {
    if statement.values.is_empty() {
        return Ok(Arc::clone(&statement.sql));
    }
    let sql = AssertSqlSafe(Arc::clone(&statement.sql)).into_sql_str();
    let prepared = connection.prepare_with(sql, &[]).await?;
    let types: Vec<String> = match prepared.parameters() {
        Some(Either::Left(types)) => types.iter().map(|ty| ty.name().to_owned()).collect(),
        _ => Vec::new(),
    };
    Ok(joined(pieces, |number| match types.get(number - 1) {
        Some(ty) => format!("CAST(${number} AS {ty})"),
        None => format!("${number}"),
    })
    .into())
}

/// The one place where SQL text reaches PostgreSQL's driver. It was written by sea-query, checked
/// and written again from its syntax tree, or is a constant: no value from outside is in it.
fn query(
    statement: &Statement,
    sql: &Arc<str>,
) -> Result<Query<'static, Postgres, PgArguments>, DbError> {
    let count = statement.values.len();
    if count > MAX_BOUND_VALUES {
        return Err(DbError::invalid(format!(
            "a statement takes at most {MAX_BOUND_VALUES} values, this one has {count}: split it"
        )));
    }
    let mut arguments = PgArguments::default();
    arguments.reserve(count, 0);
    for value in &statement.values {
        bind(&mut arguments, value)?;
    }
    Ok(sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), arguments).persistent(statement.kept))
}

fn bind(arguments: &mut PgArguments, value: &sea_query::Value) -> Result<(), DbError> {
    use sea_query::Value as V;
    let bound = match value {
        V::Bool(v) => arguments.add(*v),
        V::Int(v) => arguments.add(v.map(i64::from)),
        V::BigInt(v) => arguments.add(*v),
        // sea-query writes LIMIT and OFFSET with this type.
        V::BigUnsigned(v) => arguments.add(v.map(|v| i64::try_from(v).unwrap_or(i64::MAX))),
        V::Double(v) => arguments.add(*v),
        V::String(v) => arguments.add(v.clone()),
        V::Bytes(v) => arguments.add(v.clone()),
        other => Err(format!("unsupported value {other:?}").into()),
    };
    bound.map_err(|e| DbError::invalid(format!("cannot bind a value: {e}")))
}
