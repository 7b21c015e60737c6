//! Who may be in a VM.
//!
//! mlua blocks a thread that enters a VM which another thread is in. A gate in front of it lets a
//! task wait instead, so that a VM that is stuck in a long library call stalls its own callers and
//! not the server's worker threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

/// How often a thread looks at a taken gate before it turns to another task. Most calls are over
/// within a few microseconds, and going through the scheduler costs more than that.
const SPINS: u32 = 200;

/// How long a thread waits to drop what belongs to the VM. A holder is preempted long before.
const FAREWELL: Duration = Duration::from_millis(250);

/// A lock that is held during one poll of a future, and that tasks can wait for.
#[derive(Debug, Default)]
pub struct Gate {
    lock: Mutex<()>,
    waiting: Mutex<Vec<Waker>>,
    anyone_waiting: AtomicBool,
}

/// The right to be in the VM, until dropped.
pub struct Pass<'a> {
    gate: &'a Gate,
    guard: Option<MutexGuard<'a, ()>>,
}

impl Gate {
    /// Enters, or registers the task to be woken when it may try again.
    pub fn enter(&self, cx: &Context<'_>) -> Option<Pass<'_>> {
        if let Some(guard) = self.spin() {
            return Some(Pass { gate: self, guard: Some(guard) });
        }
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        self.anyone_waiting.store(true, Ordering::SeqCst);
        drop(waiting);
        // The holder may have left between the first try and the registration.
        let guard = self.lock.try_lock()?;
        Some(Pass { gate: self, guard: Some(guard) })
    }

    fn spin(&self) -> Option<MutexGuard<'_, ()>> {
        for _ in 0..SPINS {
            if !self.lock.is_locked()
                && let Some(guard) = self.lock.try_lock()
            {
                return Some(guard);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// Enters, blocking the thread if need be: for dropping values of the VM, which cannot be put off.
    /// `None` when the holder does not leave for a long time, or is this very thread.
    pub fn enter_blocking(&self) -> Option<Pass<'_>> {
        let guard = self.lock.try_lock_for(FAREWELL)?;
        Some(Pass { gate: self, guard: Some(guard) })
    }

    /// Whether somebody is in the VM right now.
    pub fn is_busy(&self) -> bool {
        self.lock.is_locked()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        drop(self.guard.take());
        if self.gate.anyone_waiting.swap(false, Ordering::SeqCst) {
            let waiting = std::mem::take(&mut *self.gate.waiting.lock());
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
