//! Pools of connections: a connection in time, or an error that says that there was none.

use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Manager, Object, Pool, PoolError, Timeouts};

use super::{DbError, DbErrorKind};
use crate::error::{Error, Result};

/// How long closing waits for statements that are running.
const CLOSING: Duration = Duration::from_secs(10);

/// A pool of at most `size` connections, made when they are needed.
pub fn new<M: Manager>(manager: M, size: usize) -> Result<Pool<M>> {
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|e| Error::unexpected(format!("cannot make a pool of connections: {e}")))
}

/// A connection, waiting for one until `until` at the longest.
///
/// # Errors
/// `busy` when none is free in time, or none can be made.
pub async fn get<M>(pool: &Pool<M>, until: Instant) -> Result<Object<M>, DbError>
where
    M: Manager<Error = sqlx::Error>,
{
    let left = Some(until.saturating_duration_since(Instant::now()));
    let timeouts = Timeouts { wait: left, create: left, recycle: left };
    pool.timeout_get(&timeouts).await.map_err(|error| match error {
        PoolError::Timeout(_) => busy(),
        PoolError::Closed => DbError::new(DbErrorKind::Internal, "the database is closed"),
        PoolError::Backend(error) => match DbError::from(error) {
            error if error.lost => error,
            error => DbError { kind: DbErrorKind::Busy, ..error },
        },
        other => DbError::new(DbErrorKind::Internal, other.to_string()),
    })
}

/// The error of a connection that did not become free in time.
pub fn busy() -> DbError {
    let message = "no database connection was free in time; if this happens often, raise \
                   database-connections or shorten transactions";
    DbError::new(DbErrorKind::Busy, message)
}

/// Closes the pool and its connections, those in use when they come back.
pub async fn close<M, F>(pool: &Pool<M>, close: impl Fn(M::Type) -> F)
where
    M: Manager<Error = sqlx::Error>,
    F: Future<Output = ()>,
{
    // One after another they are taken out; what does not come back in time is left to its user.
    let until = Instant::now() + CLOSING;
    while pool.status().size > 0 {
        let timeouts = Timeouts {
            wait: Some(until.saturating_duration_since(Instant::now())),
            create: Some(Duration::ZERO),
            recycle: None,
        };
        match pool.timeout_get(&timeouts).await {
            Ok(connection) => close(Object::take(connection)).await,
            Err(_) => break,
        }
    }
    pool.close();
}
