//! The `build` section of a service.

use indexmap::IndexMap;

use super::Context;
use super::model::Build;
use super::reader::{At, Reader, join};
use super::values::inside;
use super::yaml::Node;
use crate::extension::services::context::BuildContext;

const KEYS: &[&str] = &["context", "dockerfile", "args", "target"];

/// Reads the section. Paths are relative to `folder`, where the Compose file is.
pub fn read(
    reader: &mut Reader<'_>,
    at: At<'_>,
    context: &Context<'_>,
    folder: &str,
) -> Option<Build> {
    let mut path = ".".to_owned();
    let mut dockerfile = "Dockerfile".to_owned();
    let mut build = Build::default();
    match &at.item.node {
        Node::Text(text) => path.clone_from(text),
        _ => {
            for entry in reader.map(at)? {
                let key = join(at.path, &entry.key);
                let item = At { item: &entry.value, path: &key };
                match entry.key.as_str() {
                    "context" => path = reader.non_empty(item)?,
                    "dockerfile" => dockerfile = reader.non_empty(item)?,
                    "args" => build.args = args(reader, item, context)?,
                    "target" => build.target = Some(reader.non_empty(item)?),
                    _ => reader.unknown(at.path, entry, KEYS),
                }
            }
        }
    }
    if path.contains("://") || path.starts_with("git@") {
        let message = format!("the context is a folder of the plugin, not {path:?}");
        return reader.parsed(at, Err(message));
    }
    build.context = reader.parsed(at, inside(folder, &path))?;
    build.dockerfile = reader.parsed(at, inside("", &dockerfile))?;
    let files = BuildContext::of(context.source, &build.context, &build.dockerfile);
    let files = files.map_err(|(line, message)| format!(".dockerignore:{line}: {message}"));
    let files = reader.parsed(at, files)?;
    if !files.has(&build.dockerfile) {
        let shown = if build.context.is_empty() { "the plugin's folder" } else { &build.context };
        let message = format!("there is no file {:?} in {shown}", build.dockerfile);
        return reader.parsed(at, Err(message));
    }
    build.context_hash = files.hash();
    Some(build)
}

fn args(
    reader: &mut Reader<'_>,
    at: At<'_>,
    context: &Context<'_>,
) -> Option<IndexMap<String, String>> {
    let pairs = reader.pairs(at)?;
    let with_value = |(name, (value, _)): (String, (Option<String>, u32))| {
        let value = value.or_else(|| context.variables.get(&name).map(str::to_owned))?;
        Some((name, value))
    };
    Some(pairs.into_iter().filter_map(with_value).collect())
}
