//! The `volumes` section of a service.

use super::Context;
use super::model::{Mount, MountSource};
use super::reader::{At, Reader, join};
use super::values::{container_path, inside, mount, volume_name};
use super::yaml::Node;
use crate::plugin::source::hash_of;

/// Reads the section. Paths are relative to `folder`, where the Compose file is.
pub fn mounts(
    reader: &mut Reader<'_>,
    at: At<'_>,
    context: &Context<'_>,
    folder: &str,
) -> Vec<Mount> {
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
            let Some(inner) = reader.parsed(item, inside(folder, inner)) else { continue };
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
    let names = context.source.paths().filter(|name| *name == path || name.starts_with(&below));
    let mut files = names.filter_map(|name| Some((name, context.source.bytes(name)?))).peekable();
    files.peek().is_some().then_some(())?;
    Some(hash_of(files))
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
