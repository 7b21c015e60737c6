//! The one writer, which commits statements that wait together.
//!
//! A commit costs as much as many inserts. Statements that come by themselves, outside of any
//! transaction, queue here; what has gathered while one was running is run in one transaction and
//! answered after its commit. A statement that fails takes nothing but itself back: that is how
//! SQLite treats every statement.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::Pool;
use crate::store::cell::{Outcome, Want};
use crate::store::{DbError, DbErrorKind, Statement, pool};

/// How many statements may wait. More wait to be allowed to wait.
const QUEUE: usize = 1_024;
/// The most statements that are committed together.
const MOST_TOGETHER: usize = 256;
/// How long statements are added to a transaction, so that the first of them is not kept too long.
const GATHERING: Duration = Duration::from_millis(10);

struct Job {
    statement: Statement,
    want: Want,
    deadline: Instant,
    /// How long it waits for the connection at the longest.
    until: Instant,
    reply: oneshot::Sender<Result<Outcome, DbError>>,
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    wait: Duration,
}

impl Writer {
    /// Starts the task that writes through `pool`, which has one connection. It ends when the last
    /// way to it is dropped.
    pub fn start(pool: Pool, wait: Duration) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        tokio::spawn(write(pool, queue));
        Writer { jobs, wait }
    }

    /// Runs a statement and waits until it is committed. If the caller stops waiting, it is run all
    /// the same unless its turn has not come yet.
    pub async fn run(
        &self,
        statement: Statement,
        want: Want,
        deadline: Instant,
    ) -> Result<Outcome, DbError> {
        let (reply, answer) = oneshot::channel();
        let closed = || DbError::new(DbErrorKind::Internal, "the database is closed");
        let until = deadline.min(Instant::now() + self.wait);
        let job = Job { statement, want, deadline, until, reply };
        let queued = tokio::time::timeout_at(until.into(), self.jobs.send(job)).await;
        queued.map_err(|_| pool::busy())?.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

async fn write(pool: Pool, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.recv().await {
        let mut connection = match pool::get(&pool, first.until).await {
            Ok(connection) => connection,
            Err(error) => {
                // Whoever asked hears it; a caller that is gone need not.
                let _ = first.reply.send(Err(error));
                continue;
            }
        };
        if queue.is_empty() {
            run_alone(&mut connection, first).await;
        } else {
            run_together(&mut connection, first, &mut queue).await;
        }
    }
}

async fn run_alone(connection: &mut super::Connection, job: Job) {
    let Some(job) = wanted(job) else { return };
    let outcome = connection.run(&job.statement, job.want, job.deadline).await;
    let _ = job.reply.send(outcome);
}

async fn run_together(
    connection: &mut super::Connection,
    first: Job,
    queue: &mut mpsc::Receiver<Job>,
) {
    if let Err(error) = connection.command("BEGIN IMMEDIATE").await {
        let _ = first.reply.send(Err(error));
        return;
    }
    let start = Instant::now();
    let mut done: Vec<(Job, Result<Outcome, DbError>)> = Vec::new();
    let mut next = Some(first);
    let mut failed = None;
    while let Some(job) = next {
        if let Some(job) = wanted(job) {
            let outcome = connection.run(&job.statement, job.want, job.deadline).await;
            if outcome.as_ref().is_err_and(|error| error.ends_transaction) {
                failed = outcome.err().map(|error| (job, error));
                break;
            }
            done.push((job, outcome));
        }
        let goes_on = done.len() < MOST_TOGETHER && start.elapsed() < GATHERING;
        next = if goes_on { queue.try_recv().ok() } else { None };
    }
    if let Some((job, error)) = failed {
        // SQLite has taken back the whole transaction because of this one. The others, which have
        // not been answered, are run again, each by itself.
        connection.roll_back().await;
        let _ = job.reply.send(Err(error));
        for (job, _) in done {
            run_alone(connection, job).await;
        }
        return;
    }
    match connection.command("COMMIT").await {
        Ok(()) => {
            for (job, outcome) in done {
                let _ = job.reply.send(outcome);
            }
        }
        Err(error) => {
            connection.roll_back().await;
            let error = Arc::new(error);
            for (job, _) in done {
                let _ = job.reply.send(Err(DbError::clone(&error)));
            }
        }
    }
}

/// The job, if anybody still waits for it and there is time left.
fn wanted(job: Job) -> Option<Job> {
    if job.reply.is_closed() {
        return None;
    }
    if Instant::now() >= job.deadline {
        let _ = job.reply.send(Err(pool::busy()));
        return None;
    }
    Some(job)
}
