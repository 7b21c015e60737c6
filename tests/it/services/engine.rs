//! The engine of the tests, and what is on it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder,
};
use moondock::settings::Settings;

use crate::support::{TestHost, write};

/// An image with BusyBox and nothing else, which `scripts/docker` makes.
pub const BUSYBOX: &str = "moondock-test/busybox:latest";

/// The engine, or a word that the test is skipped.
pub fn engine() -> Option<Engine> {
    let Ok(url) = std::env::var("MOONDOCK_TEST_DOCKER") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI has no container engine: MOONDOCK_TEST_DOCKER"
        );
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        println!("skipped: {test}, because MOONDOCK_TEST_DOCKER names no container engine");
        return None;
    };
    let docker = Docker::connect_with_host(&url).unwrap();
    Some(Engine { docker, url })
}

/// The engine.
#[derive(Clone)]
pub struct Engine {
    pub docker: Docker,
    pub url: String,
}

impl Engine {
    /// The settings of a host that uses it.
    pub fn settings(&self) -> impl FnOnce(&mut Settings) + use<> {
        let url = self.url.clone();
        move |settings| {
            settings.docker.host = Some(url);
            settings.docker.start_timeout = Duration::from_secs(30);
        }
    }

    /// Everything that a host with this data dir has on the engine: kind and name, sorted.
    pub async fn left(&self, data_dir: &Path) -> Vec<String> {
        let Ok(instance) = std::fs::read_to_string(data_dir.join("instance-id")) else {
            return Vec::new();
        };
        let prefix = format!("moondock-{instance}-");
        let label = vec![format!("dev.moondock.instance={instance}")];
        let filters = HashMap::from([("label", label)]);
        let mut left = Vec::new();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        for container in self.docker.list_containers(Some(options)).await.unwrap() {
            left.push(format!("container {}", container.names.unwrap().join(" ")));
        }
        let options = ListNetworksOptionsBuilder::new().build();
        for network in self.docker.list_networks(Some(options)).await.unwrap() {
            let name = network.name.unwrap();
            if name.starts_with(&prefix) {
                left.push(format!("network {name}"));
            }
        }
        let options = ListVolumesOptionsBuilder::new().build();
        for volume in self.docker.list_volumes(Some(options)).await.unwrap().volumes.unwrap() {
            if volume.name.starts_with(&prefix) {
                left.push(format!("volume {}", volume.name));
            }
        }
        let options = ListImagesOptionsBuilder::new().all(true).build();
        for image in self.docker.list_images(Some(options)).await.unwrap() {
            let is_ours = image.labels.get("dev.moondock.instance") == Some(&instance);
            for tag in image.repo_tags.iter().filter(|tag| tag.starts_with(&prefix)) {
                left.push(format!("image {tag}"));
            }
            if is_ours && image.repo_tags.is_empty() {
                left.push(format!("image {}", image.id));
            }
        }
        left.sort();
        left.iter().map(|name| name.replace(&prefix, "")).collect()
    }

    /// The id of a service's container.
    pub async fn container(&self, host: &TestHost, plugin: &str, service: &str) -> String {
        let data = host.dir.path().join("data");
        let instance = std::fs::read_to_string(data.join("instance-id")).unwrap();
        let name = format!("moondock-{instance}-{plugin}-{service}-1");
        let none = None::<bollard::query_parameters::InspectContainerOptions>;
        self.docker.inspect_container(&name, none).await.unwrap().id.unwrap()
    }
}

/// The summarizer as it ships, on the image that the tests have.
pub fn ship_summarizer(plugins: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/summarizer");
    let to = plugins.join("summarizer");
    crate::support::copy(&from, &to);
    let manifest = std::fs::read_to_string(to.join("manifest.json")).unwrap();
    write(&to.join("manifest.json"), &manifest.replace("busybox:1.37", BUSYBOX));
}
