//! Stopping and removing the containers of plugins, and what else was made for them.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder, StopContainerOptionsBuilder,
};

use super::engine::is_status;
use super::up::label;
use super::{Containers, names};
use crate::error::Result;

/// How much is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Containers and networks; what is labeled to stay up stays.
    Deactivated,
    /// Volumes and images as well; what is labeled to stay stays.
    Uninstalled,
}

/// A plugin as its record says.
#[derive(Debug, Clone)]
pub struct Known {
    pub plugin_id: String,
    pub is_active: bool,
    pub is_installed: bool,
}

impl Containers {
    /// The host no longer looks after a plugin's services.
    pub(super) fn forget(&self, plugin_id: &str) {
        self.running.write().remove(plugin_id);
    }

    /// Takes down what a plugin has. It never fails: what cannot be taken down now is when the engine
    /// answers again, or when the host starts the next time.
    pub async fn down(&self, plugin_id: &str, extent: Extent) {
        self.forget(plugin_id);
        if !self.instance.has(plugin_id) {
            return;
        }
        if let Err(error) = self.take_down(plugin_id, extent).await {
            tracing::error!(
                plugin = plugin_id,
                "containers are left over and are removed once the engine answers: {error}"
            );
            self.changed.notify_one();
        }
    }

    async fn take_down(&self, plugin_id: &str, extent: Extent) -> Result<()> {
        let docker = self.engine.get().await?;
        let instance = self.instance.id()?.to_owned();
        let mut found = self.list(&docker, &instance, Some(plugin_id)).await?;
        if extent == Extent::Deactivated {
            found.retain(|container| label(container, names::STAYS_UP).is_none());
        }
        // Each before those that it depends on, which were made before it.
        let all = found.clone();
        found.sort_by_key(|container| std::cmp::Reverse(depth(container, &all, 0)));
        for container in &found {
            self.end(&docker, container).await?;
        }
        let labels = [(names::INSTANCE, instance.as_str()), (names::PLUGIN, plugin_id)];
        if self.list(&docker, &instance, Some(plugin_id)).await?.is_empty() {
            for network in self.networks_with(&docker, &labels).await? {
                self.remove_network(&docker, &network.name.unwrap_or_default()).await?;
            }
        }
        if extent == Extent::Uninstalled {
            for volume in self.volumes_with(&docker, &labels).await? {
                if !volume.labels.contains_key(names::STAYS) {
                    self.remove_volume(&docker, &volume.name).await?;
                }
            }
            let own = format!("{}-", names::project(&instance, plugin_id));
            self.remove_images(&docker, |tag| tag.starts_with(&own)).await?;
            self.instance.ended(plugin_id);
        }
        Ok(())
    }

    /// Takes down what is there of plugins that are not active or not installed: what a crash, or an
    /// engine that did not answer, has left over.
    pub async fn tidy(&self, known: &[Known]) -> Result<()> {
        let Some(instance) = self.instance.known().filter(|_| self.instance.has_any()) else {
            return Ok(());
        };
        let docker = self.engine.get().await?;
        let own = [(names::INSTANCE, instance)];
        let of = |labels: Option<&HashMap<String, String>>| labels?.get(names::PLUGIN).cloned();
        let mut ids: Vec<String> = Vec::new();
        for container in self.list(&docker, instance, None).await? {
            ids.extend(of(container.labels.as_ref()));
        }
        for network in self.networks_with(&docker, &own).await? {
            ids.extend(of(network.labels.as_ref()));
        }
        for volume in self.volumes_with(&docker, &own).await? {
            ids.extend(of(Some(&volume.labels)));
        }
        ids.sort();
        ids.dedup();
        for id in ids {
            let record = known.iter().find(|known| known.plugin_id == id);
            let extent = match record {
                Some(record) if record.is_active => continue,
                Some(record) if record.is_installed => Extent::Deactivated,
                _ => Extent::Uninstalled,
            };
            self.take_down(&id, extent).await?;
        }
        // Images of a build that was cut off have nothing but their names.
        let prefix = names::prefix(instance);
        let installed: Vec<String> = known
            .iter()
            .filter(|known| known.is_installed)
            .map(|known| format!("{}-", names::project(instance, &known.plugin_id)))
            .collect();
        let is_left = |tag: &str| {
            tag.starts_with(&prefix) && !installed.iter().any(|project| tag.starts_with(project))
        };
        self.remove_images(&docker, is_left).await?;
        for known in known.iter().filter(|known| !known.is_installed) {
            self.instance.ended(&known.plugin_id);
        }
        Ok(())
    }

    /// Stops a container, with the time that it has for that, and removes it.
    pub(super) async fn end(&self, docker: &Docker, found: &ContainerSummary) -> Result<()> {
        let id = found.id.as_deref().unwrap_or_default();
        let name = label(found, names::SERVICE).unwrap_or(id);
        match docker.stop_container(id, Some(StopContainerOptionsBuilder::new().build())).await {
            Ok(()) => {}
            Err(error) if is_status(&error, 304) || is_status(&error, 404) => {}
            Err(error) => {
                return Err(self
                    .engine
                    .explain(&format!("stopping the service \"{name}\""), &error));
            }
        }
        self.remove_container(docker, id).await
    }

    pub(super) async fn remove_container(&self, docker: &Docker, id: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match docker.remove_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            // It is gone, or about to be.
            Err(error) if is_status(&error, 404) || is_status(&error, 409) => Ok(()),
            Err(error) => Err(self.engine.explain(&format!("removing the container {id}"), &error)),
        }
    }

    pub(super) async fn remove_network(&self, docker: &Docker, name: &str) -> Result<()> {
        match docker.remove_network(name).await {
            Ok(()) => Ok(()),
            Err(error) if is_status(&error, 404) => Ok(()),
            Err(error) => Err(self.engine.explain(&format!("removing the network {name}"), &error)),
        }
    }

    pub(super) async fn remove_volume(&self, docker: &Docker, name: &str) -> Result<()> {
        let options = RemoveVolumeOptionsBuilder::new().force(true).build();
        match docker.remove_volume(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if is_status(&error, 404) => Ok(()),
            Err(error) => Err(self.engine.explain(&format!("removing the volume {name}"), &error)),
        }
    }
}

/// How many containers a container depends on, one after the other.
fn depth(container: &ContainerSummary, all: &[ContainerSummary], so_far: usize) -> usize {
    let needed = label(container, names::DEPENDS_ON).unwrap_or_default();
    // A cycle is refused when the file is read; whatever labels say, there is an end.
    if so_far > all.len() {
        return so_far;
    }
    let names = needed.split(',').filter_map(|part| part.split(':').next());
    let found =
        names.filter_map(|name| all.iter().find(|c| label(c, names::SERVICE) == Some(name)));
    found.map(|other| depth(other, all, so_far + 1) + 1).max().unwrap_or(0)
}
