//! Short reads, run where they are asked for.
//!
//! A read by key takes some microseconds, and handing it to a thread and back takes ten times as
//! long. So a statement that only reads is first tried right here. One that is not over soon is
//! stopped and asked again in the ordinary way, on a thread of its own; so is one that fails, for
//! its error.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::types::{Null, ValueRef};
use rusqlite::{Connection, OpenFlags};

use super::connection::INSTRUCTIONS_PER_LOOK;
use super::control::Control;
use super::{DECIMAL_COLLATION, native};
use crate::store::cell::{Cell, Collected, Outcome, Row};
use crate::store::{Statement, decimal};

/// How long a task of the runtime may be kept from its thread.
const BUDGET: Duration = Duration::from_millis(1);
/// How many prepared statements a connection keeps.
const KEPT_STATEMENTS: usize = 200;

/// Connections for short reads. Each is used by one thread at a time, for a moment.
pub struct Quick {
    idle: Mutex<Vec<Reader>>,
}

struct Reader {
    connection: Connection,
    control: Arc<Control>,
}

impl Quick {
    /// Opens connections to a database that exists.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, count: usize) -> Result<Self, String> {
        let readers = (0..count).map(|_| Reader::open(path)).collect::<Result<_, _>>()?;
        Ok(Quick { idle: Mutex::new(readers) })
    }

    /// None at all, for a database in memory.
    pub fn none() -> Self {
        Quick { idle: Mutex::default() }
    }

    /// The rows of a statement, if it is over soon and nothing is wrong with it.
    pub fn read(&self, statement: &Statement) -> Option<Outcome> {
        // One that is not kept would be prepared anew each time; a fence is not watched here.
        if statement.writes || !statement.kept || statement.fence.is_some() {
            return None;
        }
        let reader = self.idle.lock().pop()?;
        let outcome = reader.read(statement);
        self.idle.lock().push(reader);
        outcome
    }

    /// Closes the connections that are idle, which is all of them once nobody reads any more.
    pub fn close(&self) {
        self.idle.lock().clear();
    }
}

impl Reader {
    fn open(path: &Path) -> Result<Self, String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.create_collation(DECIMAL_COLLATION, decimal::compare)?;
            // Whoever would have to wait goes the ordinary way.
            connection.busy_timeout(Duration::ZERO)?;
            connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
            Ok(connection)
        });
        let connection = opened.map_err(|error| error.to_string())?;
        let control = Arc::<Control>::default();
        // SAFETY: the connection is open and nobody else has it.
        unsafe { native::set_up(connection.handle(), &control) }.map_err(|e| e.to_string())?;
        let clock = Arc::clone(&control);
        connection
            .progress_handler(INSTRUCTIONS_PER_LOOK, Some(move || clock.is_over()))
            .map_err(|error| error.to_string())?;
        Ok(Reader { connection, control })
    }

    fn read(&self, statement: &Statement) -> Option<Outcome> {
        self.control.begin(Instant::now() + BUDGET, None);
        let rows = self.rows(statement);
        self.control.end();
        Some(Outcome { rows: rows?, ..Outcome::default() })
    }

    fn rows(&self, statement: &Statement) -> Option<Vec<Row>> {
        let mut prepared = self.connection.prepare_cached(&statement.sql).ok()?;
        if prepared.parameter_count() != statement.values.len() {
            return None;
        }
        for (i, value) in statement.values.iter().enumerate() {
            bind(&mut prepared, i + 1, value)?;
        }
        let columns = prepared.column_count();
        let mut collected = Collected::of(statement);
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().ok()? {
            let mut cells = Vec::with_capacity(columns);
            for i in 0..columns {
                cells.push(cell(row.get_ref(i).ok()?)?);
            }
            collected.push(cells).ok()?;
        }
        Some(collected.rows)
    }
}

fn bind(
    statement: &mut rusqlite::CachedStatement<'_>,
    index: usize,
    value: &sea_query::Value,
) -> Option<()> {
    use sea_query::Value as V;
    let bound = match value {
        V::Bool(v) => statement.raw_bind_parameter(index, v),
        V::Int(v) => statement.raw_bind_parameter(index, v),
        V::BigInt(v) => statement.raw_bind_parameter(index, v),
        // sea-query writes LIMIT and OFFSET with this type.
        V::BigUnsigned(v) => {
            let v = v.map(|v| i64::try_from(v).unwrap_or(i64::MAX));
            statement.raw_bind_parameter(index, v)
        }
        V::Double(v) => statement.raw_bind_parameter(index, v),
        V::String(Some(v)) => statement.raw_bind_parameter(index, v.as_str()),
        V::Bytes(Some(v)) => statement.raw_bind_parameter(index, v.as_slice()),
        V::String(None) | V::Bytes(None) => statement.raw_bind_parameter(index, Null),
        _ => return None,
    };
    bound.ok()
}

fn cell(value: ValueRef<'_>) -> Option<Cell> {
    Some(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(i) => Cell::Int(i),
        ValueRef::Real(f) => Cell::Real(f),
        ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text).ok()?.to_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    })
}
