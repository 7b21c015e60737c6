//! What a plugin may use: the `ctx` that every call gets.
//!
//! Each capability is one file here, with its Luau type stub beside it, and one line in
//! `CAPABILITIES`.

pub mod cache;
mod config;
mod db;
mod delivery;
mod emit;
mod env;
mod fail;
mod hooks;
mod http;
mod jobs;
mod kv;
mod logger;
mod plugin;
pub mod pubsub;
mod reply;
mod request;
mod services;
mod user;
mod work;

use std::sync::{Arc, Weak};
use std::time::Instant;

use mlua::{MetaMethod, UserData, UserDataFields, UserDataMethods, UserDataRegistry, Value};

use crate::events::HeldBack;
use crate::extension::database::upgrade::Migrating;
use crate::nearest::nearest;
use crate::plugin::generation::Generation;
use crate::request::RequestContext;
use crate::store::Session;
pub use delivery::DeliveryInfo;
pub use work::Work;

/// One thing a plugin may use.
struct Capability {
    /// The names it adds to `ctx`.
    names: &'static [&'static str],
    register: fn(&mut UserDataRegistry<Ctx>),
}

const CAPABILITIES: &[Capability] = &[
    Capability { names: &["cache"], register: cache::register },
    Capability { names: &["config"], register: config::register },
    Capability { names: &["db"], register: db::register },
    Capability { names: &["delivery"], register: delivery::register },
    Capability { names: &["emit"], register: emit::register },
    Capability { names: &["env"], register: env::register },
    Capability { names: &["fail", "invalid"], register: fail::register },
    Capability { names: &["hooks"], register: hooks::register },
    Capability { names: &["http"], register: http::register },
    Capability { names: &["jobs"], register: jobs::register },
    Capability { names: &["kv"], register: kv::register },
    Capability { names: &["logger"], register: logger::register },
    Capability { names: &["plugin"], register: plugin::register },
    Capability { names: &["pubsub"], register: pubsub::register },
    Capability { names: &["reply"], register: reply::register },
    Capability { names: &["request"], register: request::register },
    Capability { names: &["services"], register: services::register },
    Capability { names: &["user"], register: user::register },
];

/// The Luau types of everything that plugins are given, for editors.
pub const TYPE_STUBS: &[&str] = &[
    include_str!("ctx.d.luau"),
    include_str!("../extension/graphql/builder.d.luau"),
    include_str!("config.d.luau"),
    include_str!("db.d.luau"),
    include_str!("delivery.d.luau"),
    include_str!("hooks.d.luau"),
    include_str!("http.d.luau"),
    include_str!("jobs.d.luau"),
    include_str!("kv.d.luau"),
    include_str!("logger.d.luau"),
    include_str!("plugin.d.luau"),
    include_str!("pubsub.d.luau"),
    include_str!("reply.d.luau"),
    include_str!("request.d.luau"),
    include_str!("services.d.luau"),
    include_str!("user.d.luau"),
];

/// The facts of one call into a plugin.
#[derive(Debug)]
pub struct CallContext {
    pub generation: Arc<Generation>,
    /// The request that led to the call, if one did.
    pub request: Option<RequestContext>,
    pub deadline: Instant,
    /// How many hooks led to this call.
    pub depth: u32,
    /// What the call's database statements run in, and what waits for its transactions.
    pub work: Work,
    /// What the call is for, if it was owed to the plugin.
    pub delivery: Option<Arc<DeliveryInfo>>,
    /// The tables on their way to a new version, if the call is a migration.
    pub migration: Option<Migrating>,
}

impl CallContext {
    /// A call that no request has led to.
    pub fn of(generation: &Arc<Generation>, deadline: Instant) -> Self {
        CallContext {
            work: Work::new(generation.services.store.session().until(deadline)),
            generation: Arc::clone(generation),
            request: None,
            deadline,
            depth: 0,
            delivery: None,
            migration: None,
        }
    }

    /// A call within a request, with the plugin's own time limit.
    pub fn within(generation: &Arc<Generation>, request: &RequestContext) -> Self {
        let deadline = Instant::now() + generation.time_limit();
        CallContext { request: Some(request.clone()), ..CallContext::of(generation, deadline) }
    }

    /// Lets `ctx.db` see the tables on their way to a new version, and change them.
    pub fn migrating(mut self, tables: Migrating) -> Self {
        self.migration = Some(tables);
        self
    }

    /// Runs the call's statements in a transaction and holds back its events. Whoever commits the
    /// transaction goes on with them.
    pub fn in_transaction(mut self, session: &Session, held: &HeldBack) -> Self {
        self.work = Work::inside(session.until(self.deadline), Arc::clone(held));
        self
    }

    /// Makes all that the call does in the database one transaction of its own.
    pub fn atomic(mut self) -> Self {
        self.work = self.work.atomic();
        self
    }
}

/// A call as what lives in the VM refers to it. Only the call itself owns its context: a script may
/// keep its `ctx`, which must neither work any more nor keep the generation, and with it the VM that
/// the `ctx` is in, from ending.
#[derive(Clone)]
struct CallRef(Weak<CallContext>);

impl CallRef {
    /// The call, unless it is over.
    fn get(&self) -> mlua::Result<Arc<CallContext>> {
        self.0.upgrade().ok_or_else(|| {
            mlua::Error::runtime(
                "this ctx belongs to a call that has ended; use the ctx of the current call",
            )
        })
    }
}

/// The `ctx` userdata.
#[derive(Clone)]
pub struct Ctx(CallRef);

impl Ctx {
    /// The `ctx` of a call, useless once `call` is dropped.
    pub fn new(call: &Arc<CallContext>) -> Self {
        Ctx(CallRef(Arc::downgrade(call)))
    }

    /// The call, unless it is over.
    fn call(&self) -> mlua::Result<Arc<CallContext>> {
        self.0.get()
    }
}

impl UserData for Ctx {
    fn register(registry: &mut UserDataRegistry<Self>) {
        for capability in CAPABILITIES {
            (capability.register)(registry);
        }
        registry.add_field("null", Value::NULL);
        registry.add_meta_method(MetaMethod::Index, |_, _, key: Value| -> mlua::Result<Value> {
            let key = key.to_string()?;
            let names = CAPABILITIES.iter().flat_map(|c| c.names).copied().chain(["null"]);
            Err(mlua::Error::runtime(match nearest(&key, names) {
                Some(name) => format!("ctx has no \"{key}\"; did you mean \"{name}\"?"),
                None => format!("ctx has no \"{key}\""),
            }))
        });
        registry.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(match this.call() {
                Ok(call) => format!("ctx of {}", call.generation.plugin_id()),
                Err(_) => "ctx of a call that has ended".to_owned(),
            })
        });
    }
}
