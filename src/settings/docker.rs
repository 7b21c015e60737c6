//! The settings of containers.

use std::time::Duration;

use super::SettingsError;
use super::file::{Key, Kind};
use super::parse::{Found, number, wrong};

/// Everything about the containers of plugins that can be configured.
#[derive(Debug, Clone)]
pub struct DockerSettings {
    /// Where the engine listens, such as `unix:///run/docker.sock`. `None`: where `DOCKER_HOST` says, or
    /// else at the first of the usual places.
    pub host: Option<String>,
    /// The most memory of a container, in MiB.
    pub memory_mb: u64,
    /// The most processors of a container, in hundredths.
    pub cpu_percent: u64,
    /// The most processes of a container.
    pub pids: u32,
    /// How long building or pulling an image may take.
    pub build_timeout: Duration,
    /// How long services may take to start and become healthy.
    pub start_timeout: Duration,
}

impl Default for DockerSettings {
    fn default() -> Self {
        DockerSettings {
            host: None,
            memory_mb: 512,
            cpu_percent: 100,
            pids: 256,
            build_timeout: Duration::from_secs(900),
            start_timeout: Duration::from_secs(120),
        }
    }
}

/// Flags of containers.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DockerFlags {
    /// The container engine that runs the services of plugins, such as unix:///run/docker.sock [default:
    /// DOCKER_HOST, or else the first of the usual sockets of Docker and Podman]
    #[arg(long, value_name = "URL")]
    pub docker_host: Option<String>,
    /// The most memory of a plugin's container, in MiB, and what it has unless it asks for less [default:
    /// 512]
    #[arg(long, value_name = "MIB")]
    pub docker_memory_mb: Option<String>,
    /// The most processors of a plugin's container, in hundredths, and what it has unless it asks for less
    /// [default: 100]
    #[arg(long, value_name = "PERCENT")]
    pub docker_cpu_percent: Option<String>,
    /// The most processes of a plugin's container, and what it may have unless it asks for less [default:
    /// 256]
    #[arg(long, value_name = "NUMBER")]
    pub docker_pids: Option<String>,
    /// How long building or pulling an image may take, in seconds [default: 900]
    #[arg(long, value_name = "SECONDS")]
    pub docker_build_timeout_s: Option<String>,
    /// How long a plugin's services may take to start and become healthy, in seconds [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub docker_start_timeout_s: Option<String>,
}

pub(super) const KEYS: &[Key] = &[
    Key { name: "docker-host", kind: Kind::Text },
    Key { name: "docker-memory-mb", kind: Kind::Number },
    Key { name: "docker-cpu-percent", kind: Kind::Number },
    Key { name: "docker-pids", kind: Kind::Number },
    Key { name: "docker-build-timeout-s", kind: Kind::Number },
    Key { name: "docker-start-timeout-s", kind: Kind::Number },
];

impl DockerFlags {
    /// The flag of a key.
    pub(super) fn get(&self, key: &str) -> Option<&String> {
        match key {
            "docker-host" => self.docker_host.as_ref(),
            "docker-memory-mb" => self.docker_memory_mb.as_ref(),
            "docker-cpu-percent" => self.docker_cpu_percent.as_ref(),
            "docker-pids" => self.docker_pids.as_ref(),
            "docker-build-timeout-s" => self.docker_build_timeout_s.as_ref(),
            "docker-start-timeout-s" => self.docker_start_timeout_s.as_ref(),
            _ => None,
        }
    }
}

/// Sets one of [`KEYS`], and says whether `key` is one.
pub(super) fn set(
    settings: &mut DockerSettings,
    key: &str,
    found: &Found,
) -> Result<bool, SettingsError> {
    let seconds = |max: u64| number(key, found, 1..=max).map(Duration::from_secs);
    match key {
        "docker-host" => {
            let schemes = ["unix://", "tcp://", "http://", "https://"];
            if !schemes.iter().any(|scheme| found.text.starts_with(scheme)) {
                return wrong(key, found, "a URL that starts with unix:// or tcp://");
            }
            settings.host = Some(found.text.clone());
        }
        "docker-memory-mb" => settings.memory_mb = number(key, found, 6..=1 << 20)?,
        "docker-cpu-percent" => settings.cpu_percent = number(key, found, 1..=100_000)?,
        "docker-pids" => settings.pids = number(key, found, 1..=1_000_000)? as u32,
        "docker-build-timeout-s" => settings.build_timeout = seconds(24 * 3600)?,
        "docker-start-timeout-s" => settings.start_timeout = seconds(3600)?,
        _ => return Ok(false),
    }
    Ok(true)
}
