//! The engine of the tests, and what is on it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, ListContainersOptionsBuilder,
    ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    LogsOptionsBuilder,
};
use futures_util::StreamExt;
use moondock::settings::Settings;

use crate::support::{REGISTER, manifest_with, registering, write};

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

    /// The name of a service's container.
    pub fn container(&self, data_dir: &Path, plugin: &str, service: &str) -> String {
        let instance = std::fs::read_to_string(data_dir.join("instance-id")).unwrap();
        format!("moondock-{instance}-{plugin}-{service}-1")
    }

    /// What a container has written.
    pub async fn logs(&self, container: &str) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let lines: Vec<_> = self.docker.logs(container, Some(options)).collect().await;
        lines.into_iter().map(|line| line.unwrap().to_string()).collect()
    }

    /// Runs a command in a container: what it writes and its exit code.
    pub async fn run(&self, container: &str, command: &[&str]) -> (String, i64) {
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.docker.create_exec(container, options).await.unwrap().id;
        let mut written = String::new();
        if let StartExecResults::Attached { mut output, .. } =
            self.docker.start_exec(&exec, None).await.unwrap()
        {
            while let Some(line) = output.next().await {
                written.push_str(&line.unwrap().to_string());
            }
        }
        let code = self.docker.inspect_exec(&exec).await.unwrap().exit_code.unwrap();
        (written, code)
    }

    /// What the engine says about a network.
    pub async fn network(&self, name: &str) -> serde_json::Value {
        let found = self.docker.inspect_network(name, None::<InspectNetworkOptions>).await;
        serde_json::to_value(found.unwrap()).unwrap()
    }

    /// What the engine says about a container.
    pub async fn inspect(&self, container: &str) -> serde_json::Value {
        let found = self.docker.inspect_container(container, None::<InspectContainerOptions>).await;
        serde_json::to_value(found.unwrap()).unwrap()
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

/// Writes a plugin with this Compose file, in which `{busybox}` is the image of the tests. Its field
/// `{id}_get(name: String!)` gives what `ctx.services` says about a service.
pub fn write_plugin(plugins: &Path, id: &str, compose: &str, files: &[(&str, &str)]) {
    let folder = plugins.join(id);
    let docker = r#", "docker": { "enabled": true }"#;
    write(&folder.join("manifest.json"), &manifest_with(id, REGISTER, docker));
    let main = registering(
        "builder:queryField('get', { type = 'JSON', auth = 'public', args = { name = 'String!' },\n\
         resolve = function(_, args, ctx) local s = ctx.services[args.name]\n\
         return { url = s.url, host = s.host, port = s.port, health = s.health, state = s.state } end })\n\
         builder:queryField('fetch', { type = 'String', auth = 'public', args = { url = 'String!' },\n\
         resolve = function(_, args, ctx) return ctx.http:get(args.url).body end })",
    );
    write(&folder.join("init.lua"), &main);
    write(&folder.join("docker-compose.yml"), &compose.replace("{busybox}", BUSYBOX));
    for (path, content) in files {
        write(&folder.join(path), &content.replace("{busybox}", BUSYBOX));
    }
}
