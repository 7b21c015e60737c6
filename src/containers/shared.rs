//! What the containers of a plugin share: networks and volumes.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{
    ContainerSummary, Network, NetworkCreateRequest, Volume, VolumeCreateRequest,
};
use bollard::query_parameters::{ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};

use super::create::Place;
use super::up::Made;
use super::{Containers, names};
use crate::error::Result;
use crate::extension::services::Declared;

impl Containers {
    /// The networks with these labels.
    pub(super) async fn networks_with(
        &self,
        docker: &Docker,
        labels: &[(&str, &str)],
    ) -> Result<Vec<Network>> {
        let options = ListNetworksOptionsBuilder::new().filters(&names::labeled(labels)).build();
        let found = docker.list_networks(Some(options)).await;
        found.map_err(|error| self.engine.explain("the networks", &error))
    }

    /// The volumes with these labels.
    pub(super) async fn volumes_with(
        &self,
        docker: &Docker,
        labels: &[(&str, &str)],
    ) -> Result<Vec<Volume>> {
        let options = ListVolumesOptionsBuilder::new().filters(&names::labeled(labels)).build();
        let found = docker.list_volumes(Some(options)).await;
        let found = found.map_err(|error| self.engine.explain("the volumes", &error))?;
        Ok(found.volumes.unwrap_or_default())
    }

    /// Makes the networks that are not there. One that should be otherwise is made anew, without the
    /// containers that were `there`. Gives those that are declared no longer.
    pub(super) async fn networks(
        &self,
        docker: &Docker,
        place: &Place<'_>,
        declared: &Declared,
        there: &mut HashMap<String, ContainerSummary>,
        made: &mut Made,
    ) -> Result<Vec<String>> {
        let labels = [(names::INSTANCE, place.instance), (names::PLUGIN, place.plugin_id)];
        let found = self.networks_with(docker, &labels).await?;
        let mut found: HashMap<String, Network> = found
            .into_iter()
            .filter_map(|network| Some((network.name.clone()?, network)))
            .collect();
        for (key, network) in &declared.project.networks {
            let name = names::network(place.project, key);
            let hash = names::hash(network);
            if let Some(before) = found.remove(&name) {
                let labels = before.labels.unwrap_or_default();
                if labels.get(names::CONFIG_HASH) == Some(&hash) {
                    continue;
                }
                for (_, container) in there.drain() {
                    self.end(docker, &container).await?;
                }
                self.remove_network(docker, &name).await?;
            }
            let more = [(names::NETWORK, &**key), (names::CONFIG_HASH, &*hash)];
            let request = NetworkCreateRequest {
                name: name.clone(),
                driver: Some("bridge".to_owned()),
                internal: Some(network.internal),
                labels: Some(place.labels(&network.labels, &more)),
                ..Default::default()
            };
            let created = docker.create_network(request).await;
            created.map_err(|e| self.engine.explain(&format!("the network \"{key}\""), &e))?;
            made.networks.push(name);
        }
        Ok(found.into_keys().collect())
    }

    /// Makes the volumes that are not there.
    pub(super) async fn volumes(
        &self,
        docker: &Docker,
        place: &Place<'_>,
        declared: &Declared,
        made: &mut Made,
    ) -> Result<()> {
        if declared.project.volumes.is_empty() {
            return Ok(());
        }
        let labels = [(names::INSTANCE, place.instance), (names::PLUGIN, place.plugin_id)];
        let found = self.volumes_with(docker, &labels).await?;
        for (key, volume) in &declared.project.volumes {
            let name = names::volume(place.project, key);
            if found.iter().any(|found| found.name == name) {
                continue;
            }
            let mut more = vec![(names::VOLUME, &**key)];
            if !declared.docker.remove_on_uninstall {
                more.push((names::STAYS, "true"));
            }
            let request = VolumeCreateRequest {
                name: Some(name.clone()),
                labels: Some(place.labels(&volume.labels, &more)),
                ..Default::default()
            };
            let created = docker.create_volume(request).await;
            created.map_err(|e| self.engine.explain(&format!("the volume \"{key}\""), &e))?;
            made.volumes.push(name);
        }
        Ok(())
    }
}
