//! One sandboxed VM and how calls run in it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use mlua::{Function, Lua, LuaOptions, StdLib};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::bridge;
use super::error::{ScriptError, ScriptErrorKind};
use super::gate::Gate;
use super::modules::Modules;
use super::require::SyntaxFailure;
use super::sandbox;
use super::watchdog::Interrupt;

/// How many finished coroutines a VM keeps for reuse.
const POOLED_COROUTINES: usize = 32;

/// The most that one `print` shows, in bytes.
const MAX_PRINTED: usize = 16 * 1024;

/// What a VM may use.
#[derive(Debug, Clone, Copy)]
pub struct VmOptions {
    /// In bytes, for everything in the VM.
    pub memory: usize,
}

/// A sandboxed Luau VM with the modules of one plugin generation.
///
/// Every use of the VM, the dropping of its values included, happens inside a future given to
/// [`Vm::run`]: mlua leaks references that are dropped while another thread is in the VM.
#[derive(Debug)]
pub struct Vm {
    // Before `lua`, so that it is dropped first: it points into the VM.
    interrupt: Interrupt,
    import: Function,
    lua: Lua,
    gate: Gate,
    discarded: AtomicBool,
}

/// A VM with the libraries that the sandbox starts from.
pub(super) fn bare() -> mlua::Result<Lua> {
    let libraries = StdLib::TABLE
        | StdLib::STRING
        | StdLib::UTF8
        | StdLib::MATH
        | StdLib::OS
        | StdLib::COROUTINE
        | StdLib::BIT
        | StdLib::BUFFER;
    Lua::new_with(libraries, LuaOptions::new().thread_pool_size(POOLED_COROUTINES))
}

impl Vm {
    /// A fresh VM in which nothing has run but our own prelude. `print` receives what scripts print.
    ///
    /// # Errors
    /// When the memory limit does not even suffice for the libraries.
    pub fn new(
        options: VmOptions,
        modules: Arc<Modules>,
        print: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Vm, ScriptError> {
        let made = (|| {
            let lua = bare()?;
            let log = lua.create_function(move |_, text: mlua::LuaString| {
                print(bridge::shown(&text, MAX_PRINTED));
                Ok(())
            })?;
            let interrupt = Interrupt::install(&lua);
            let import = sandbox::install(&lua, modules, log)?;
            lua.set_memory_limit(options.memory)?;
            let (gate, discarded) = (Gate::default(), AtomicBool::new(false));
            Ok(Vm { interrupt, import, lua, gate, discarded })
        })();
        made.map_err(|error: mlua::Error| ScriptError::from_mlua(&error))
    }

    /// The VM's handle, for use inside [`Vm::run`] only.
    pub fn lua(&self) -> &Lua {
        &self.lua
    }

    /// The function that runs a module by its key, once, and gives what it returned.
    pub fn import(&self) -> &Function {
        &self.import
    }

    /// Whether the VM was given up after a deadline, an out-of-memory or a panic.
    pub fn is_discarded(&self) -> bool {
        self.discarded.load(Ordering::Relaxed)
    }

    /// Whether somebody is in the VM right now.
    pub fn is_busy(&self) -> bool {
        self.gate.is_busy()
    }

    /// Bytes in use by the VM.
    pub fn used_memory(&self) -> usize {
        self.lua.used_memory()
    }

    /// Drops what belongs to the VM when no other call is in it. Whatever Lua still runs while it
    /// is dropped is cut off.
    fn drop_in_turn(&self, drop_it: impl FnOnce()) {
        let pass = self.gate.enter_blocking();
        // Without the pass another call is running, which must not be cut off in its place.
        let running = pass.as_ref().map(|_| self.interrupt.enter(Instant::now()));
        if let Some(running) = &running {
            running.expire();
        }
        drop_it();
    }

    /// Runs a future that uses the VM, to its end or to the deadline, whichever comes first.
    ///
    /// A call that computes is suspended every millisecond so that other tasks run, and one that
    /// waits leaves the VM to other calls. At the deadline the call is dropped and the VM is
    /// discarded.
    ///
    /// # Errors
    /// Whatever the script raised; a passed deadline even if the script caught the error.
    pub fn run<T, F>(&self, deadline: Instant, call: F) -> Run<'_, F>
    where
        F: Future<Output = mlua::Result<T>>,
    {
        Run { vm: self, deadline, sleep: None, pause: None, call: Some(call) }
    }
}

pin_project! {
    /// The future of [`Vm::run`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Run<'a, F> {
        vm: &'a Vm,
        deadline: Instant,
        // Made when the call first waits: most calls never do.
        sleep: Option<Pin<Box<Sleep>>>,
        // Set when the call was preempted: other tasks and the I/O driver come first.
        pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        // `None` once it has ended.
        #[pin]
        call: Option<F>,
    }

    impl<'a, F> PinnedDrop for Run<'a, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.call.is_some() {
                // Abandoned by its caller.
                let vm: &Vm = this.vm;
                vm.drop_in_turn(|| this.call.set(None));
            }
        }
    }
}

impl<T, F> Future for Run<'_, F>
where
    F: Future<Output = mlua::Result<T>>,
{
    type Output = Result<T, ScriptError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let vm: &Vm = this.vm;
        if let Some(pause) = this.pause {
            ready!(pause.as_mut().poll(cx));
            *this.pause = None;
        }
        if let Some(pass) = vm.gate.enter(cx) {
            let Some(call) = this.call.as_mut().as_pin_mut() else { return Poll::Pending };
            let running = vm.interrupt.enter(*this.deadline);
            let polled = catch_unwind(AssertUnwindSafe(|| call.poll(cx)));
            let outcome = match polled {
                _ if running.deadline_fired() => Some(Err(deadline_error())),
                Ok(Poll::Ready(result)) => Some(result.map_err(|error| script_error(&error))),
                Ok(Poll::Pending) if Instant::now() >= *this.deadline => {
                    Some(Err(deadline_error()))
                }
                Ok(Poll::Pending) => None,
                Err(panic) => Some(Err(ScriptError::new(ScriptErrorKind::Panic(text_of(&*panic))))),
            };
            if let Some(outcome) = outcome {
                if outcome.as_ref().is_err_and(ScriptError::is_fatal) {
                    vm.discarded.store(true, Ordering::Relaxed);
                    running.expire();
                }
                this.call.set(None);
                drop(running);
                drop(pass);
                return Poll::Ready(outcome);
            }
            if running.preempted() {
                // mlua has woken the task, which would run again before any timer or socket is
                // looked at; `yield_now` comes after those.
                *this.pause = Some(Box::pin(tokio::task::yield_now()));
                return Poll::Pending;
            }
        }
        let sleep = this
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until((*this.deadline).into())));
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        // The deadline passed while the call waited, or while another call held the VM.
        vm.discarded.store(true, Ordering::Relaxed);
        vm.drop_in_turn(|| this.call.set(None));
        Poll::Ready(Err(deadline_error()))
    }
}

fn deadline_error() -> ScriptError {
    ScriptError::new(ScriptErrorKind::Deadline)
}

fn script_error(error: &mlua::Error) -> ScriptError {
    match error.downcast_ref::<SyntaxFailure>() {
        Some(SyntaxFailure(script)) => script.clone(),
        None => ScriptError::from_mlua(error),
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests;
