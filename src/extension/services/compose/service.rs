//! One service of a Compose file.

use indexmap::IndexMap;

use super::life::{dependencies, healthcheck, restart};
use super::model::{DEFAULT_NETWORK, Service};
use super::mounts::mounts;
use super::ports::{all_exposed, all_ports};
use super::reader::{At, Reader, join};
use super::values::{DURATION, container_path, duration, inside};
use super::yaml::Node;
use super::{Context, build, dotenv, resources};

const KEYS: &[&str] = &[
    "build",
    "image",
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "ports",
    "expose",
    "volumes",
    "networks",
    "depends_on",
    "healthcheck",
    "restart",
    "user",
    "working_dir",
    "labels",
    "profiles",
    "stop_grace_period",
    "deploy",
    "mem_limit",
    "mem_reservation",
    "cpus",
    "pids_limit",
];

/// Reads a service. Paths are relative to `folder`, where the Compose file is.
pub fn read(reader: &mut Reader<'_>, at: At<'_>, context: &Context<'_>, folder: &str) -> Service {
    let mut service = Service::default();
    let mut of_files = IndexMap::new();
    for entry in reader.map(at).unwrap_or_default() {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        match entry.key.as_str() {
            "build" => service.build = build::read(reader, item, context, folder),
            "image" => service.image = image(reader, item),
            "command" => service.command = command(reader, item),
            "entrypoint" => service.entrypoint = command(reader, item),
            "environment" => service.environment = environment(reader, item, context),
            "env_file" => of_files = env_files(reader, item, context, folder),
            "ports" => service.ports = all_ports(reader, item),
            "expose" => service.expose = all_exposed(reader, item),
            "volumes" => service.mounts = mounts(reader, item, context, folder),
            "networks" => service.networks = networks(reader, item),
            "depends_on" => service.depends_on = dependencies(reader, item),
            "healthcheck" => service.healthcheck = healthcheck(reader, item),
            "restart" => service.restart = restart(reader, item).unwrap_or_default(),
            "user" => service.user = reader.non_empty(item),
            "working_dir" => {
                let path = reader.text(item).map(container_path);
                service.working_dir = path.and_then(|path| reader.parsed(item, path));
            }
            "labels" => service.labels = reader.labels(item).unwrap_or_default(),
            "profiles" => service.profiles = reader.texts(item).unwrap_or_default(),
            "stop_grace_period" => {
                service.stop_grace_period = reader.value_by(item, DURATION, duration);
            }
            "deploy" => resources::deploy(reader, item, context.bounds, &mut service.limits),
            key if resources::short(reader, key, item, context.bounds, &mut service.limits) => {}
            _ => reader.unknown(at.path, entry, KEYS),
        }
    }
    let has = |key: &str| match &at.item.node {
        Node::Map(entries) => entries.iter().any(|entry| entry.key == key),
        _ => false,
    };
    if !has("build") && !has("image") {
        reader.problem(
            at.path,
            at.item.line,
            "expected \"image\" or \"build\", but both are missing",
        );
    }
    if has("build") && service.image.take().is_some() {
        let message = "with \"build\" the host names the image itself, and this name is not used";
        reader.warning(&join(at.path, "image"), at.item.line, message);
    }
    // What is written beats what files say.
    of_files.extend(std::mem::take(&mut service.environment));
    service.environment = of_files;
    if service.networks.is_empty() {
        service.networks.insert(DEFAULT_NETWORK.to_owned(), Vec::new());
    }
    service
}

fn image(reader: &mut Reader<'_>, at: At<'_>) -> Option<String> {
    let is_name = |text: &str| {
        let fits = !text.is_empty()
            && text.len() <= 300
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c));
        fits.then(|| text.to_owned())
    };
    reader.value_by(at, "the name of an image such as postgres:17", is_name)
}

fn command(reader: &mut Reader<'_>, at: At<'_>) -> Option<Vec<String>> {
    match at.item.node {
        Node::Null => None,
        _ => reader.command(at),
    }
}

fn environment(
    reader: &mut Reader<'_>,
    at: At<'_>,
    context: &Context<'_>,
) -> IndexMap<String, String> {
    let mut found = IndexMap::new();
    for (name, (value, line)) in reader.pairs(at).unwrap_or_default() {
        if !dotenv::is_name(&name) {
            let message = "expected the name of an environment variable";
            reader.problem(&join(at.path, &name), line, message);
            continue;
        }
        // Without a value it is that of the variable, if there is one.
        if let Some(value) = value.or_else(|| context.variables.get(&name).map(str::to_owned)) {
            found.insert(name, value);
        }
    }
    found
}

fn env_files(
    reader: &mut Reader<'_>,
    at: At<'_>,
    context: &Context<'_>,
    folder: &str,
) -> IndexMap<String, String> {
    let mut found = IndexMap::new();
    let files: Vec<(String, bool)> = match &at.item.node {
        Node::List(items) => {
            let mut files = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let path = format!("{}[{index}]", at.path);
                files.extend(env_file(reader, At { item, path: &path }));
            }
            files
        }
        _ => env_file(reader, at).into_iter().collect(),
    };
    for (file, is_required) in files {
        let Some(path) = reader.parsed(at, inside(folder, &file)) else { continue };
        let Some(text) = context.source.get(&path) else {
            if is_required {
                reader.problem(at.path, at.item.line, format!("there is no file {file:?}"));
            }
            continue;
        };
        match dotenv::parse(text, context.variables) {
            Ok(pairs) => found.extend(pairs),
            Err((line, message)) => {
                reader.problem(at.path, at.item.line, format!("{path}:{line}: {message}"));
            }
        }
    }
    found
}

/// A file and whether it must be there.
fn env_file(reader: &mut Reader<'_>, at: At<'_>) -> Option<(String, bool)> {
    let Node::Map(entries) = &at.item.node else {
        return Some((reader.non_empty(at)?, true));
    };
    let (mut file, mut is_required) = (None, true);
    for entry in entries {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        match entry.key.as_str() {
            "path" => file = Some(reader.non_empty(item)?),
            "required" => is_required = reader.boolean(item)?,
            _ => reader.unknown(at.path, entry, &["path", "required"]),
        }
    }
    match file {
        Some(file) => Some((file, is_required)),
        None => reader.expected(at, "the \"path\" of a file"),
    }
}

fn networks(reader: &mut Reader<'_>, at: At<'_>) -> IndexMap<String, Vec<String>> {
    if let Node::List(_) = at.item.node {
        let names = reader.texts(at).unwrap_or_default();
        return names.into_iter().map(|name| (name, Vec::new())).collect();
    }
    let mut found = IndexMap::new();
    for entry in reader.map(at).unwrap_or_default() {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        let mut aliases = Vec::new();
        for inner in reader.map(item).unwrap_or_default() {
            let key = join(&path, &inner.key);
            match inner.key.as_str() {
                "aliases" => {
                    aliases =
                        reader.texts(At { item: &inner.value, path: &key }).unwrap_or_default();
                }
                _ => reader.unknown(&path, inner, &["aliases"]),
            }
        }
        found.insert(entry.key.clone(), aliases);
    }
    found
}
