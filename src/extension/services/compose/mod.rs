//! Reading a plugin's Compose file, as the [Compose Specification](https://compose-spec.io) has it, as
//! far as the host carries it out. Everything else is refused by name and line.

mod build;
pub mod dotenv;
mod interpolate;
mod life;
pub mod model;
mod mounts;
mod order;
mod ports;
mod reader;
mod resources;
mod service;
mod values;
mod yaml;

#[cfg(test)]
mod tests;

use indexmap::IndexMap;

pub use interpolate::Variables;
pub use model::Project;

use self::model::{DEFAULT_NETWORK, MountSource, Network, Volume};
use self::reader::{At, Reader, join};
use self::yaml::{Entry, Node};
use crate::error::{Phase, Problem};
use crate::plugin::source::Source;

/// The limits of containers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The most memory of one container, in bytes.
    pub memory: u64,
    /// The most processors of one container.
    pub cpus: f64,
    /// The most processes of one container.
    pub pids: u32,
}

/// What the text is read with.
pub struct Context<'a> {
    /// The plugin's files.
    pub source: &'a Source,
    pub variables: &'a Variables,
    pub bounds: Bounds,
    /// The only service that is wanted, with those that it depends on.
    pub only: Option<&'a str>,
}

/// A project and what is odd about its file.
#[derive(Debug)]
pub struct Parsed {
    pub project: Project,
    pub warnings: Vec<Problem>,
}

/// Reads the Compose file `file` of a plugin.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(file: &str, context: &Context<'_>) -> Result<Parsed, Vec<Problem>> {
    let Some(text) = context.source.get(file) else {
        let message = format!("docker.composeFile: there is no file \"{file}\"");
        let problem = Problem::new(Phase::Load, message);
        return Err(vec![problem.in_file(crate::plugin::manifest::MANIFEST_FILE)]);
    };
    let mut tree = yaml::parse(text).map_err(|error| {
        let problem = Problem::new(Phase::Load, error.message).in_file(file);
        vec![match error.line {
            Some(line) => problem.at_line(line),
            None => problem,
        }]
    })?;
    let mut reader = Reader::new(file);
    reader.interpolate(&mut tree, "", context.variables);
    let mut project = Project::default();
    let top = At { item: &tree, path: "the file" };
    let entries = match &tree.node {
        Node::Map(entries) => entries.as_slice(),
        _ => {
            reader.expected::<()>(top, "a mapping with \"services\"");
            &[]
        }
    };
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut lines = IndexMap::new();
    for entry in entries {
        let at = At { item: &entry.value, path: &entry.key };
        match entry.key.as_str() {
            // Obsolete, and in most files.
            "version" => {}
            "services" => {
                for (name, line, service) in services(&mut reader, at, context, folder) {
                    lines.insert(name.clone(), line);
                    project.services.insert(name, service);
                }
            }
            "networks" => project.networks = named(&mut reader, at, network),
            "volumes" => project.volumes = named(&mut reader, at, volume),
            _ => reader.unknown("", entry, &["services", "networks", "volumes", "version"]),
        }
    }
    if !entries.iter().any(|entry| entry.key == "services") && reader.problems.is_empty() {
        reader.problem(
            "services",
            tree.line,
            "expected the services of the plugin, but it is missing",
        );
    }
    let references = project.clone();
    check_references(&mut reader, &references, &lines);
    if reader.problems.is_empty() {
        order::arrange(&mut reader, &mut project, &lines, context);
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let uses_default = |service: &model::Service| service.networks.contains_key(DEFAULT_NETWORK);
    if project.services.values().any(uses_default) {
        project.networks.entry(DEFAULT_NETWORK.to_owned()).or_default();
    }
    Ok(Parsed { project, warnings: reader.warnings })
}

fn services(
    reader: &mut Reader<'_>,
    at: At<'_>,
    context: &Context<'_>,
    folder: &str,
) -> Vec<(String, u32, model::Service)> {
    let mut services = Vec::new();
    for entry in reader.map(at).unwrap_or_default() {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        if reader.parsed(item, values::volume_name(&entry.key)).is_none() {
            continue;
        }
        let service = service::read(reader, item, context, folder);
        services.push((entry.key.clone(), entry.line, service));
    }
    if services.is_empty() && reader.problems.is_empty() {
        reader.problem(at.path, at.item.line, "expected at least one service");
    }
    services
}

fn named<T>(
    reader: &mut Reader<'_>,
    at: At<'_>,
    read: fn(&mut Reader<'_>, At<'_>) -> T,
) -> IndexMap<String, T> {
    let mut found = IndexMap::new();
    for entry in reader.map(at).unwrap_or_default() {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        if reader.parsed(item, values::volume_name(&entry.key)).is_some() {
            found.insert(entry.key.clone(), read(reader, item));
        }
    }
    found
}

fn network(reader: &mut Reader<'_>, at: At<'_>) -> Network {
    let mut network = Network::default();
    for Entry { key, value, .. } in reader.map(at).unwrap_or_default() {
        let path = join(at.path, key);
        let item = At { item: value, path: &path };
        match key.as_str() {
            "internal" => network.internal = reader.boolean(item).unwrap_or_default(),
            "labels" => network.labels = reader.labels(item).unwrap_or_default(),
            "driver" => only(reader, item, "bridge"),
            _ => unknown_in(reader, at, key, &["driver", "internal", "labels"]),
        }
    }
    network
}

fn volume(reader: &mut Reader<'_>, at: At<'_>) -> Volume {
    let mut volume = Volume::default();
    for Entry { key, value, .. } in reader.map(at).unwrap_or_default() {
        let path = join(at.path, key);
        let item = At { item: value, path: &path };
        match key.as_str() {
            "labels" => volume.labels = reader.labels(item).unwrap_or_default(),
            "driver" => only(reader, item, "local"),
            _ => unknown_in(reader, at, key, &["driver", "labels"]),
        }
    }
    volume
}

/// The one driver that stays within the rules.
fn only(reader: &mut Reader<'_>, at: At<'_>, driver: &str) {
    reader.value_by(at, &format!("{driver:?}"), |text| (text == driver).then_some(()));
}

fn unknown_in(reader: &mut Reader<'_>, at: At<'_>, key: &str, known: &[&str]) {
    let Node::Map(entries) = &at.item.node else { return };
    if let Some(entry) = entries.iter().find(|entry| entry.key == key) {
        reader.unknown(at.path, entry, known);
    }
}

/// Whether what the services name is there.
fn check_references(reader: &mut Reader<'_>, project: &Project, lines: &IndexMap<String, u32>) {
    let writable: Vec<(&str, &str)> = project
        .services
        .iter()
        .flat_map(|(name, service)| service.mounts.iter().map(move |mount| (name, mount)))
        .filter(|(_, mount)| !mount.read_only)
        .filter_map(|(name, mount)| match &mount.source {
            MountSource::Inside(path) => Some((name.as_str(), path.as_str())),
            _ => None,
        })
        .collect();
    for (name, service) in &project.services {
        let line = lines.get(name).copied().unwrap_or(1);
        let mut problem = |key: &str, message: String| {
            reader.problem(&format!("services.{name}.{key}"), line, message);
        };
        for network in service.networks.keys() {
            if network != DEFAULT_NETWORK && !project.networks.contains_key(network) {
                problem("networks", format!("there is no network {network:?} under \"networks\""));
            }
        }
        for (other, dependency) in &service.depends_on {
            if dependency.required && !project.services.contains_key(other) {
                problem("depends_on", format!("there is no service {other:?}"));
            }
        }
        for mount in &service.mounts {
            match &mount.source {
                MountSource::Volume(volume) if !project.volumes.contains_key(volume) => {
                    problem("volumes", format!("there is no volume {volume:?} under \"volumes\""));
                }
                // What a container can write to it could replace by a link that leads elsewhere.
                MountSource::Inside(path) => {
                    let above = writable.iter().find(|(_, above)| is_below(path, above));
                    if let Some((other, above)) = above {
                        problem(
                            "volumes",
                            format!(
                                "\"./{path}\" is in \"./{above}\", which services.{other} can write to; \
                                 bind one of them, or that one read-only"
                            ),
                        );
                    }
                }
                _ => {}
            }
        }
    }
}

fn is_below(path: &str, above: &str) -> bool {
    match path.strip_prefix(above) {
        Some("") => false,
        Some(rest) => above.is_empty() || rest.starts_with('/'),
        None => false,
    }
}
