//! Looking after running services: what happens to a container is shown and raised as an event, and one
//! that has died or is unhealthy is started again, as its policy says.

use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, RestartContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::engine::is_status;
use super::{Containers, Health, RunState, ServiceState, logs, names};
use crate::backoff;
use crate::extension::services::compose::model::{Restart, Service};
use crate::plugin::generation::Generation;
use crate::plugin::manager::Manager;

/// How long it takes until an engine that is gone is asked again, first and at most.
const FIRST_TRY: Duration = Duration::from_millis(500);
const LAST_TRY: Duration = Duration::from_secs(30);
/// How long the engine, which restarts containers itself, has the precedence.
const PRECEDENCE: Duration = Duration::from_millis(400);
/// How long it takes until a container that keeps dying is started again, first and at most.
const FIRST_RESTART: Duration = Duration::from_millis(200);
const LAST_RESTART: Duration = Duration::from_secs(60);

/// What is known of a service before and after something happened to it.
struct Change {
    generation: Arc<Generation>,
    service: Service,
    before: ServiceState,
    now: ServiceState,
}

impl Containers {
    /// Looks after the services of all plugins until `stop`. When the engine is back after it was gone,
    /// `manager` puts in order what has happened meanwhile.
    pub async fn look_after(self: Arc<Self>, manager: Manager, stop: CancellationToken) {
        tokio::select! {
            () = self.look_on(manager) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn look_on(self: &Arc<Self>, manager: Manager) {
        let mut failures = 0;
        loop {
            if !self.instance.has_any() {
                self.changed.notified().await;
            }
            match self.engine.get().await {
                Ok(docker) => {
                    if failures > 0 {
                        tracing::info!("the container engine answers again");
                        manager.put_services_in_order().await;
                    }
                    failures = 0;
                    self.hear(&docker).await;
                    self.engine.lost();
                    self.engine_gone();
                }
                Err(error) => tracing::debug!("{error}"),
            }
            failures += 1;
            tokio::time::sleep(backoff::after(failures, FIRST_TRY, LAST_TRY)).await;
        }
    }

    /// Hears what the engine says until it says no more.
    async fn hear(self: &Arc<Self>, docker: &Docker) {
        let Some(instance) = self.instance.known() else { return };
        let mut filters = names::labeled(&[(names::INSTANCE, instance)]);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let mut events = std::pin::pin!(docker.events(Some(options)));
        // What happened before is not told, so everything is looked at once.
        self.look_at_all(docker).await;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.happened(docker, event).await,
                    Some(Err(error)) => return tracing::debug!("the engine's events: {error}"),
                    None => return,
                },
                () = self.changed.notified() => self.look_at_all(docker).await,
            }
        }
    }

    async fn happened(self: &Arc<Self>, docker: &Docker, event: EventMessage) {
        let action = event.action.unwrap_or_default();
        let matters = ["die", "start", "oom", "destroy", "stop", "restart"]
            .contains(&action.as_str())
            || action.starts_with("health_status");
        let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
        let (Some(plugin_id), Some(service)) =
            (attributes.get(names::PLUGIN), attributes.get(names::SERVICE))
        else {
            return;
        };
        if matters {
            self.look_at(docker, plugin_id, service).await;
        }
    }

    async fn look_at_all(self: &Arc<Self>, docker: &Docker) {
        for (plugin_id, declared) in self.running() {
            for name in declared.project.services.keys() {
                self.look_at(docker, &plugin_id, name).await;
            }
        }
    }

    /// Sees what has become of a service.
    async fn look_at(self: &Arc<Self>, docker: &Docker, plugin_id: &str, name: &str) {
        let Some(before) = self.service(plugin_id, name) else { return };
        let Some(id) = before.container.clone() else { return };
        let found = match docker.inspect_container(&id, None::<InspectContainerOptions>).await {
            Ok(found) => Some(found),
            Err(error) if is_status(&error, 404) => None,
            Err(error) => return tracing::debug!("looking at {plugin_id}/{name}: {error}"),
        };
        let is_near = self.engine.is_near();
        let change = {
            let mut running = self.running.write();
            let Some(running) = running.get_mut(plugin_id).filter(|r| !r.is_changing) else {
                return;
            };
            let Some(generation) = running.generation.upgrade() else { return };
            let Some(service) = running.declared.project.services.get(name).cloned() else {
                return;
            };
            let Some(state) = running.services.get_mut(name) else { return };
            // It may have been replaced while it was looked at.
            if state.container.as_ref() != Some(&id) {
                return;
            }
            let before = state.clone();
            match &found {
                Some(found) => state.see(&service, found, is_near),
                None => {
                    let empty = ServiceState {
                        name: name.to_owned(),
                        restarts: state.restarts,
                        error: Some("the container was removed".to_owned()),
                        ..Default::default()
                    };
                    *state = empty;
                }
            }
            if before.started_at != state.started_at && state.state == RunState::Running {
                state.restarts += 1;
            }
            Change { generation, service, before, now: state.clone() }
        };
        self.changed_to(docker, change);
    }

    fn changed_to(self: &Arc<Self>, docker: &Docker, change: Change) {
        let Change { generation, service, before, now } = change;
        let say =
            |event: &str, message: &str| logs::progress(&generation, event, &now.name, message);
        let name = &now.name;
        let was_up = before.state == RunState::Running;
        let is_up = now.state == RunState::Running;
        let started_again = is_up && (!was_up || before.started_at != now.started_at);
        if was_up && (!is_up || started_again) && before.started_at.is_some() {
            let code = now.exit_code.map(|code| format!(" with code {code}")).unwrap_or_default();
            let why = now.error.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            say("plugin:serviceStopped", &format!("the service \"{name}\" has ended{code}{why}"));
        }
        if now.health == Health::Unhealthy && before.health != Health::Unhealthy && is_up {
            say("plugin:serviceUnhealthy", &format!("the service \"{name}\" is unhealthy"));
        }
        let is_well = |state: &ServiceState| {
            state.state == RunState::Running
                && matches!(state.health, Health::None | Health::Healthy)
        };
        if is_well(&now) && (!is_well(&before) || started_again) {
            say("plugin:serviceRunning", &format!("the service \"{name}\" is running"));
        }
        let to_start = now.state == RunState::Exited && wants_restart(service.restart, &now);
        let to_restart =
            is_up && now.health == Health::Unhealthy && !matches!(service.restart, Restart::No);
        if (to_start && was_up) || (to_restart && before.health != Health::Unhealthy) {
            let (containers, docker) = (Arc::clone(self), docker.clone());
            let plugin_id = generation.plugin_id().to_owned();
            tokio::spawn(async move {
                containers.restart(&docker, &plugin_id, &now.name).await;
            });
        }
    }

    /// Starts a container again, unless the engine does so or it is no longer wanted.
    async fn restart(self: &Arc<Self>, docker: &Docker, plugin_id: &str, name: &str) {
        let mut attempt = 0;
        tokio::time::sleep(PRECEDENCE).await;
        loop {
            attempt += 1;
            let Some(state) = self.service(plugin_id, name) else { return };
            let Some(id) = state.container else { return };
            let is_changing = self.running.read().get(plugin_id).is_none_or(|r| r.is_changing);
            if is_changing {
                return;
            }
            let again = match (state.state, state.health) {
                (RunState::Exited, _) => self.start_container(docker, name, &id).await,
                (RunState::Running, Health::Unhealthy) => {
                    let options = RestartContainerOptionsBuilder::new().build();
                    let restarted = docker.restart_container(&id, Some(options)).await;
                    let what = format!("restarting the service \"{name}\"");
                    restarted.map_err(|error| self.engine.explain(&what, &error))
                }
                _ => return,
            };
            match again {
                Ok(()) => return,
                Err(error) => tracing::warn!(plugin = plugin_id, service = name, "{error}"),
            }
            if attempt > 20 {
                return;
            }
            tokio::time::sleep(backoff::after(attempt, FIRST_RESTART, LAST_RESTART)).await;
        }
    }

    /// What was known of services is not, as long as the engine is gone.
    fn engine_gone(&self) {
        for (plugin_id, running) in self.running.write().iter_mut() {
            tracing::warn!(plugin = %plugin_id, "the container engine does not answer");
            for state in running.services.values_mut() {
                state.error = Some("the container engine does not answer".to_owned());
            }
        }
    }
}

/// Whether a container that has ended is to be started again.
fn wants_restart(policy: Restart, state: &ServiceState) -> bool {
    match policy {
        Restart::No => false,
        Restart::Always | Restart::UnlessStopped => true,
        Restart::OnFailure(most) => {
            state.exit_code != Some(0) && most.is_none_or(|most| state.restarts < most)
        }
    }
}
