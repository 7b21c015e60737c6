//! From a service as it is declared to a container as the engine is asked to make it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, Mount as EngineMount,
    MountType, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};

use indexmap::IndexMap;

use super::engine::FAILED;
use super::images::Image;
use super::names;
use crate::error::{Error, Result};
use crate::extension::services::Declared;
use crate::extension::services::compose::model::{
    Condition, Healthcheck, MountSource, Restart, Service, Test,
};

/// What programs in containers have no use for, and what could harm their neighbors.
const DROPPED: [&str; 3] = ["NET_RAW", "MKNOD", "AUDIT_WRITE"];

/// A container that is to be.
pub struct Wanted {
    pub name: String,
    pub hash: String,
    pub body: ContainerCreateBody,
    /// Further networks, with the names that it has there.
    pub more_networks: Vec<(String, EndpointSettings)>,
}

/// Where a project is.
pub struct Place<'a> {
    pub instance: &'a str,
    pub plugin_id: &'a str,
    pub project: &'a str,
    /// The plugin's folder, absolute and without links.
    pub folder: &'a Path,
}

impl Place<'_> {
    /// What the author of the Compose file has written, the labels by which everything of the plugin is
    /// found, and `more`.
    pub fn labels(
        &self,
        written: &IndexMap<String, String>,
        more: &[(&str, &str)],
    ) -> HashMap<String, String> {
        let own = [
            (names::PROJECT, self.project),
            (names::VERSION, names::COMPOSE_VERSION),
            (names::INSTANCE, self.instance),
            (names::PLUGIN, self.plugin_id),
        ];
        let own = own.iter().chain(more).map(|&(name, value)| (name.to_owned(), value.to_owned()));
        written.clone().into_iter().chain(own).collect()
    }
}

/// The container of a service.
///
/// # Errors
/// When something that is bound is not inside the plugin's folder.
pub fn wanted(
    place: &Place<'_>,
    declared: &Declared,
    name: &str,
    service: &Service,
    image: &Image,
) -> Result<Wanted> {
    let bounds = declared.bounds;
    let limits = &service.limits;
    let memory = signed(limits.memory.unwrap_or(bounds.memory));
    let cpus = limits.cpus.unwrap_or(bounds.cpus);
    let mut networks: Vec<(String, EndpointSettings)> = Vec::new();
    for (network, aliases) in &service.networks {
        let mut aliases = aliases.clone();
        aliases.insert(0, name.to_owned());
        let endpoint = EndpointSettings { aliases: Some(aliases), ..Default::default() };
        networks.push((names::network(place.project, network), endpoint));
    }
    let more_networks = networks.split_off(1.min(networks.len()));
    let host_config = HostConfig {
        mounts: Some(mounts(place, service)?),
        port_bindings: Some(bindings(service)),
        network_mode: networks.first().map(|(name, _)| name.clone()),
        restart_policy: Some(restart(service.restart)),
        memory: Some(memory),
        // No more than that in all: none of it is swap.
        memory_swap: Some(memory),
        memory_reservation: limits.memory_reservation.map(signed),
        nano_cpus: Some((cpus * 1e9) as i64),
        pids_limit: Some(i64::from(limits.pids.unwrap_or(bounds.pids))),
        privileged: Some(false),
        cap_drop: Some(DROPPED.map(str::to_owned).into()),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        ..Default::default()
    };
    let exposed =
        service.expose.iter().copied().chain(service.ports.iter().map(|port| port.target));
    let grace = service.stop_grace_period.map(|grace| grace.as_secs_f64().ceil() as i64);
    let mut body = ContainerCreateBody {
        image: Some(image.name.clone()),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        env: Some(
            service.environment.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        ),
        user: service.user.clone(),
        working_dir: service.working_dir.clone(),
        exposed_ports: Some(
            exposed.map(|e| format!("{}/{}", e.port, e.protocol.as_str())).collect(),
        ),
        healthcheck: service.healthcheck.as_ref().map(health),
        stop_timeout: grace,
        labels: Some(labels(place, declared, name, service, image)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(networks.into_iter().collect()),
        }),
        host_config: Some(host_config),
        ..Default::default()
    };
    // Maps have no order; as JSON objects of sorted keys they do.
    let whole = serde_json::to_value(&body).unwrap_or_default();
    let also: Vec<_> = service.mounts.iter().map(|mount| &mount.content_hash).collect();
    let others: Vec<&String> = more_networks.iter().map(|(name, _)| name).collect();
    let hash = names::hash(&(sorted(&whole), &service.networks, others, also, &image.id));
    if let Some(labels) = &mut body.labels {
        labels.insert(names::CONFIG_HASH.to_owned(), hash.clone());
    }
    Ok(Wanted { name: names::container(place.project, name), hash, body, more_networks })
}

/// JSON whose objects have their keys in order.
fn sorted(json: &serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Object(map) => {
            let ordered: std::collections::BTreeMap<&String, serde_json::Value> =
                map.iter().map(|(key, value)| (key, sorted(value))).collect();
            ordered.into_iter().map(|(key, value)| (key.clone(), value)).collect()
        }
        serde_json::Value::Array(items) => {
            serde_json::Value::Array(items.iter().map(sorted).collect())
        }
        other => other.clone(),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn labels(
    place: &Place<'_>,
    declared: &Declared,
    name: &str,
    service: &Service,
    image: &Image,
) -> HashMap<String, String> {
    let depends: Vec<String> = service
        .depends_on
        .iter()
        .map(|(other, dependency)| {
            let condition = match dependency.condition {
                Condition::Started => "service_started",
                Condition::Healthy => "service_healthy",
                Condition::CompletedSuccessfully => "service_completed_successfully",
            };
            format!("{other}:{condition}:false")
        })
        .collect();
    let file = place.folder.join(&declared.docker.compose_file).display().to_string();
    let more = [
        (names::SERVICE, name),
        (names::NUMBER, "1"),
        (names::ONE_OFF, "False"),
        (names::DEPENDS_ON, &*depends.join(",")),
        (names::WORKING_DIR, &*place.folder.display().to_string()),
        (names::CONFIG_FILES, &*file),
        ("com.docker.compose.image", &*image.id),
    ];
    let mut labels = place.labels(&service.labels, &more);
    if !declared.docker.down_on_deactivate {
        labels.insert(names::STAYS_UP.to_owned(), "true".to_owned());
    }
    labels
}

fn mounts(place: &Place<'_>, service: &Service) -> Result<Vec<EngineMount>> {
    let mut found = Vec::new();
    for mount in &service.mounts {
        let (typ, source) = match &mount.source {
            MountSource::Anonymous => (MountType::VOLUME, None),
            MountSource::Volume(volume) => {
                (MountType::VOLUME, Some(names::volume(place.project, volume)))
            }
            MountSource::Inside(path) => (MountType::BIND, Some(inside(place.folder, path)?)),
        };
        found.push(EngineMount {
            typ: Some(typ),
            source,
            target: Some(mount.target.clone()),
            read_only: Some(mount.read_only),
            ..Default::default()
        });
    }
    Ok(found)
}

/// The real path of something in the plugin's folder. The file was read with the folder as it was then;
/// since, a link may have come into the way.
fn inside(folder: &Path, path: &str) -> Result<String> {
    let whole = folder.join(path);
    let refuse =
        |why: String| Err(Error::new(FAILED, format!("the bind mount of \"./{path}\": {why}")));
    match whole.canonicalize() {
        Ok(real) if real.starts_with(folder) => Ok(real.display().to_string()),
        Ok(real) => refuse(format!("it leads out of the plugin's folder, to {}", real.display())),
        Err(error) => refuse(error.to_string()),
    }
}

fn bindings(service: &Service) -> bollard::models::PortMap {
    let mut bindings = bollard::models::PortMap::new();
    for port in &service.ports {
        let target = format!("{}/{}", port.target.port, port.target.protocol.as_str());
        let binding = PortBinding {
            host_ip: Some(port.host_ip.clone()),
            host_port: Some(port.published.map(|port| port.to_string()).unwrap_or_default()),
        };
        bindings.entry(target).or_default().get_or_insert_default().push(binding);
    }
    bindings
}

fn restart(restart: Restart) -> RestartPolicy {
    let (name, count) = match restart {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure(count) => (RestartPolicyNameEnum::ON_FAILURE, count),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: count.map(i64::from) }
}

fn health(check: &Healthcheck) -> HealthConfig {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        test: match &check.test {
            Test::Disabled => Some(vec!["NONE".to_owned()]),
            Test::OfImage => None,
            Test::Command(words) => Some(words.clone()),
        },
        interval: check.interval.map(nanos),
        timeout: check.timeout.map(nanos),
        retries: check.retries.map(i64::from),
        start_period: check.start_period.map(nanos),
        start_interval: check.start_interval.map(nanos),
    }
}
