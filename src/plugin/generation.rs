//! A generation: one immutable version of a plugin's folder, loaded and ready to be called.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mlua::{IntoLua, Lua, MultiValue};
use tokio::sync::{Mutex, Notify};

use super::loader::{self, Blueprint};
use super::manifest::Manifest;
use super::source::Source;
use crate::ctx::{CallContext, Ctx};
use crate::error::{Error, Problem};
use crate::extension::Handlers;
use crate::lua::{ScriptError, ScriptErrorKind, Vm, bridge};
use crate::parts::Parts;
use crate::permission::Grant;
use crate::services::Services;
use crate::value::{Map, Value};

/// With so many calls in flight, those that can be refused are.
const MAX_CALLS: usize = 1_024;

/// An argument of a call into Lua.
#[derive(Clone, Copy)]
pub enum Arg<'a> {
    /// A null becomes nil.
    Value(&'a Value),
    Map(&'a Map),
    /// Whatever this puts into the VM.
    Made(&'a (dyn Fn(&Lua) -> mlua::Result<mlua::Value> + Send + Sync)),
}

/// What a call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    Result,
    /// The first argument, with what was done to it, if there is no result.
    ResultOrFirst,
}

/// One version of a plugin: its files, what they declare, and the VMs that run them.
pub struct Generation {
    /// Counts the generations of this plugin since the host started, from 1.
    pub number: u64,
    /// What the extension points have read.
    pub parts: Parts,
    /// Oddities in the manifest that are no errors.
    pub warnings: Vec<Problem>,
    pub services: Arc<Services>,
    blueprint: Blueprint,
    vms: Vec<Instance>,
    next: AtomicUsize,
    calls: AtomicUsize,
    idle: Notify,
}

/// A VM with the functions that the host may call in it.
pub struct LoadedVm {
    pub vm: Vm,
    pub handlers: Handlers,
}

/// One of a generation's VMs, replaced when it is discarded.
struct Instance {
    current: ArcSwap<LoadedVm>,
    replacing: Mutex<()>,
}

/// A reference to a generation that can be made before the generation itself.
#[derive(Clone, Default)]
pub struct GenerationHandle(Arc<OnceLock<Weak<Generation>>>);

impl GenerationHandle {
    /// The generation, unless it was never finished or is gone.
    pub fn get(&self) -> Option<Arc<Generation>> {
        self.0.get()?.upgrade()
    }
}

impl fmt::Debug for GenerationHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GenerationHandle")
    }
}

impl Generation {
    /// Puts together what the loader has made.
    pub(super) fn new(
        number: u64,
        blueprint: Blueprint,
        handle: &GenerationHandle,
        loaded: Vec<LoadedVm>,
        parts: Parts,
        warnings: Vec<Problem>,
        services: Arc<Services>,
    ) -> Arc<Generation> {
        let vms = loaded
            .into_iter()
            .map(|loaded| Instance {
                current: ArcSwap::from_pointee(loaded),
                replacing: Mutex::new(()),
            })
            .collect();
        let generation = Arc::new(Generation {
            number,
            parts,
            warnings,
            services,
            blueprint,
            vms,
            next: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            idle: Notify::new(),
        });
        // A handle belongs to one loading, so it is set once; a second time would change nothing.
        let _ = handle.0.set(Arc::downgrade(&generation));
        generation
    }

    pub fn plugin_id(&self) -> &str {
        &self.blueprint.manifest.plugin_id
    }

    pub fn manifest(&self) -> &Manifest {
        &self.blueprint.manifest
    }

    /// The manifest, to keep.
    pub fn shared_manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.blueprint.manifest)
    }

    /// What the plugin may do.
    pub fn granted(&self) -> &Grant {
        &self.blueprint.granted
    }

    /// The plugin's configuration, with defaults. It has secrets in it.
    pub fn config(&self) -> &Value {
        &self.blueprint.config
    }

    pub fn source(&self) -> &Source {
        &self.blueprint.source
    }

    /// How long a call may take unless its handler says otherwise.
    pub fn time_limit(&self) -> Duration {
        self.blueprint.time_limit
    }

    /// Whether the plugin has a function under this key.
    pub fn has_handler(&self, key: &str) -> bool {
        self.vms.first().is_some_and(|vm| vm.current.load().handlers.contains_key(key))
    }

    /// Whether more calls are in flight than the plugin will ever get to.
    pub fn is_overloaded(&self) -> bool {
        self.calls.load(Ordering::Relaxed) >= MAX_CALLS
    }

    /// Bytes in use by the generation's VMs.
    pub fn used_memory(&self) -> usize {
        self.vms.iter().map(|vm| vm.current.load().vm.used_memory()).sum()
    }

    /// Calls a handler with `args` and a `ctx` after them.
    ///
    /// # Errors
    /// What the script raised, or that it exceeded its time or memory; then its VM is replaced.
    pub async fn call(
        self: &Arc<Self>,
        key: &str,
        args: &[Arg<'_>],
        context: CallContext,
    ) -> Result<Value, ScriptError> {
        self.run(key, args, &Arc::new(context), Gives::Result, returned).await
    }

    /// Calls a handler as [`Generation::call`] does, and lets `take` make of its result what it will,
    /// within the VM.
    ///
    /// # Errors
    /// As [`Generation::call`], and those of `take`.
    pub async fn call_and_take<T>(
        self: &Arc<Self>,
        key: &str,
        args: &[Arg<'_>],
        context: CallContext,
        take: fn(&mlua::Value) -> mlua::Result<T>,
    ) -> Result<T, ScriptError> {
        self.run(key, args, &Arc::new(context), Gives::Result, take).await
    }

    /// Calls a handler with `data`, which it may change, and a `ctx`; gives what it returned, or the
    /// changed data if it returned nothing. What the call did in a transaction of its own is kept only
    /// if it succeeded and `accept` takes what it gives.
    ///
    /// # Errors
    /// As [`Generation::call`], those of `accept`, and when what the call did could not be kept.
    pub async fn change(
        self: &Arc<Self>,
        key: &str,
        data: &Value,
        context: CallContext,
        accept: impl FnOnce(Value) -> Result<Value, ScriptError>,
    ) -> Result<Value, ScriptError> {
        let context = Arc::new(context);
        let result =
            self.run(key, &[Arg::Value(data)], &context, Gives::ResultOrFirst, returned).await;
        let result = result.and_then(accept);
        match context.work.conclude(result.is_ok()).await {
            Ok(held) if held.is_empty() => result,
            Ok(held) => {
                self.services.events.committed(held);
                result
            }
            Err(error) => {
                let message = format!("what the call did was not kept: {}", error.message);
                result.and(Err(ScriptError::new(ScriptErrorKind::Runtime(message))))
            }
        }
    }

    /// `context` has one owner: when the call ends, however it ends, its `ctx` is useless.
    async fn run<T>(
        self: &Arc<Self>,
        key: &str,
        args: &[Arg<'_>],
        context: &Arc<CallContext>,
        gives: Gives,
        take: fn(&mlua::Value) -> mlua::Result<T>,
    ) -> Result<T, ScriptError> {
        let _call = CallGuard::new(self);
        let deadline = context.deadline;
        let loaded = self.vm(deadline).await?;
        let Some(handler) = loaded.handlers.get(key) else {
            let message = format!("this version has no handler {key}");
            return Err(ScriptError::new(ScriptErrorKind::Runtime(message)));
        };
        loaded
            .vm
            .run(deadline, async {
                let lua = loaded.vm.lua();
                let mut first = None;
                let call = bridge::without_limit(lua, || {
                    let mut values = MultiValue::with_capacity(args.len() + 1);
                    for arg in args {
                        values.push_back(match arg {
                            Arg::Value(Value::Null) => mlua::Value::Nil,
                            Arg::Value(value) => bridge::to_lua(lua, value)?,
                            Arg::Map(map) => mlua::Value::Table(bridge::map_to_lua(lua, map)?),
                            Arg::Made(make) => make(lua)?,
                        });
                    }
                    if gives == Gives::ResultOrFirst {
                        first = values.front().cloned();
                    }
                    values.push_back(Ctx::new(context).into_lua(lua)?);
                    Ok(handler.call_async::<mlua::Value>(values))
                })?;
                let mut result = call.await?;
                if let (true, Some(first)) = (result.is_nil(), first) {
                    result = first;
                }
                take(&result)
            })
            .await
    }

    /// A VM to call, a fresh one if the last call in it went over its limits.
    async fn vm(self: &Arc<Self>, deadline: Instant) -> Result<Arc<LoadedVm>, ScriptError> {
        let index = self.pick();
        let current = self.vms[index].current.load_full();
        if !current.vm.is_discarded() {
            return Ok(current);
        }
        // Loading may take longer than this call may: then it is ready for a later one.
        let generation = Arc::clone(self);
        let replacing = tokio::spawn(async move { generation.replace(index).await });
        match tokio::time::timeout_at(deadline.into(), replacing).await {
            Ok(Ok(replaced)) => replaced,
            Ok(Err(failed)) => Err(ScriptError::new(ScriptErrorKind::Panic(failed.to_string()))),
            Err(_) => Err(ScriptError::new(ScriptErrorKind::Deadline)),
        }
    }

    /// Replaces a discarded VM, unless another call has done so.
    async fn replace(&self, index: usize) -> Result<Arc<LoadedVm>, ScriptError> {
        let instance = &self.vms[index];
        let _replacing = instance.replacing.lock().await;
        let current = instance.current.load_full();
        if !current.vm.is_discarded() {
            return Ok(current);
        }
        let fresh = Arc::new(loader::load_again(&self.blueprint).await?);
        let discarded = instance.current.swap(Arc::clone(&fresh));
        // Freeing what a call has filled its memory with takes some tens of milliseconds.
        tokio::task::spawn_blocking(move || drop(discarded));
        Ok(fresh)
    }

    /// The index of the VM that the next call uses.
    fn pick(&self) -> usize {
        let count = self.vms.len();
        if count == 1 {
            return 0;
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed) % count;
        (start..start + count)
            .map(|index| index % count)
            .find(|index| !self.vms[*index].current.load().vm.is_busy())
            .unwrap_or(start)
    }

    /// Waits until no call is running, or until the patience is over. Says whether none is.
    pub async fn drained(&self, patience: Duration) -> bool {
        let wait = async {
            loop {
                let idle = self.idle.notified();
                if self.calls.load(Ordering::SeqCst) == 0 {
                    return;
                }
                idle.await;
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({} #{})", self.plugin_id(), self.number)
    }
}

/// A result as a value of the host.
fn returned(result: &mlua::Value) -> mlua::Result<Value> {
    bridge::from_lua(result)
        .map_err(|error| mlua::Error::runtime(format!("the returned value: {error}")))
}

/// Counts a call until it ends or is abandoned.
struct CallGuard<'a>(&'a Generation);

impl<'a> CallGuard<'a> {
    fn new(generation: &'a Generation) -> Self {
        generation.calls.fetch_add(1, Ordering::SeqCst);
        CallGuard(generation)
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

impl From<&ScriptError> for Error {
    fn from(script: &ScriptError) -> Error {
        script.clone().into()
    }
}
