//! What a Compose file says, with every value resolved: the part of the Compose Specification that the
//! host carries out.

use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

/// The services of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Project {
    /// Each after those that it depends on.
    pub services: IndexMap<String, Service>,
    pub networks: IndexMap<String, Network>,
    pub volumes: IndexMap<String, Volume>,
}

/// The network that services are in unless they name others.
pub const DEFAULT_NETWORK: &str = "default";

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Network {
    /// Without a way out.
    pub internal: bool,
    pub labels: IndexMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Volume {
    pub labels: IndexMap<String, String>,
}

/// A service: one container.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Service {
    pub image: Option<String>,
    pub build: Option<Build>,
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub environment: IndexMap<String, String>,
    pub ports: Vec<Port>,
    /// Ports that the container listens on, for its neighbors.
    pub expose: Vec<Exposed>,
    pub mounts: Vec<Mount>,
    /// Network to the further names that the container has in it.
    pub networks: IndexMap<String, Vec<String>>,
    pub depends_on: IndexMap<String, Dependency>,
    pub healthcheck: Option<Healthcheck>,
    pub restart: Restart,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    pub labels: IndexMap<String, String>,
    pub profiles: Vec<String>,
    pub stop_grace_period: Option<Duration>,
    pub limits: ResourceLimits,
}

/// How an image is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Build {
    /// A folder of the plugin, with forward slashes; empty for the plugin's own.
    pub context: String,
    /// A file in the context.
    pub dockerfile: String,
    pub args: IndexMap<String, String>,
    pub target: Option<String>,
    /// SHA-256 of what is in the context, in hex.
    pub context_hash: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Exposed {
    pub port: u16,
    pub protocol: Protocol,
}

/// A port of the container that can be reached on this machine's loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    pub target: Exposed,
    /// `None`: one that is free.
    pub published: Option<u16>,
    /// A loopback address.
    pub host_ip: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum MountSource {
    /// A volume of the project by its key.
    Volume(String),
    /// One that has no name and goes with the container.
    Anonymous,
    /// A file or folder of the plugin, with forward slashes.
    Inside(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    pub source: MountSource,
    /// A path in the container.
    pub target: String,
    pub read_only: bool,
    /// SHA-256 of what is bound, in hex, if the container cannot change it.
    pub content_hash: Option<String>,
}

/// What must hold of a service before one that depends on it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Condition {
    Started,
    Healthy,
    CompletedSuccessfully,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dependency {
    pub condition: Condition,
    /// Whether it is none if the other is not there.
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Test {
    /// None, not even that of the image.
    Disabled,
    /// That of the image.
    OfImage,
    /// As the engine takes it: `CMD` or `CMD-SHELL` first.
    Command(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    pub test: Test,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
    pub retries: Option<u32>,
}

/// When a container that has ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Restart {
    No,
    Always,
    UnlessStopped,
    /// When it has failed, so often at most; `None` for any number of times.
    OnFailure(Option<u32>),
}

impl Default for Restart {
    /// A service is there to serve. One that has done its work and ended well stays ended.
    fn default() -> Self {
        Restart::OnFailure(None)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ResourceLimits {
    /// In bytes.
    pub memory: Option<u64>,
    /// In bytes.
    pub memory_reservation: Option<u64>,
    /// In processors.
    pub cpus: Option<f64>,
    pub pids: Option<u32>,
}

impl Service {
    /// The port at which it is reached over HTTP unless somebody knows better: the first that is
    /// published or exposed.
    pub fn main_port(&self) -> Option<u16> {
        let tcp = |exposed: &Exposed| exposed.protocol == Protocol::Tcp;
        let published = self.ports.iter().map(|port| port.target).find(tcp);
        published.or_else(|| self.expose.iter().copied().find(tcp)).map(|exposed| exposed.port)
    }
}
