//! What a connection's callbacks look at while a statement runs: the deadline and the fence.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::store::statement::Fence;

/// Deadlines are counted from here, so that one fits into an atomic.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Written by whoever runs a statement, read on SQLite's thread. A connection runs one statement at a
/// time.
#[derive(Debug)]
pub struct Control {
    /// Nanoseconds since [`START`].
    deadline: AtomicU64,
    fence: Mutex<Option<Arc<Fence>>>,
}

impl Default for Control {
    fn default() -> Self {
        Control { deadline: AtomicU64::new(u64::MAX), fence: Mutex::new(None) }
    }
}

impl Control {
    pub fn begin(&self, deadline: Instant, fence: Option<Arc<Fence>>) {
        let nanos = deadline.saturating_duration_since(*START).as_nanos();
        self.deadline.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
        *self.fence.lock() = fence;
    }

    /// Leaves the running statement no time.
    pub fn stop(&self) {
        self.deadline.store(0, Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.deadline.store(u64::MAX, Ordering::Relaxed);
        *self.fence.lock() = None;
    }

    /// Whether the running statement has no time left.
    pub fn is_over(&self) -> bool {
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline != u64::MAX && START.elapsed().as_nanos() >= u128::from(deadline)
    }

    /// Whether the running statement may do what SQLite is about to compile into it. The parameters
    /// are those of SQLite's authorizer.
    pub fn allows(&self, action: i32, first: &str, second: &str) -> bool {
        use libsqlite3_sys as ffi;
        let fence = self.fence.lock();
        let Some(fence) = fence.as_ref() else { return true };
        let own = |name: &str| fence.tables.iter().any(|table| table == name);
        match action {
            ffi::SQLITE_SELECT | ffi::SQLITE_RECURSIVE => true,
            ffi::SQLITE_READ => {
                let is_function = matches!(first, "json_each" | "json_tree");
                // Reading no column in particular of a subquery, as count(*) does.
                let is_subquery = second.is_empty()
                    && fence.subqueries.iter().any(|s| s.eq_ignore_ascii_case(first));
                own(first) || is_function || is_subquery
            }
            ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => own(first),
            ffi::SQLITE_FUNCTION => fence.functions.is_some_and(|allowed| allowed(second)),
            _ => false,
        }
    }
}
