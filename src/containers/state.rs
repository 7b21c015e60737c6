//! What is known of the services of active plugins.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use url::Url;

use super::Containers;
use crate::extension::services::compose::model::Service;

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunState {
    Running,
    /// It is about to be started again.
    Restarting,
    /// It has ended.
    Exited,
    /// There is none.
    #[default]
    Missing,
}

impl RunState {
    pub const ALL: [RunState; 4] =
        [RunState::Running, RunState::Restarting, RunState::Exited, RunState::Missing];

    /// The name in GraphQL.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "RUNNING",
            RunState::Restarting => "RESTARTING",
            RunState::Exited => "EXITED",
            RunState::Missing => "MISSING",
        }
    }
}

/// What the health check of a container says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// It has no check.
    #[default]
    None,
    Starting,
    Healthy,
    Unhealthy,
}

impl Health {
    /// The name in Lua and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::None => "none",
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }
    }
}

/// A port of a container that is published on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub target: u16,
    pub host_ip: String,
    pub port: u16,
}

/// What is known of one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceState {
    pub name: String,
    pub state: RunState,
    pub health: Health,
    pub container: Option<String>,
    pub image: Option<String>,
    /// Where it is reached.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub published: Vec<Published>,
    /// Its addresses in the networks of the plugin.
    pub addresses: Vec<IpAddr>,
    /// How it ended, if it has ended.
    pub exit_code: Option<i64>,
    /// How often it was started again since the plugin became active.
    pub restarts: u32,
    /// In ISO 8601.
    pub started_at: Option<String>,
    /// What went wrong last.
    pub error: Option<String>,
}

impl ServiceState {
    /// Its base URL.
    pub fn url(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Some(match self.port {
            Some(port) => format!("http://{host}:{port}"),
            None => format!("http://{host}"),
        })
    }

    /// Takes over what an inspection says. `is_near` if its own address can be reached from here.
    pub fn see(&mut self, service: &Service, found: &ContainerInspectResponse, is_near: bool) {
        let state = found.state.clone().unwrap_or_default();
        self.container.clone_from(&found.id);
        self.image = found.config.as_ref().and_then(|config| config.image.clone());
        self.state = match state.status {
            Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED) => {
                RunState::Running
            }
            Some(ContainerStateStatusEnum::RESTARTING) => RunState::Restarting,
            _ => RunState::Exited,
        };
        self.health = match state.health.and_then(|health| health.status) {
            Some(HealthStatusEnum::STARTING) => Health::Starting,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
            _ => Health::None,
        };
        let has_ended = self.state == RunState::Exited;
        self.exit_code = state.exit_code.filter(|_| has_ended);
        self.started_at = state.started_at;
        self.error = state.error.filter(|error| !error.is_empty());
        if state.oom_killed == Some(true) && has_ended {
            self.error = Some("it used more memory than it may have and was killed".to_owned());
        }
        let network = found.network_settings.clone().unwrap_or_default();
        let endpoints = network.networks.unwrap_or_default();
        let ordered = BTreeMap::from_iter(&endpoints);
        let addresses = ordered.values().filter_map(|endpoint| endpoint.ip_address.as_deref());
        self.addresses = addresses.filter_map(|ip| ip.parse().ok()).collect();
        self.published = published(network.ports.unwrap_or_default());
        let main = service.main_port().or_else(|| image_port(found));
        let running = self.state == RunState::Running;
        let near = self.addresses.first().filter(|_| is_near).map(|ip| (ip.to_string(), main));
        let far = || {
            let wanted = |p: &&Published| main.is_none_or(|main| p.target == main);
            let found = self.published.iter().find(wanted)?;
            Some((found.host_ip.clone(), Some(found.port)))
        };
        let reached = running.then(|| near.or_else(far)).flatten();
        (self.host, self.port) = match reached {
            Some((host, port)) => (Some(host), port),
            None => (None, main),
        };
    }
}

fn published(ports: bollard::models::PortMap) -> Vec<Published> {
    let mut found = Vec::new();
    for (target, bindings) in ports {
        let target = target.split('/').next().and_then(|port| port.parse().ok());
        for binding in bindings.unwrap_or_default() {
            let port = binding.host_port.as_deref().and_then(|port| port.parse().ok());
            if let (Some(target), Some(port)) = (target, port) {
                let host_ip = binding.host_ip.unwrap_or_default();
                found.push(Published { target, host_ip, port });
            }
        }
    }
    found.sort_by_key(|published| (published.target, published.port));
    found
}

/// The port that the image says it listens on.
fn image_port(found: &ContainerInspectResponse) -> Option<u16> {
    let exposed = found.config.as_ref()?.exposed_ports.as_ref()?;
    let mut ports: Vec<u16> =
        exposed.iter().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok()).collect();
    ports.sort_unstable();
    ports.first().copied()
}

impl Containers {
    /// The services of an active plugin, by name.
    pub fn services(&self, plugin_id: &str) -> Vec<ServiceState> {
        let running = self.running.read();
        running.get(plugin_id).map(|r| r.services.values().cloned().collect()).unwrap_or_default()
    }

    /// One service of an active plugin.
    pub fn service(&self, plugin_id: &str, name: &str) -> Option<ServiceState> {
        self.running.read().get(plugin_id)?.services.get(name).cloned()
    }

    /// Whether a URL leads to one of the plugin's own services.
    pub fn owns(&self, plugin_id: &str, url: &Url) -> bool {
        let Some(ip) = crate::permission::literal(url) else { return false };
        let running = self.running.read();
        let Some(running) = running.get(plugin_id) else { return false };
        let port = url.port_or_known_default();
        let is_at = |published: &Published| {
            published.host_ip.parse() == Ok(ip) && Some(published.port) == port
        };
        running
            .services
            .values()
            .filter(|service| service.state == RunState::Running)
            .any(|service| service.addresses.contains(&ip) || service.published.iter().any(is_at))
    }

    /// The plugins that have services, and what is declared of them.
    pub(super) fn running(&self) -> Vec<(String, Arc<crate::extension::services::Declared>)> {
        let running = self.running.read();
        running.iter().map(|(id, running)| (id.clone(), Arc::clone(&running.declared))).collect()
    }
}
