//! One connection to SQLite, with its deadline and its fence.

use std::sync::Arc;
use std::time::Instant;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures_util::TryStreamExt as _;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, ColumnOrigin, ConnectOptions as _, Connection as _,
    Decode, Executor as _, Row as _, Sqlite, TypeInfo as _, ValueRef as _,
};

use super::MAX_BOUND_VALUES;
use super::control::Control;
use super::native;
use crate::store::cell::{Cell, Collected, Outcome, ResultColumn, Row, Want, unreadable};
use crate::store::{DbError, Statement};

/// How many instructions of its virtual machine SQLite runs between two looks at the clock: some
/// tens of microseconds.
pub(super) const INSTRUCTIONS_PER_LOOK: i32 = 2_000;

/// Makes the connections of a pool.
#[derive(Debug)]
pub struct Manager {
    pub options: SqliteConnectOptions,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Connection, sqlx::Error> {
        Connection::open(&self.options).await
    }

    /// A local file does not go away; what can be wrong is a transaction that could not be ended.
    async fn recycle(
        &self,
        connection: &mut Connection,
        _: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if connection.broken {
            return Err(RecycleError::message("a transaction could not be ended"));
        }
        Ok(())
    }
}

pub struct Connection {
    inner: SqliteConnection,
    control: Arc<Control>,
    /// Not to be used again.
    pub broken: bool,
}

impl Connection {
    async fn open(options: &SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut inner = options.connect().await?;
        let control = Arc::<Control>::default();
        let mut handle = inner.lock_handle().await?;
        let clock = Arc::clone(&control);
        handle.set_progress_handler(INSTRUCTIONS_PER_LOOK, move || !clock.is_over());
        // SAFETY: the connection is open, and the lock keeps others from using it.
        unsafe { native::set_up(handle.as_raw_handle().as_ptr(), &control) }
            .map_err(sqlx::Error::Configuration)?;
        drop(handle);
        Ok(Connection { inner, control, broken: false })
    }

    /// The connection itself, for migrations of the host.
    pub fn inner(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    /// Runs a statement, until the deadline at the longest. If it gives too much, or what cannot be
    /// read, nothing of it remains.
    pub async fn run(
        &mut self,
        statement: &Statement,
        want: Want,
        deadline: Instant,
    ) -> Result<Outcome, DbError> {
        if !statement.may_give_too_much(want) {
            return self.perform(statement, want, deadline).await;
        }
        // Outside of a transaction this begins one, which ends with the savepoint.
        self.command("SAVEPOINT moondock").await?;
        let outcome = self.perform(statement, want, deadline).await;
        let ended = match &outcome {
            Ok(_) => self.command("RELEASE moondock").await,
            Err(error) if error.ends_transaction => Ok(()),
            Err(_) => self.command("ROLLBACK TO moondock; RELEASE moondock").await,
        };
        if ended.is_err() || outcome.as_ref().is_err_and(|error| error.ends_transaction) {
            self.roll_back().await;
            let ended = ended.map_err(|error| DbError { ends_transaction: true, ..error });
            return ended.and(outcome);
        }
        outcome
    }

    async fn perform(
        &mut self,
        statement: &Statement,
        want: Want,
        deadline: Instant,
    ) -> Result<Outcome, DbError> {
        let query = query(statement)?;
        if statement.without_foreign_keys {
            self.enforce_foreign_keys(false).await?;
        }
        self.control.begin(deadline, statement.fence.clone());
        let mut outcome = match want {
            Want::Rows => rows(&mut self.inner, query, statement).await,
            Want::Count => count(&mut self.inner, query).await,
        };
        if let Some(error) = outcome.as_mut().err().filter(|error| error.of_result) {
            self.let_go(statement, error).await;
        }
        self.control.end();
        if statement.without_foreign_keys {
            self.enforce_foreign_keys(true).await?;
        }
        outcome
    }

    /// Waits until a statement is over whose further rows nobody wants. Its next row may be a long time
    /// in coming, and without a deadline would keep the connection for ever.
    async fn let_go(&mut self, statement: &Statement, error: &mut DbError) {
        if !statement.writes {
            // One that writes would take the whole transaction with it; but it has done its work before
            // it gives the first row.
            self.control.stop();
        }
        // The lock is to be had once nothing runs.
        let unlocked = self.inner.lock_handle().await.is_ok();
        self.broken |= !unlocked;
        error.ends_transaction |= !unlocked || (statement.writes && self.control.is_over());
    }

    /// Streams the rows of a statement to `each`.
    pub async fn stream(
        &mut self,
        statement: &Statement,
        each: &mut (dyn FnMut(Row) -> Result<(), DbError> + Send),
    ) -> Result<(), DbError> {
        let mut rows = query(statement)?.fetch(&mut self.inner);
        while let Some(row) = rows.try_next().await? {
            each(read_row(&row)?)?;
        }
        Ok(())
    }

    /// Runs the host's own commands, such as BEGIN; several are separated by semicolons.
    pub async fn command(&mut self, sql: &str) -> Result<(), DbError> {
        self.inner.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        Ok(())
    }

    /// Ends whatever transaction is open; without one that is fine too.
    pub async fn roll_back(&mut self) {
        // After a full disk and the like SQLite has rolled back by itself, and says that there is
        // nothing to roll back. Anything else makes the connection useless.
        if let Err(error) = self.command("ROLLBACK").await
            && !error.message.contains("no transaction is active")
        {
            tracing::warn!("a transaction could not be rolled back: {error}");
            self.broken = true;
        }
    }

    async fn enforce_foreign_keys(&mut self, enforced: bool) -> Result<(), DbError> {
        let mut handle = self.inner.lock_handle().await?;
        native::enforce_foreign_keys(&mut handle, enforced)
    }

    pub async fn close(self) {
        if let Err(error) = self.inner.close().await {
            tracing::warn!("closing the database: {error}");
        }
    }
}

async fn rows(
    connection: &mut SqliteConnection,
    query: Query<'static, Sqlite, SqliteArguments>,
    statement: &Statement,
) -> Result<Outcome, DbError> {
    let mut collected = Collected::of(statement);
    let mut columns = Vec::new();
    let mut found = query.fetch(connection);
    while let Some(row) = found.try_next().await? {
        if columns.is_empty() && statement.fence.is_some() {
            columns = row.columns().iter().map(described).collect();
        }
        collected.push(read_row(&row)?)?;
    }
    Ok(Outcome { columns, rows: collected.rows, changed: 0 })
}

async fn count(
    connection: &mut SqliteConnection,
    query: Query<'static, Sqlite, SqliteArguments>,
) -> Result<Outcome, DbError> {
    let changed = query.execute(connection).await?.rows_affected();
    Ok(Outcome { changed, ..Outcome::default() })
}

fn described(column: &sqlx::sqlite::SqliteColumn) -> ResultColumn {
    let origin = match column.origin() {
        ColumnOrigin::Table(origin) => {
            // The table may be qualified with the database, which is always the main one.
            let table = origin.table.rsplit('.').next().unwrap_or_default().to_owned();
            Some((table, origin.name.to_string()))
        }
        ColumnOrigin::Expression | ColumnOrigin::Unknown => None,
    };
    ResultColumn { name: column.name().to_owned(), origin }
}

/// The one place where SQL text reaches SQLite's driver. It was written by sea-query, checked and
/// written again from its syntax tree, or is a constant: no value from outside is in it.
fn query(statement: &Statement) -> Result<Query<'static, Sqlite, SqliteArguments>, DbError> {
    let count = statement.values.len();
    if count > MAX_BOUND_VALUES {
        return Err(DbError::invalid(format!(
            "a statement takes at most {MAX_BOUND_VALUES} values, this one has {count}: split it"
        )));
    }
    let mut arguments = SqliteArguments::default();
    arguments.reserve(count, 0);
    for value in &statement.values {
        bind(&mut arguments, value)?;
    }
    let sql = AssertSqlSafe(Arc::clone(&statement.sql));
    Ok(sqlx::query_with(sql, arguments).persistent(statement.kept))
}

fn bind(arguments: &mut SqliteArguments, value: &sea_query::Value) -> Result<(), DbError> {
    use sea_query::Value as V;
    let bound = match value {
        V::Bool(v) => arguments.add(*v),
        V::Int(v) => arguments.add(*v),
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

fn read_row(row: &SqliteRow) -> Result<Row, DbError> {
    (0..row.len()).map(|i| read_cell(row, i)).collect()
}

fn read_cell(row: &SqliteRow, index: usize) -> Result<Cell, DbError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Cell::Null);
    }
    let ty = raw.type_info().into_owned();
    let cell = match ty.name() {
        "INTEGER" => Decode::<Sqlite>::decode(raw).map(Cell::Int),
        "REAL" => Decode::<Sqlite>::decode(raw).map(Cell::Real),
        "BLOB" => Decode::<Sqlite>::decode(raw).map(Cell::Blob),
        _ => Decode::<Sqlite>::decode(raw).map(Cell::Text),
    };
    cell.map_err(unreadable)
}
