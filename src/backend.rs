//! What the command line asks of the host.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, NewUser};
use crate::audit;
use crate::cli::Backend;
use crate::containers::ServiceState;
use crate::control::{
    self, ControlHandler, ControlReply, ControlRequest, Operation, PluginFailure, PluginInfo,
    ServiceInfo,
};
use crate::data_dir::DataDir;
use crate::error::{Error, Phase, Problem, Result};
use crate::extension::graphql::Schema;
use crate::host::{Host, HostBuilder};
use crate::plugin::directory::PluginView;
use crate::plugin::manager::Manager;
use crate::request::Role;
use crate::services::Services;
use crate::settings::{Mode, Settings};
use crate::store::plugins::{PluginFilter, RecordedError};
use crate::value::Value;

/// The host of this process.
pub struct LocalHost;

#[async_trait]
impl Backend for LocalHost {
    async fn serve(&self, settings: Settings, data_dir: DataDir) -> Result<(), Error> {
        // From here on, so that no signal finds the process unprepared.
        let shutdown = shutdown_signal()?;
        let mode = settings.mode;
        tracing::info!("GraphQL limits: {}", settings.graphql.summary());
        let plugins = settings.plugins.clone();
        let host = HostBuilder::new(settings).start().await?;
        let (listener, address) = match host.bind().await {
            Ok(bound) => bound,
            Err(error) => {
                // The plugins are up already.
                host.stop().await;
                return Err(error);
            }
        };
        let stop = CancellationToken::new();
        let controlled = match control::listen(data_dir.path()) {
            Ok(socket) => {
                let handler = Arc::new(Control::of(&host));
                Some(tokio::spawn(control::serve(socket, handler, stop.clone())))
            }
            Err(error) => {
                tracing::warn!("the command line cannot reach this server: {error}");
                None
            }
        };
        let signalled = stop.clone();
        tokio::spawn(async move {
            shutdown.await;
            tracing::info!("shutting down");
            signalled.cancel();
        });
        println!("moondock is listening on http://{address}");
        match host.setup_link().await {
            Ok(Some(link)) => {
                println!(
                    "  nobody can administer this server yet; the first administrator is who opens"
                );
                println!("  http://{address}{link}");
            }
            Ok(None) => {}
            Err(error) => tracing::error!("cannot tell whether there is an administrator: {error}"),
        }
        if mode == Mode::Dev {
            println!("  GraphQL and GraphiQL  http://{address}/graphql");
            println!("  plugins               {}", plugins.display());
        }
        let served = host.serve(listener, stop.clone()).await;
        stop.cancel();
        if let Some(controlled) = controlled {
            match controlled.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("the control channel failed: {error}"),
                Err(error) => tracing::error!("the control channel failed: {error}"),
            }
        }
        host.stop().await;
        // The socket must not outlive the server; a start after a crash removes it too.
        let _ = std::fs::remove_file(control::socket_path(data_dir.path()));
        served
    }

    async fn operate(
        &self,
        settings: Settings,
        _data_dir: DataDir,
        operation: Operation,
        request: ControlRequest,
    ) -> ControlReply {
        let builder = HostBuilder::new(settings);
        let host = match operation {
            Operation::List | Operation::Info | Operation::Plan => builder.look().await,
            // What the operation does depends on the other active plugins.
            _ => builder.start().await,
        };
        let host = match host {
            Ok(host) => host,
            Err(error) => return error.into(),
        };
        let reply = Control::of(&host).handle(operation, request).await;
        host.stop().await;
        reply
    }
}

/// The server's end of the control channel.
struct Control {
    manager: Manager,
    accounts: Arc<Accounts>,
    services: Arc<Services>,
}

impl Control {
    fn of(host: &Host) -> Self {
        Control {
            manager: host.manager().clone(),
            accounts: Arc::clone(host.accounts()),
            services: Arc::clone(host.services()),
        }
    }
}

#[async_trait]
impl ControlHandler for Control {
    async fn handle(&self, operation: Operation, request: ControlRequest) -> ControlReply {
        let carried_out = self.carry_out(operation, request);
        match audit::acting("command line".into(), carried_out).await {
            Ok(reply) => reply,
            Err(error) => error.into(),
        }
    }
}

impl Control {
    async fn carry_out(
        &self,
        operation: Operation,
        request: ControlRequest,
    ) -> Result<ControlReply> {
        let manager = &self.manager;
        if operation == Operation::List {
            let views = manager.directory().list(&PluginFilter::default()).await?;
            let mut plugins: Vec<PluginInfo> = views.iter().map(info).collect();
            for id in manager.folders().await? {
                if !plugins.iter().any(|plugin| plugin.plugin_id == id) {
                    let status = "AVAILABLE".to_owned();
                    plugins.push(PluginInfo { plugin_id: id, status, ..Default::default() });
                }
            }
            plugins.sort_by(|a, b| a.plugin_id.cmp(&b.plugin_id));
            return Ok(ControlReply::plugins(plugins));
        }
        if operation == Operation::CreateUser {
            return self.create_user(request).await;
        }
        if operation == Operation::Schema {
            return self.schema(request.plugin_id.as_deref());
        }
        let id = request.require_plugin_id()?;
        let view = match operation {
            Operation::List | Operation::CreateUser | Operation::Schema | Operation::Info => {
                manager.directory().by_plugin_id(id).await?.ok_or_else(|| {
                    Error::new(
                        crate::error::code::NOT_FOUND,
                        format!("There is no plugin \"{id}\"; moondock plugin list shows all"),
                    )
                })?
            }
            Operation::Install => manager.install(id, request.grant).await?,
            Operation::Grant => manager.grant_more(id, request.permissions.clone()).await?,
            Operation::Activate => manager.activate(id).await?,
            Operation::Deactivate => manager.deactivate(id, request.force).await?,
            Operation::Uninstall => manager.uninstall(id, request.force).await?,
            Operation::Plan => return Ok(ControlReply::plan(manager.table_plan(id).await?)),
            Operation::Restore => {
                manager.restore(id, request.file.clone(), request.replace).await?
            }
        };
        let services = manager.containers().services(id).iter().map(service).collect();
        let plugin = PluginInfo { services, ..info(&view) };
        Ok(ControlReply { note: view.note.clone(), ..ControlReply::plugin(plugin) })
    }
}

impl Control {
    /// The schema, or what one plugin adds to it.
    fn schema(&self, plugin_id: Option<&str>) -> Result<ControlReply> {
        let world = self.services.world.load();
        let schema = world.part::<Schema>().ok_or_else(|| Error::unexpected("no schema yet"))?;
        let Some(id) = plugin_id else { return Ok(ControlReply::schema(schema.sdl().to_owned())) };
        if world.generations().iter().all(|generation| generation.plugin_id() != id) {
            let message = format!("Plugin \"{id}\" is not active; moondock plugin list shows all");
            return Err(Error::new(crate::error::code::NOT_FOUND, message));
        }
        Ok(ControlReply::schema(schema.sdl_of(id)))
    }

    async fn create_user(&self, request: ControlRequest) -> Result<ControlReply> {
        let user = request.user.unwrap_or_default();
        let new = NewUser {
            name: user.name,
            email_address: user.email_address,
            password: user.password,
            role: if user.is_administrator { Role::Administrator } else { Role::Regular },
        };
        let made = self.accounts.create(new, None).await.map_err(with_issues)?;
        let (role, address) = (made.role.as_str(), made.email_address);
        Ok(ControlReply::note(format!("{role} {address} created, with the id {}", made.id)))
    }
}

/// The error with what is wrong with each field in its message: a terminal shows no extensions.
fn with_issues(error: Error) -> Error {
    let Some(Value::List(issues)) = error.extensions.get("issues") else { return error };
    let texts: Vec<String> = issues
        .iter()
        .filter_map(|issue| {
            let Some(Value::List(path)) = issue.get("argumentPath") else { return None };
            let message = issue.get("message")?.as_str()?;
            Some(format!("{}: {message}", path.last()?.as_str()?))
        })
        .collect();
    Error::new(error.code, texts.join("; "))
}

fn info(view: &PluginView) -> PluginInfo {
    let manifest = view.manifest.as_deref();
    PluginInfo {
        plugin_id: view.record.plugin_id.clone(),
        status: view.status.as_str().to_owned(),
        is_installed: view.record.is_installed,
        is_activated: view.record.is_activated,
        name: manifest.map(|m| m.name.clone()),
        version: view.version.clone(),
        description: manifest.map(|m| m.description.clone()),
        author: manifest.map(|m| m.author.clone()),
        generation: view.generation,
        permissions: manifest.map(|m| m.permissions.clone()).unwrap_or_default(),
        granted_permissions: view.granted(),
        errors: view.errors.iter().map(failure).collect(),
        services: Vec::new(),
    }
}

fn service(state: &ServiceState) -> ServiceInfo {
    ServiceInfo {
        name: state.name.clone(),
        state: state.state.as_str().to_owned(),
        health: state.health.as_str().to_owned(),
        url: state.url(),
        error: state.error.clone(),
    }
}

fn failure(error: &RecordedError) -> PluginFailure {
    let mut problem = Problem::new(Phase::parse(&error.phase), error.message.clone());
    problem.file.clone_from(&error.file);
    problem.line = error.line;
    PluginFailure { at: error.at.clone(), problem }
}

/// Completes at SIGTERM or SIGINT, also one that came since this was called.
fn shutdown_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error| Error::unexpected(format!("signals cannot be handled: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
