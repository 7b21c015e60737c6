//! One service of a Compose file.

use indexmap::IndexMap;
use sha2::{Digest, Sha256};

use super::model::{
    Condition, DEFAULT_NETWORK, Dependency, Exposed, Healthcheck, Mount, MountSource, Port,
    Protocol, Restart, Service, Test,
};
use super::reader::{At, Reader, join};
use super::values::{container_path, duration, exposed, loopback, mount, ports, volume_name};
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
const DURATION: &str = "a duration such as 1m30s";

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
        let Some(path) = reader.parsed(at, build::within(folder, &file)) else { continue };
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

fn all_ports(reader: &mut Reader<'_>, at: At<'_>) -> Vec<Port> {
    let mut found = Vec::new();
    for (index, item) in reader.list(at).unwrap_or_default().iter().enumerate() {
        let path = format!("{}[{index}]", at.path);
        let item = At { item, path: &path };
        match &item.item.node {
            Node::Map(_) => found.extend(long_port(reader, item)),
            _ => {
                let read = reader.text(item).map(ports);
                found.extend(read.and_then(|read| reader.parsed(item, read)).unwrap_or_default());
            }
        }
    }
    found
}

fn long_port(reader: &mut Reader<'_>, at: At<'_>) -> Option<Port> {
    let (mut target, mut published, mut host_ip) = (None, None, loopback(None).ok()?);
    let mut protocol = Protocol::Tcp;
    for entry in reader.map(at)? {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        match entry.key.as_str() {
            "target" => target = Some(reader.value_by(item, "a port", port)?),
            "published" => published = Some(reader.value_by(item, "a port", port)?),
            "host_ip" => {
                let address = loopback(Some(reader.text(item)?));
                host_ip = reader.parsed(item, address)?;
            }
            "protocol" => {
                protocol = reader.value_by(item, "tcp or udp", |text| match text {
                    "tcp" => Some(Protocol::Tcp),
                    "udp" => Some(Protocol::Udp),
                    _ => None,
                })?;
            }
            _ => reader.unknown(at.path, entry, &["target", "published", "host_ip", "protocol"]),
        }
    }
    match target {
        Some(port) => Some(Port { target: Exposed { port, protocol }, published, host_ip }),
        None => reader.expected(at, "the \"target\" port"),
    }
}

fn all_exposed(reader: &mut Reader<'_>, at: At<'_>) -> Vec<Exposed> {
    let mut found = Vec::new();
    for (index, item) in reader.list(at).unwrap_or_default().iter().enumerate() {
        let path = format!("{}[{index}]", at.path);
        let item = At { item, path: &path };
        let read = reader.text(item).map(exposed);
        found.extend(read.and_then(|read| reader.parsed(item, read)).unwrap_or_default());
    }
    found
}

fn mounts(reader: &mut Reader<'_>, at: At<'_>, context: &Context<'_>, folder: &str) -> Vec<Mount> {
    let mut found: Vec<Mount> = Vec::new();
    for (index, item) in reader.list(at).unwrap_or_default().iter().enumerate() {
        let path = format!("{}[{index}]", at.path);
        let item = At { item, path: &path };
        let read = match &item.item.node {
            Node::Map(_) => long_mount(reader, item),
            _ => {
                let read = reader.text(item).map(mount);
                read.and_then(|read| reader.parsed(item, read))
            }
        };
        let Some(mut mount) = read else { continue };
        if let MountSource::Inside(inner) = &mount.source {
            let Some(inner) = reader.parsed(item, build::within(folder, inner)) else { continue };
            let bound = content_hash(context, &inner);
            if bound.is_none() {
                // The engine would make a folder that belongs to root.
                reader.problem(
                    item.path,
                    item.item.line,
                    format!("there is no \"./{inner}\" in the plugin's folder"),
                );
                continue;
            }
            mount.content_hash = bound.filter(|_| mount.read_only);
            mount.source = MountSource::Inside(inner);
        }
        if found.iter().any(|other| other.target == mount.target) {
            let message = format!("something else is mounted at {:?} already", mount.target);
            reader.problem(item.path, item.item.line, message);
            continue;
        }
        found.push(mount);
    }
    found
}

/// The hash of a file, or of the files of a folder, if there is something.
fn content_hash(context: &Context<'_>, path: &str) -> Option<String> {
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut hash = Sha256::new();
    let mut is_there = false;
    for name in context.source.paths().filter(|name| *name == path || name.starts_with(&below)) {
        is_there = true;
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(context.source.bytes(name).unwrap_or_default());
    }
    is_there.then(|| hex::encode(hash.finalize()))
}

fn long_mount(reader: &mut Reader<'_>, at: At<'_>) -> Option<Mount> {
    let (mut is_bind, mut source, mut target, mut read_only) = (None, None, None, false);
    for entry in reader.map(at)? {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        match entry.key.as_str() {
            "type" => {
                is_bind = Some(reader.value_by(item, "volume or bind", |text| match text {
                    "volume" => Some(false),
                    "bind" => Some(true),
                    _ => None,
                })?);
            }
            "source" => source = Some(reader.non_empty(item)?),
            "target" => {
                let path = container_path(reader.text(item)?);
                target = Some(reader.parsed(item, path)?);
            }
            "read_only" => read_only = reader.boolean(item)?,
            _ => reader.unknown(at.path, entry, &["type", "source", "target", "read_only"]),
        }
    }
    let source = match (is_bind, source) {
        (Some(true), Some(source)) => MountSource::Inside(source),
        (Some(false), Some(source)) => {
            MountSource::Volume(reader.parsed(at, volume_name(&source))?)
        }
        (Some(false), None) => MountSource::Anonymous,
        _ => return reader.expected(at, "a \"type\" and, for bind, a \"source\""),
    };
    match target {
        Some(target) => Some(Mount { source, target, read_only, content_hash: None }),
        None => reader.expected(at, "a \"target\""),
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

fn dependencies(reader: &mut Reader<'_>, at: At<'_>) -> IndexMap<String, Dependency> {
    let started = Dependency { condition: Condition::Started, required: true };
    if let Node::List(_) = at.item.node {
        let names = reader.texts(at).unwrap_or_default();
        return names.into_iter().map(|name| (name, started)).collect();
    }
    let mut found = IndexMap::new();
    for entry in reader.map(at).unwrap_or_default() {
        let path = join(at.path, &entry.key);
        let mut dependency = started;
        for inner in reader.map(At { item: &entry.value, path: &path }).unwrap_or_default() {
            let key = join(&path, &inner.key);
            let item = At { item: &inner.value, path: &key };
            match inner.key.as_str() {
                "condition" => {
                    let what = "service_started, service_healthy or service_completed_successfully";
                    let condition = reader.value_by(item, what, |text| match text {
                        "service_started" => Some(Condition::Started),
                        "service_healthy" => Some(Condition::Healthy),
                        "service_completed_successfully" => Some(Condition::CompletedSuccessfully),
                        _ => None,
                    });
                    dependency.condition = condition.unwrap_or(Condition::Started);
                }
                "required" => dependency.required = reader.boolean(item).unwrap_or(true),
                _ => reader.unknown(&path, inner, &["condition", "required"]),
            }
        }
        found.insert(entry.key.clone(), dependency);
    }
    found
}

fn healthcheck(reader: &mut Reader<'_>, at: At<'_>) -> Option<Healthcheck> {
    let mut check = Healthcheck {
        test: Test::OfImage,
        interval: None,
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: None,
    };
    for entry in reader.map(at)? {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        match entry.key.as_str() {
            "test" => check.test = test(reader, item)?,
            "disable" => {
                if reader.boolean(item)? {
                    check.test = Test::Disabled;
                }
            }
            "interval" => check.interval = Some(reader.value_by(item, DURATION, duration)?),
            "timeout" => check.timeout = Some(reader.value_by(item, DURATION, duration)?),
            "start_period" => check.start_period = Some(reader.value_by(item, DURATION, duration)?),
            "start_interval" => {
                check.start_interval = Some(reader.value_by(item, DURATION, duration)?)
            }
            "retries" => check.retries = Some(reader.value(item, "a number of times")?),
            _ => reader.unknown(
                at.path,
                entry,
                &[
                    "test",
                    "interval",
                    "timeout",
                    "retries",
                    "start_period",
                    "start_interval",
                    "disable",
                ],
            ),
        }
    }
    Some(check)
}

fn test(reader: &mut Reader<'_>, at: At<'_>) -> Option<Test> {
    if let Node::Text(line) = &at.item.node {
        return Some(Test::Command(vec!["CMD-SHELL".into(), line.clone()]));
    }
    let words = reader.texts(at)?;
    match words.first().map(String::as_str) {
        Some("NONE") if words.len() == 1 => Some(Test::Disabled),
        Some("CMD") if words.len() > 1 => Some(Test::Command(words)),
        Some("CMD-SHELL") if words.len() == 2 => Some(Test::Command(words)),
        _ => reader
            .expected(at, "a command that begins with \"CMD\", \"CMD-SHELL\" or is [\"NONE\"]"),
    }
}

fn restart(reader: &mut Reader<'_>, at: At<'_>) -> Option<Restart> {
    let what = "\"no\", always, unless-stopped, on-failure or on-failure:TIMES";
    reader.value_by(at, what, |text| match text {
        // YAML makes a boolean of the unquoted word.
        "no" | "false" => Some(Restart::No),
        "always" => Some(Restart::Always),
        "unless-stopped" => Some(Restart::UnlessStopped),
        "on-failure" => Some(Restart::OnFailure(None)),
        other => {
            let times = other.strip_prefix("on-failure:")?.parse().ok()?;
            Some(Restart::OnFailure(Some(times)))
        }
    })
}
