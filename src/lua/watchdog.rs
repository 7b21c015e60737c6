//! Preemption and deadlines for code that does not wait.
//!
//! Luau calls an *interrupt* function, if one is set, at every loop iteration and call. Keeping one
//! set makes tight loops several times slower. So a watchdog thread looks every millisecond at
//! which OS threads are inside a VM, and sets the interrupt pointer of a VM that has run for a
//! whole [`SLICE`]. The interrupt then yields the coroutine, so that other tasks get the thread; if
//! the call's deadline has passed, the host drops the coroutine instead of resuming it.
//!
//! Not everything can be suspended: a metamethod, a comparator or a pattern cannot. Then the thread
//! is given up instead: the runtime continues its other tasks on another one. And at the deadline an
//! error is raised.
//!
//! The pointer is set under the same lock that [`Running`] takes when it leaves the VM, so it is
//! never set for a VM that nobody runs, nor for one that was freed.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, LazyLock, Weak};
use std::thread;
use std::time::{Duration, Instant};
use std::{mem, ptr};

use mlua::{Lua, Thread, VmState, ffi};
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

/// How long a call may hold a VM and its thread before others get a turn.
pub const SLICE: Duration = Duration::from_millis(1);

/// After this many slices in which no VM ran, the watchdog sleeps until one runs again.
const IDLE_SLICES: u32 = 50;

/// What the interrupt raises when a call's deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the call's time limit has passed")]
pub struct DeadlinePassed;

/// The part of a VM that the watchdog and the interrupt share.
#[derive(Debug)]
pub struct Interrupt {
    /// The address of `lua_Callbacks::interrupt` in the VM's global state.
    slot: *const AtomicPtr<c_void>,
    shared: Arc<Shared>,
}

/// mlua's own interrupt function, which calls the closure that [`Interrupt::install`] sets. It is
/// the same for every VM.
static TRAMPOLINE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    /// The coroutine that was interrupted last on this thread; null if it cannot be suspended.
    static SUSPENDABLE: Cell<*mut ffi::lua_State> = const { Cell::new(ptr::null_mut()) };
}

/// What Luau calls when the interrupt is armed.
unsafe extern "C-unwind" fn interrupted(state: *mut ffi::lua_State, gc: c_int) {
    type Trampoline = unsafe extern "C-unwind" fn(*mut ffi::lua_State, c_int);
    // SAFETY: Luau gives the running coroutine.
    let is_yieldable = unsafe { ffi::lua_isyieldable(state) } != 0;
    SUSPENDABLE.set(if is_yieldable { state } else { ptr::null_mut() });
    let trampoline = TRAMPOLINE.load(Ordering::Relaxed);
    // SAFETY: it was stored before this function was first armed, from a field of this very type,
    // which `Interrupt::install` has checked not to be null.
    unsafe { mem::transmute::<*mut c_void, Trampoline>(trampoline)(state, gc) }
}

/// Lets the runtime go on with the other tasks of this worker on another thread, if it can.
fn give_up_worker() {
    let is_worker = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_worker {
        // The worker goes to whichever thread takes it while this one blocks.
        tokio::task::block_in_place(|| thread::sleep(SLICE));
    }
}

#[derive(Debug, Default)]
struct Shared {
    /// Nanoseconds since [`EPOCH`] at which the running call must end.
    deadline: AtomicU64,
    /// Whether the deadline was enforced since the flag was last taken.
    fired: AtomicBool,
    /// Whether the call was suspended to give others a turn.
    paused: AtomicBool,
    /// How often this visit has tried to give up its worker.
    given_up: AtomicU32,
}

/// How often a visit tries to give up its worker: no thread may be free to take it at once.
const TRIES: u32 = 3;

// SAFETY: `slot` points into the VM's global state, which outlives the `Interrupt` (the `Vm` owns
// both and drops the Lua state last), and it is only ever used through the atomic.
unsafe impl Send for Interrupt {}
// SAFETY: as above; all shared access is atomic.
unsafe impl Sync for Interrupt {}

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Whether the VM is in mlua's loop that polls what a call waits for. It is short, and the only one
/// that can drop what an abandoned call has waited for, such as a database connection.
fn in_poller(lua: &Lua) -> bool {
    // Scripts are named after their files, so none has this name.
    lua.inspect_stack(0, |frame| frame.source().source.as_deref() == Some("=__mlua_async_poll"))
        .unwrap_or(false)
}

fn since_epoch(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(*EPOCH).as_nanos()).unwrap_or(u64::MAX)
}

impl Shared {
    fn is_expired(&self) -> bool {
        let is_expired = since_epoch(Instant::now()) >= self.deadline.load(Ordering::Relaxed);
        if is_expired {
            self.fired.store(true, Ordering::Relaxed);
        }
        is_expired
    }

    fn give_up_worker(&self) {
        if self.given_up.fetch_add(1, Ordering::Relaxed) < TRIES {
            give_up_worker();
        }
    }
}

/// Marks a coroutine that was suspended by the interrupt and not by itself.
const PREEMPTED: *mut c_void = ptr::dangling_mut::<u8>().cast();

/// Says, once for each time, whether a coroutine's suspension is a preemption.
pub fn was_preempted(thread: &Thread) -> bool {
    let state = thread.state();
    // SAFETY: the coroutine is alive as long as the handle, and its VM is entered by the caller.
    unsafe {
        let was_preempted = ffi::lua_getthreaddata(state) == PREEMPTED;
        ffi::lua_setthreaddata(state, ptr::null_mut());
        was_preempted
    }
}

/// For host code that does much work inside a VM, which no interrupt reaches: call it now and then.
///
/// # Errors
/// When the running call's deadline has passed.
pub fn check(lua: &Lua) -> Result<(), DeadlinePassed> {
    // A VM without a watchdog has no deadline.
    let Some(shared) = lua.app_data_ref::<Arc<Shared>>() else { return Ok(()) };
    if shared.is_expired() {
        return Err(DeadlinePassed);
    }
    shared.give_up_worker();
    Ok(())
}

impl Interrupt {
    /// Installs the interrupt in `lua`, disarmed.
    pub fn install(lua: &Lua) -> Interrupt {
        LazyLock::force(&EPOCH);
        let shared = Arc::new(Shared::default());
        lua.set_app_data(Arc::clone(&shared));
        let seen = Arc::clone(&shared);
        // The slot is not known before mlua has set it, and the closure must clear it.
        let address = Arc::new(AtomicPtr::<AtomicPtr<c_void>>::new(ptr::null_mut()));
        let own_slot = Arc::clone(&address);
        lua.set_interrupt(move |lua| {
            if in_poller(lua) {
                return Ok(VmState::Continue);
            }
            let suspendable = SUSPENDABLE.get();
            if !suspendable.is_null() {
                // SAFETY: it is the coroutine that runs, and nothing else uses its data pointer.
                unsafe { ffi::lua_setthreaddata(suspendable, PREEMPTED) };
            }
            if seen.is_expired() {
                // A suspended call is dropped at once. An error would go through every `pcall` on
                // its way, and each may go on until its own next step.
                if !suspendable.is_null() {
                    return Ok(VmState::Yield);
                }
                return Err(mlua::Error::external(DeadlinePassed));
            }
            let slot = own_slot.load(Ordering::Relaxed);
            if !slot.is_null() {
                // SAFETY: this runs inside the VM that the slot is part of.
                unsafe { (*slot).store(ptr::null_mut(), Ordering::Relaxed) };
            }
            if suspendable.is_null() {
                seen.give_up_worker();
                return Ok(VmState::Continue);
            }
            seen.paused.store(true, Ordering::Relaxed);
            Ok(VmState::Yield)
        });
        let state = lua.state();
        // SAFETY: `state` is a live state of this VM and nothing runs in it yet. The field is a
        // nullable function pointer, which has the size and alignment of `AtomicPtr`. Luau
        // documents that it may be set from another thread.
        let (slot, trampoline) = unsafe {
            let field = &raw mut (*ffi::lua_callbacks(state)).interrupt;
            let slot: *const AtomicPtr<c_void> = field.cast();
            (slot, (*slot).swap(ptr::null_mut(), Ordering::SeqCst))
        };
        assert!(!trampoline.is_null(), "mlua has set no interrupt");
        TRAMPOLINE.store(trampoline, Ordering::SeqCst);
        address.store(slot.cast_mut(), Ordering::Relaxed);
        Interrupt { slot, shared }
    }

    fn arm(&self) {
        // SAFETY: see the `Send` implementation.
        unsafe { (*self.slot).store(interrupted as *mut c_void, Ordering::SeqCst) };
    }

    fn disarm(&self) {
        // SAFETY: see the `Send` implementation.
        unsafe { (*self.slot).store(ptr::null_mut(), Ordering::SeqCst) };
    }

    /// Marks the current thread as running this VM until the guard is dropped.
    pub fn enter<'a>(&'a self, deadline: Instant) -> Running<'a> {
        self.shared.deadline.store(since_epoch(deadline), Ordering::Relaxed);
        let previous = SEAT.with_borrow(|seat| seat.0.sit(Some(Target(ptr::from_ref(self)))));
        WATCHDOG.wake();
        Running { interrupt: self, previous }
    }
}

/// Proof that the current thread runs a VM. See [`Interrupt::enter`].
#[must_use]
pub struct Running<'a> {
    interrupt: &'a Interrupt,
    previous: Option<Target>,
}

impl Running<'_> {
    /// Whether the deadline was enforced since the VM was entered, even if the script caught the error.
    pub fn deadline_fired(&self) -> bool {
        self.interrupt.shared.fired.swap(false, Ordering::Relaxed)
    }

    /// Whether the call was suspended, since the VM was entered, to give others a turn.
    pub fn preempted(&self) -> bool {
        self.interrupt.shared.paused.swap(false, Ordering::Relaxed)
    }

    /// Makes whatever the VM still runs before the guard is dropped fail at its next step.
    pub fn expire(&self) {
        self.interrupt.shared.deadline.store(0, Ordering::Relaxed);
        self.interrupt.arm();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let previous = self.previous.take();
        SEAT.with_borrow(|seat| seat.0.sit(previous));
        self.interrupt.disarm();
        self.interrupt.shared.fired.store(false, Ordering::Relaxed);
        self.interrupt.shared.paused.store(false, Ordering::Relaxed);
        self.interrupt.shared.given_up.store(0, Ordering::Relaxed);
    }
}

/// The VM that a thread is in. Only dereferenced under the seat's lock, while the [`Running`] that
/// put it there exists.
#[derive(Clone, Copy)]
struct Target(*const Interrupt);

// SAFETY: see `Target`.
unsafe impl Send for Target {}

/// One OS thread's place in the watchdog's list.
#[derive(Default)]
struct Seat(Mutex<Occupancy>);

#[derive(Default)]
struct Occupancy {
    target: Option<Target>,
    /// Changes whenever the target does, so that the watchdog can tell a long stay from many.
    visits: u64,
    /// `visits` when the watchdog last looked.
    seen: u64,
}

impl Seat {
    /// Replaces the target and returns the one before it.
    fn sit(&self, target: Option<Target>) -> Option<Target> {
        let mut occupancy = self.0.lock();
        occupancy.visits += 1;
        std::mem::replace(&mut occupancy.target, target)
    }

    /// Arms the interrupt of a VM that has been run for a whole slice. Says whether one runs.
    fn look(&self) -> bool {
        let mut occupancy = self.0.lock();
        let Some(target) = occupancy.target else { return false };
        if occupancy.seen == occupancy.visits {
            // SAFETY: the `Running` that put the target here removes it under this lock before the
            // reference it was made from ends.
            unsafe { (*target.0).arm() };
        }
        occupancy.seen = occupancy.visits;
        true
    }
}

struct OwnSeat(Arc<Seat>);

impl OwnSeat {
    fn take() -> RefCell<OwnSeat> {
        let seat = Arc::new(Seat::default());
        WATCHDOG.seats.lock().push(Arc::downgrade(&seat));
        RefCell::new(OwnSeat(seat))
    }
}

thread_local! {
    static SEAT: RefCell<OwnSeat> = OwnSeat::take();
}

struct Watchdog {
    seats: Mutex<Vec<Weak<Seat>>>,
    asleep: AtomicBool,
    thread: Mutex<Option<thread::Thread>>,
}

static WATCHDOG: LazyLock<Watchdog> = LazyLock::new(|| Watchdog {
    seats: Mutex::default(),
    asleep: AtomicBool::new(true),
    thread: Mutex::new(None),
});

impl Watchdog {
    fn wake(&self) {
        // Pairs with the fence in `watch`: either this load sees the sleeping flag, or the last
        // look before sleeping sees the seat that was taken before this fence.
        fence(Ordering::SeqCst);
        if !self.asleep.load(Ordering::Relaxed) {
            return;
        }
        let mut thread = self.thread.lock();
        match &*thread {
            Some(thread) => thread.unpark(),
            None => {
                let spawned =
                    thread::Builder::new().name("lua-watchdog".into()).spawn(|| WATCHDOG.watch());
                match spawned {
                    Ok(handle) => *thread = Some(handle.thread().clone()),
                    // Tried again at the next call; without it only waiting calls have deadlines.
                    Err(error) => tracing::error!(%error, "cannot start the watchdog thread"),
                }
            }
        }
    }

    fn look(&self) -> bool {
        let mut running = false;
        self.seats.lock().retain(|seat| match seat.upgrade() {
            Some(seat) => {
                running |= seat.look();
                true
            }
            None => false,
        });
        running
    }

    fn watch(&self) {
        let mut idle = 0;
        loop {
            self.asleep.store(false, Ordering::Relaxed);
            thread::sleep(SLICE);
            idle = if self.look() { 0 } else { idle + 1 };
            if idle < IDLE_SLICES {
                continue;
            }
            self.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if !self.look() {
                thread::park();
            }
            idle = 0;
        }
    }
}
