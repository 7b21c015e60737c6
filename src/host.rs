//! The host: wires the parts together, starts and stops them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::jwt::Jwt;
use crate::accounts::{self, AccountAuthenticator, AccountOptions, Accounts, Setup};
use crate::audit::{self, AuditLog};
use crate::containers::Containers;
use crate::ctx::cache::Caches;
use crate::data_dir;
use crate::error::{Error, Result};
use crate::events::dispatcher::Dispatcher;
use crate::events::operation::run_hooks;
use crate::events::pubsub::Pubsub;
use crate::events::{self, Event, EventBus, scheduler};
use crate::extension::graphql::{
    Declarations, Graphql, Mode, Request, Response, Schema, SchemaOptions,
};
use crate::extension::services::ServicePoint;
use crate::extension::{self};
use crate::http::outbound::Outbound;
use crate::plugin::admin::{self, ManagerCell};
use crate::plugin::manager::{Manager, ManagerOptions, Report};
use crate::plugin::world::World;
use crate::plugin::{watcher, watching};
use crate::request::{RequestContext, RequestInfo, User};
use crate::server::auth::{Authenticator, TokenAuthenticator};
use crate::server::operations::Operations;
use crate::server::{self, ServerState};
use crate::services::{Limits, Services, ServicesCell};
use crate::settings::graphql::Introspection;
use crate::settings::{Mode as SettingsMode, Settings};
use crate::store::{Cipher, Store, StoreOptions, plugins};
use crate::value::Value;

/// The database's file in the data dir.
const DATABASE_FILE: &str = "moondock.db";
/// How long subscribers may take to be told that the host stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// The folder of backups in the data dir.
const BACKUPS: &str = "backups";

/// Makes a [`Host`]. Embedders add their own fields and accounts here.
///
/// ```no_run
/// # async fn example() -> moondock::error::Result<()> {
/// use moondock::host::HostBuilder;
/// use moondock::settings::{Mode, Settings};
///
/// let host = HostBuilder::new(Settings::new(Mode::Serve)).start().await?;
/// println!("{}", host.sdl());
/// host.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct HostBuilder {
    settings: Settings,
    declarations: Vec<Arc<Declarations>>,
    authenticator: Option<Arc<dyn Authenticator>>,
}

impl HostBuilder {
    /// A host with these settings.
    pub fn new(settings: Settings) -> Self {
        HostBuilder { settings, declarations: Vec::new(), authenticator: None }
    }

    /// Adds types and fields, resolved in Rust, beside those of the plugins.
    pub fn declarations(mut self, declarations: Declarations) -> Self {
        self.declarations.push(Arc::new(declarations));
        self
    }

    /// Decides who a bearer token stands for, in place of the administrator's token and the accounts.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(authenticator);
        self
    }

    /// Opens the database and makes what was active active again.
    ///
    /// # Errors
    /// When the database or the folders cannot be used. A broken plugin is none.
    pub async fn start(self) -> Result<Host> {
        let host = self.open().await?;
        let some_are_late = host.manager.start_plugins().await?;
        let (manager, ready) = (host.manager.clone(), Arc::clone(&host.ready));
        let late = async move {
            manager.start_late_plugins().await;
            ready.store(true, Ordering::SeqCst);
        };
        host.begin_deliveries();
        match host.settings.mode {
            // A command wants them all.
            SettingsMode::Shell => late.await,
            SettingsMode::Serve | SettingsMode::Dev if some_are_late => drop(tokio::spawn(late)),
            SettingsMode::Serve | SettingsMode::Dev => host.ready.store(true, Ordering::SeqCst),
        }
        if host.settings.hot_reload {
            host.watch()?;
        }
        Ok(host)
    }

    /// As [`HostBuilder::start`], but only looks: no plugin runs.
    ///
    /// # Errors
    /// When the database or the folders cannot be used.
    pub async fn look(self) -> Result<Host> {
        let host = self.open().await?;
        host.manager.know_plugins().await?;
        Ok(host)
    }

    async fn open(self) -> Result<Host> {
        let settings = self.settings;
        for dir in [&settings.plugins, &settings.data_dir] {
            std::fs::create_dir_all(dir).map_err(|error| {
                Error::unexpected(format!("cannot make the folder {}: {error}", dir.display()))
            })?;
        }
        let key = match &settings.secret_key {
            Some(key) => key.clone(),
            None => data_dir::secret_key(&settings.data_dir)?,
        };
        let mut cipher = Cipher::new(key.expose());
        if let Some(previous) = &settings.previous_secret_key {
            cipher = cipher.after(previous.expose());
        }
        let options = StoreOptions {
            connections: settings.database_connections,
            wait: settings.database_wait,
            statement_timeout: settings.statement_timeout,
            cipher,
        };
        let store = match &settings.database_url {
            Some(url) => Store::open(url.expose(), options).await?,
            None => Store::open_file(&settings.data_dir.join(DATABASE_FILE), options).await?,
        };
        if settings.previous_secret_key.is_some() {
            let count = plugins::reseal(&store.session()).await?;
            tracing::info!(count, "configurations are sealed with the new secret key");
        }
        let cell = ManagerCell::default();
        let services_cell = ServicesCell::default();
        let options = AccountOptions {
            sign_up: settings.sign_up,
            lifetime: settings.token_lifetime,
            has_admin_token: settings.admin_token.is_some(),
        };
        let accounts = Arc::new(Accounts::new(services_cell.clone(), options));
        let jwt = match settings.jwt.is_set() {
            true => Some(Jwt::new(settings.jwt.clone())?),
            false => None,
        };
        let mut host = vec![
            admin::declarations(cell.clone()),
            events::admin::declarations(&services_cell),
            audit::admin::declarations(&services_cell),
            watching::declarations(&services_cell),
            accounts::declarations(&accounts),
        ];
        host.extend(self.declarations);
        let options = SchemaOptions {
            cache_documents: settings.document_cache,
            limits: settings.graphql.limits,
            is_public: settings.graphql.introspection == Introspection::Everyone,
        };
        let points = extension::all(Graphql { host, options }, ServicePoint::new(&settings.docker));
        let world = World::build(&points, Vec::new()).map_err(|conflicts| {
            let problems = conflicts.into_iter().map(|conflict| conflict.problem).collect();
            Error::from_problems(problems)
        })?;
        let limits = Limits {
            max_memory_mb: settings.max_memory_mb,
            max_timeout_ms: settings.max_timeout_ms,
        };
        let services = Arc::new(Services {
            store,
            limits,
            points,
            world: ArcSwap::from_pointee(world),
            worlds: Default::default(),
            events: EventBus::default(),
            pubsub: Pubsub::default(),
            audit: AuditLog::default(),
            caches: Caches::default(),
            outbound: Outbound::default(),
            containers: Arc::new(Containers::new(
                settings.docker.clone(),
                settings.plugins.clone(),
                settings.data_dir.clone(),
            )),
            failures: Arc::default(),
        });
        services_cell.set(&services);
        services.events.connect(&services);
        services.audit.connect(&services);
        let manager_options = ManagerOptions {
            plugins_dir: settings.plugins.clone(),
            backups: settings.data_dir.join(BACKUPS),
            automatic: settings.mode == SettingsMode::Dev,
            report: match settings.mode {
                SettingsMode::Serve => Report::Log,
                SettingsMode::Dev => Report::Terminal,
                SettingsMode::Shell => Report::Caller,
            },
        };
        let manager = Manager::start(Arc::clone(&services), manager_options);
        cell.set(manager.clone());
        let admin = TokenAuthenticator::new(settings.admin_token.as_ref());
        let known = AccountAuthenticator { admin, accounts: Arc::clone(&accounts), jwt };
        let authenticator = self.authenticator.unwrap_or_else(|| Arc::new(known));
        Ok(Host {
            settings,
            services,
            manager,
            authenticator,
            setup: Arc::new(Setup::new(Arc::clone(&accounts))),
            accounts,
            dispatcher: OnceLock::new(),
            ready: Arc::default(),
            stopping: CancellationToken::new(),
        })
    }
}

/// A running host.
pub struct Host {
    settings: Settings,
    services: Arc<Services>,
    manager: Manager,
    authenticator: Arc<dyn Authenticator>,
    accounts: Arc<Accounts>,
    setup: Arc<Setup>,
    dispatcher: OnceLock<Arc<Dispatcher>>,
    ready: Arc<AtomicBool>,
    stopping: CancellationToken,
}

impl Host {
    /// Changes plugins and tells about them.
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// How many statements have been run on the database, those of the host itself included.
    pub fn statements(&self) -> u64 {
        self.services.store.statements()
    }

    /// What all parts of the host share.
    pub(crate) fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// The people who may sign in.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// The path and query of a link with which the first administrator is made, if there is none. It
    /// works once, and until this process ends.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn setup_link(&self) -> Result<Option<String>> {
        self.setup.link().await
    }

    /// All events from now on, those of the plugins' life included.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.services.events.subscribe()
    }

    /// The schema of the current World as SDL.
    pub fn sdl(&self) -> String {
        let schema = self.services.world.load().part::<Schema>();
        schema.map(|schema| schema.sdl().to_owned()).unwrap_or_default()
    }

    /// What one plugin adds to the schema, as SDL. Empty for a plugin that is not active.
    pub fn sdl_of(&self, plugin_id: &str) -> String {
        let schema = self.services.world.load().part::<Schema>();
        schema.map(|schema| schema.sdl_of(plugin_id)).unwrap_or_default()
    }

    /// Executes a GraphQL request in this process, on behalf of `user`.
    pub async fn execute(&self, request: &Request, user: Option<Arc<User>>) -> Option<Response> {
        let world = self.services.world.load_full();
        let schema = world.part::<Schema>()?;
        let info = RequestInfo { id: uuid::Uuid::now_v7().to_string(), ..Default::default() };
        let context = RequestContext { info: Arc::new(info), user, world };
        Some(schema.execute(request, Mode::AnyOperation, &context).await)
    }

    /// The HTTP routes, to serve them from elsewhere. Subscriptions end when the host stops.
    ///
    /// # Errors
    /// When the file of registered operations cannot be read.
    pub fn router(&self) -> Result<axum::Router> {
        self.router_until(self.stopping.clone(), TaskTracker::new())
    }

    /// The routes with the connections that live longer than a request: they end with `stop`.
    fn router_until(
        &self,
        stop: CancellationToken,
        connections: TaskTracker,
    ) -> Result<axum::Router> {
        let graphql = &self.settings.graphql;
        let operations = Operations::load(graphql.registered_operations.as_deref())?;
        let router = server::router(ServerState {
            services: Arc::clone(&self.services),
            authenticator: Arc::clone(&self.authenticator),
            ready: Arc::clone(&self.ready),
            body_limit: self.settings.body_limit,
            webhook_rates: (self.settings.webhook_plugin_rate, self.settings.webhook_rate),
            graphql: graphql.clone(),
            operations,
            stop,
            connections,
        });
        Ok(router.merge(accounts::setup_routes(Arc::clone(&self.setup))))
    }

    /// Opens the socket that the settings name.
    ///
    /// # Errors
    /// When the address is wrong or taken.
    pub async fn bind(&self) -> Result<(TcpListener, SocketAddr)> {
        let listen = &self.settings.listen;
        let failed = |error| Error::unexpected(format!("cannot listen on {listen}: {error}"));
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok((listener, address))
    }

    /// Serves HTTP until `stop` is cancelled and the requests in flight are answered. The future does
    /// not borrow the host.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn serve(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<()>> + Send + 'static {
        let connections = TaskTracker::new();
        let router = self.router_until(stop.clone(), connections.clone());
        let grace = self.settings.shutdown_grace;
        let containers = Arc::clone(&self.services.containers);
        async move {
            // Requests that wait for an image or a service would hold up the end.
            let stopping = stop.clone();
            let hurry = Arc::clone(&containers);
            let giving_up = tokio::spawn(async move {
                stopping.cancelled().await;
                hurry.give_up();
            });
            let served = server::serve(listener, router?, stop.clone(), grace).await;
            if stop.is_cancelled() {
                containers.give_up();
            }
            giving_up.abort();
            connections.close();
            // They end by themselves; one whose client does not listen is not waited for.
            let _ = tokio::time::timeout(GOODBYE, connections.wait()).await;
            served.map_err(|error| Error::unexpected(format!("the server failed: {error}")))
        }
    }

    /// Reloads plugins when their files change, until the host stops.
    ///
    /// # Errors
    /// When the plugins folder cannot be watched.
    pub fn watch(&self) -> Result<()> {
        let dir: &PathBuf = &self.settings.plugins;
        watcher::watch(dir, self.manager.clone(), self.stopping.clone())
            .map_err(|error| Error::unexpected(format!("cannot watch {}: {error}", dir.display())))
    }

    /// Runs `body` between the pre hooks of an event, which may change the data or veto it, and the
    /// event itself, which post hooks hear of.
    ///
    /// ```no_run
    /// # async fn example(host: &moondock::host::Host) -> moondock::error::Result<()> {
    /// use moondock::value::{Map, Value};
    ///
    /// let data = Value::Map(Map::from_iter([("item".to_owned(), Value::from("tea"))]));
    /// let id = host.run_hooks("order:create", data, async |data| {
    ///     println!("an order of {data:?}");
    ///     Ok(7)
    /// });
    /// assert_eq!(id.await?, 7);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The veto or failure of a pre hook, or the error of `body`; then nothing is raised.
    pub async fn run_hooks<T>(
        &self,
        event: &str,
        data: Value,
        body: impl AsyncFnOnce(Value) -> Result<T>,
    ) -> Result<T> {
        run_hooks(&self.services, event, data, body).await
    }

    /// Raises an event, which post hooks and embedders hear of.
    ///
    /// # Errors
    /// When the database cannot keep it for the post hooks.
    pub async fn emit(&self, event: Event) -> Result<()> {
        let session = self.services.store.session();
        self.services.events.raise(&self.services, &session, &event).await?;
        self.services.events.committed(vec![events::Held::Raised(event)]);
        Ok(())
    }

    /// From here on what is owed to plugins is done. A command that only passes through leaves it to
    /// the server.
    fn begin_deliveries(&self) {
        if self.settings.mode == SettingsMode::Shell {
            return;
        }
        // The data folder has one host; a database that has a URL may have several.
        let alone = self.settings.database_url.is_none();
        self.dispatcher.get_or_init(|| Dispatcher::start(&self.services, alone));
        scheduler::start(&self.services, self.stopping.clone());
        let containers = &self.services.containers;
        let manager = self.manager.clone();
        tokio::spawn(Arc::clone(containers).look_after(manager, self.stopping.clone()));
        let services = Arc::clone(&self.services);
        tokio::spawn(Arc::clone(containers).pass_on_logs(services, self.stopping.clone()));
    }

    /// Ends all plugins (`onUnload`) and closes the database. Nothing is deactivated.
    pub async fn stop(self) {
        self.ready.store(false, Ordering::SeqCst);
        self.stopping.cancel();
        self.services.containers.give_up();
        if let Some(dispatcher) = self.dispatcher.get() {
            dispatcher.stop(self.settings.shutdown_grace).await;
        }
        if let Err(error) = self.manager.stop_plugins().await {
            tracing::error!("stopping the plugins: {error}");
        }
        self.services.audit.written(Duration::from_secs(1)).await;
        self.services.events.written(Duration::from_secs(1)).await;
        // Breaks the ring of World, generations and services.
        self.services.replace_world(Arc::new(World::default()));
        self.services.store.close().await;
    }
}
