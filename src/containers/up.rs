//! Starting the services of a plugin: what is there and as it should be stays, what differs is replaced,
//! and what cannot be started takes everything back that was made for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerSummary, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    StartContainerOptions,
};

use super::create::{Place, Wanted, wanted};
use super::engine::{FAILED, is_status};
use super::wait::{Until, ends, has_ended_well, is_running};
use super::{Containers, Running, ServiceState, names};
use crate::error::{Error, Result};
use crate::extension::services::Declared;
use crate::extension::services::compose::model::{Condition, Service};
use crate::plugin::generation::Generation;

/// What was made, to be taken back.
#[derive(Default)]
pub(super) struct Made {
    containers: Vec<String>,
    pub networks: Vec<String>,
    pub volumes: Vec<String>,
}

impl Containers {
    /// Starts the services of a generation and waits until they serve. Images that only `before`, the
    /// version that serves until now, needs stay.
    ///
    /// # Errors
    /// When there is no engine, or a service does not come up; then what was made for it is gone.
    pub async fn up(
        &self,
        generation: &Arc<Generation>,
        declared: &Arc<Declared>,
        before: Option<&Declared>,
    ) -> Result<()> {
        let plugin_id = generation.plugin_id();
        let docker = self.engine.get().await?;
        let instance = self.instance.id()?;
        let project = self.instance.begin(plugin_id)?;
        let images = self.images(&docker, generation, declared, &project).await?;
        let folder = self.plugins_dir.join(plugin_id);
        let folder = folder.canonicalize().map_err(|error| {
            Error::new(FAILED, format!("the folder {}: {error}", folder.display()))
        })?;
        let place = Place { instance, plugin_id, project: &project, folder: &folder };
        let mut containers = Vec::new();
        for (name, service) in &declared.project.services {
            let image =
                images.get(name).ok_or_else(|| Error::new(FAILED, "an image is missing"))?;
            containers.push((name, service, wanted(&place, declared, name, service, image)?));
        }
        let served = self.expect(generation, declared);
        let mut made = Made::default();
        let start = self.start_all(&docker, &place, declared, &containers, &mut made);
        let started = self.unless_stopping(start).await;
        if let Err(error) = started {
            self.take_back(&docker, made).await;
            self.forget(plugin_id);
            // What served goes on to be looked after.
            if let Some(served) = served {
                self.running.write().insert(plugin_id.to_owned(), served);
                self.changed.notify_one();
            }
            return Err(error);
        }
        self.seen_all(&docker, plugin_id, &containers).await;
        let needed: Vec<String> = [Some(&**declared), before]
            .into_iter()
            .flatten()
            .flat_map(|declared| &declared.project.services)
            .filter_map(|(name, service)| {
                service.build.as_ref().map(|build| Self::image_name(&project, name, build))
            })
            .collect();
        let own = format!("{project}-");
        let is_old = |tag: &str| {
            tag.starts_with(&own)
                && !tag.contains(":stage-")
                && !needed.iter().any(|name| name == tag)
        };
        if let Err(error) = self.remove_images(&docker, is_old).await {
            tracing::warn!(plugin = plugin_id, "images of earlier versions stay: {error}");
        }
        Ok(())
    }

    /// Notes that a plugin's services are about to be there, and gives those that were. Until they are,
    /// nobody restarts them.
    fn expect(&self, generation: &Arc<Generation>, declared: &Arc<Declared>) -> Option<Running> {
        let mut running = self.running.write();
        let before = running.remove(generation.plugin_id());
        let known = |name: &String| before.as_ref().and_then(|before| before.services.get(name));
        let services = declared.project.services.keys().map(|name| {
            let empty = || ServiceState { name: name.clone(), ..Default::default() };
            (name.clone(), known(name).cloned().unwrap_or_else(empty))
        });
        let entry = Running {
            declared: Arc::clone(declared),
            generation: Arc::downgrade(generation),
            services: services.collect(),
            is_changing: true,
        };
        running.insert(generation.plugin_id().to_owned(), entry);
        before
    }

    async fn start_all(
        &self,
        docker: &Docker,
        place: &Place<'_>,
        declared: &Declared,
        containers: &[(&String, &Service, Wanted)],
        made: &mut Made,
    ) -> Result<()> {
        let deadline = Instant::now() + self.settings.start_timeout;
        let there = self.list(docker, place.instance, Some(place.plugin_id)).await?;
        let mut there: HashMap<String, ContainerSummary> = there
            .into_iter()
            .filter_map(|found| Some((label(&found, names::SERVICE)?.to_owned(), found)))
            .collect();
        // Services that are no longer declared.
        for (name, found) in &there {
            if !declared.project.services.contains_key(name) {
                self.end(docker, found).await?;
            }
        }
        let stale = self.networks(docker, place, declared, &mut there, made).await?;
        self.volumes(docker, place, declared, made).await?;
        let mut ids: BTreeMap<&str, String> = BTreeMap::new();
        for (name, service, wanted) in containers {
            for (other, dependency) in &service.depends_on {
                let until = match dependency.condition {
                    Condition::Started => Until::Started,
                    Condition::Healthy => Until::Healthy,
                    Condition::CompletedSuccessfully => Until::Completed,
                };
                if let (Some(id), Some(needed)) =
                    (ids.get(other.as_str()), declared.project.services.get(other))
                {
                    self.wait(docker, id, (other, needed), until, deadline).await?;
                }
            }
            let found = there.remove(*name);
            let id = self.one(docker, name, service, wanted, found, made).await?;
            ids.insert(name, id);
        }
        for (name, service, _) in containers {
            if let Some(id) = ids.get(name.as_str()) {
                self.wait(docker, id, (name, service), Until::Serving, deadline).await?;
            }
        }
        // Nobody is in them any more.
        for network in stale {
            self.remove_network(docker, &network).await?;
        }
        Ok(())
    }

    /// Starts one container and gives its id. One that is as it should be is taken over.
    async fn one(
        &self,
        docker: &Docker,
        name: &str,
        service: &Service,
        wanted: &Wanted,
        found: Option<ContainerSummary>,
        made: &mut Made,
    ) -> Result<String> {
        if let Some(found) = found {
            let id = found.id.clone().unwrap_or_default();
            let is_same = label(&found, names::CONFIG_HASH) == Some(&wanted.hash);
            let state = self.inspect(docker, name, &id).await?;
            // One that was cut off from its networks is of no use.
            if is_same && has_networks(&state, service) {
                if !(is_running(&state) || has_ended_well(&state) && ends(service)) {
                    self.start_container(docker, name, &id).await?;
                }
                return Ok(id);
            }
            self.end(docker, &found).await?;
        }
        let options = CreateContainerOptionsBuilder::new().name(&wanted.name).build();
        let created = docker.create_container(Some(options), wanted.body.clone()).await;
        let id = created
            .map_err(|e| {
                self.engine.explain(&format!("the container of the service \"{name}\""), &e)
            })?
            .id;
        made.containers.push(id.clone());
        for (network, endpoint) in &wanted.more_networks {
            let request = NetworkConnectRequest {
                container: id.clone(),
                endpoint_config: Some(endpoint.clone()),
            };
            docker
                .connect_network(network, request)
                .await
                .map_err(|e| self.engine.explain(&format!("the network {network}"), &e))?;
        }
        self.start_container(docker, name, &id).await?;
        Ok(id)
    }

    pub(super) async fn start_container(
        &self,
        docker: &Docker,
        name: &str,
        id: &str,
    ) -> Result<()> {
        match docker.start_container(id, None::<StartContainerOptions>).await {
            Ok(()) => Ok(()),
            // It runs already.
            Err(error) if is_status(&error, 304) => Ok(()),
            Err(error) => {
                Err(self.engine.explain(&format!("starting the service \"{name}\""), &error))
            }
        }
    }

    pub(super) async fn inspect(
        &self,
        docker: &Docker,
        name: &str,
        id: &str,
    ) -> Result<ContainerInspectResponse> {
        let found = docker.inspect_container(id, None::<InspectContainerOptions>).await;
        found.map_err(|e| self.engine.explain(&format!("looking at the service \"{name}\""), &e))
    }

    async fn take_back(&self, docker: &Docker, made: Made) {
        let left = |error| tracing::warn!("not taken back, and removed later: {error}");
        for id in made.containers.iter().rev() {
            self.remove_container(docker, id).await.unwrap_or_else(left);
        }
        for name in made.networks.iter().rev() {
            self.remove_network(docker, name).await.unwrap_or_else(left);
        }
        for name in made.volumes.iter().rev() {
            self.remove_volume(docker, name).await.unwrap_or_else(left);
        }
    }

    async fn seen_all(
        &self,
        docker: &Docker,
        plugin_id: &str,
        containers: &[(&String, &Service, Wanted)],
    ) {
        let is_near = self.engine.is_near();
        for (name, service, wanted) in containers {
            // What cannot be looked at now is looked at when something happens to it.
            let Ok(found) = self.inspect(docker, name, &wanted.name).await else { continue };
            let mut running = self.running.write();
            let state = running.get_mut(plugin_id).and_then(|r| r.services.get_mut(name.as_str()));
            if let Some(state) = state {
                state.see(service, &found, is_near);
            }
        }
        if let Some(running) = self.running.write().get_mut(plugin_id) {
            running.is_changing = false;
        }
        self.changed.notify_one();
    }

    /// The containers of this host, or of one plugin.
    pub(super) async fn list(
        &self,
        docker: &Docker,
        instance: &str,
        plugin_id: Option<&str>,
    ) -> Result<Vec<ContainerSummary>> {
        let mut labels = vec![(names::INSTANCE, instance)];
        labels.extend(plugin_id.map(|id| (names::PLUGIN, id)));
        let options =
            ListContainersOptionsBuilder::new().all(true).filters(&names::labeled(&labels)).build();
        let found = docker.list_containers(Some(options)).await;
        found.map_err(|error| self.engine.explain("the containers", &error))
    }
}

/// A label of a container.
pub fn label<'c>(found: &'c ContainerSummary, name: &str) -> Option<&'c str> {
    found.labels.as_ref()?.get(name).map(String::as_str)
}

/// Whether a container is in as many networks as it should be.
fn has_networks(found: &ContainerInspectResponse, service: &Service) -> bool {
    let networks = found.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    networks.map_or(0, HashMap::len) >= service.networks.len()
}
