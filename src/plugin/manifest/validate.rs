//! Validation of a whole manifest.

use indexmap::IndexMap;
use semver::{Version, VersionReq};

use super::check::{Check, Fields, Node};
use super::document::Document;
use super::extension_points::{self, script};
use super::patterns::{inner_path, is_env_name};
use super::*;
use crate::error::Phase;

const KNOWN: [&str; 18] = [
    "$schema",
    "name",
    "pluginId",
    "version",
    "description",
    "author",
    "main",
    "icon",
    "homepage",
    "license",
    "tags",
    "extensionPoints",
    "dependencies",
    "exports",
    "permissions",
    "configSchema",
    "runtime",
    "docker",
];

/// See [`Manifest::parse`].
pub(super) fn parse(
    text: &str,
    folder_name: Option<&str>,
) -> Result<(Manifest, Vec<Problem>), Vec<Problem>> {
    // Some editors write a byte order mark, which JSON does not have.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = Document::parse(text).map_err(|e| {
        let message = format!("not valid JSON: {}", e.message);
        let mut problem = Problem::new(Phase::Manifest, message)
            .in_file(MANIFEST_FILE)
            .at_line(e.line)
            .at_column(e.column);
        problem.excerpt = line_of(text, e.line);
        vec![problem]
    })?;
    let mut check = Check::of(&document);
    for (path, line) in &document.duplicates {
        let mut problem =
            Problem::new(Phase::Manifest, format!("{path}: the key is in this object twice"))
                .in_file(MANIFEST_FILE)
                .at_line(*line);
        problem.excerpt = document.excerpt(*line);
        check.problems.push(problem);
    }
    let manifest = read(&mut check, &document.value, folder_name);
    let Check { mut problems, mut warnings, .. } = check;
    problems.sort_by_key(|problem| problem.line);
    warnings.sort_by_key(|warning| warning.line);
    match manifest {
        Some(manifest) if problems.is_empty() => Ok((manifest, warnings)),
        _ => Err(problems),
    }
}

fn read(
    check: &mut Check<'_>,
    json: &serde_json::Value,
    folder_name: Option<&str>,
) -> Option<Manifest> {
    let root = Node { json, path: String::new() };
    let fields = check.object(&root, &KNOWN)?;

    let name = fields.required_text(check, "name");
    let plugin_id = plugin_id(check, &fields, folder_name);
    let version = version(check, &fields);
    let description = fields.required_text(check, "description");
    let author = fields.required_text(check, "author");
    let main = fields
        .required(check, "main", "the name of the main script, such as \"init.lua\"")
        .and_then(|node| script(check, &node));

    // With no main, the other entries are still worth checking.
    let entry_file = main.as_deref().unwrap_or("init.lua");
    let extension_points = fields
        .get("extensionPoints")
        .map(|node| extension_points::read(check, &node, entry_file))
        .unwrap_or_default();
    let dependencies = dependencies(check, &fields, plugin_id.as_deref());
    let exports = exports(check, &fields);
    let mut permissions = fields
        .get("permissions")
        .map(|node| super::permissions::read(check, &node))
        .unwrap_or_default();
    let config_schema =
        fields.get("configSchema").and_then(|node| super::config_schema::read(check, &node));
    let runtime = fields.get("runtime").map(|node| runtime(check, &node)).unwrap_or_default();
    let docker = fields.get("docker").and_then(|node| docker(check, &node));
    permissions.docker |= docker.as_ref().is_some_and(|docker| docker.enabled);
    let tags = fields.get("tags").map(|node| check.strings(&node, "a non-empty string", non_blank));
    let icon = fields.text(check, "icon");
    let homepage = fields.text(check, "homepage");
    let license = fields.text(check, "license");
    if let Some(node) = fields.get("$schema") {
        check.string(&node);
    }

    Some(Manifest {
        name: name?,
        plugin_id: plugin_id?,
        version: version?,
        description: description?,
        author: author?,
        main: main?,
        icon,
        homepage,
        license,
        tags: tags.unwrap_or_default(),
        extension_points,
        dependencies,
        exports,
        permissions,
        config_schema,
        runtime,
        docker,
        json: json.clone(),
    })
}

fn non_blank(text: &str) -> bool {
    !text.trim().is_empty()
}

fn plugin_id(
    check: &mut Check<'_>,
    fields: &Fields<'_>,
    folder_name: Option<&str>,
) -> Option<String> {
    const WHAT: &str = "a letter followed by letters, digits and \"_\", at most 100 characters";
    let node = fields.required(check, "pluginId", WHAT)?;
    let text = node.json.as_str();
    if let Some(text) = text.filter(|text| !is_plugin_id(text)) {
        let hint = generate_plugin_id(text);
        check.problem(
            &node.path,
            format!("expected {WHAT}, found {}; did you mean {hint:?}?", shown(&node)),
        );
        return None;
    }
    let id = check.string_where(&node, WHAT, is_plugin_id)?;
    if let Some(folder) = folder_name.filter(|folder| *folder != id) {
        check.problem(
            &node.path,
            format!("expected the name of the plugin's folder, {folder:?}, found {id:?}"),
        );
        return None;
    }
    Some(id.to_owned())
}

fn shown(node: &Node<'_>) -> String {
    crate::value::Value::from(node.json).excerpt()
}

fn version(check: &mut Check<'_>, fields: &Fields<'_>) -> Option<Version> {
    const WHAT: &str = "a semantic version such as \"1.0.0\"";
    let node = fields.required(check, "version", WHAT)?;
    let parsed = node.json.as_str().and_then(|text| Version::parse(text).ok());
    if parsed.is_none() {
        check.expected(&node, WHAT);
    }
    parsed
}

fn dependencies(
    check: &mut Check<'_>,
    fields: &Fields<'_>,
    own_id: Option<&str>,
) -> IndexMap<String, VersionReq> {
    let mut dependencies = IndexMap::new();
    let Some(map) = fields.get("dependencies").and_then(|node| check.map(&node)) else {
        return dependencies;
    };
    for (id, node) in map.entries() {
        if !is_plugin_id(id) {
            check.problem(&node.path, format!("expected a plugin id as key, found {id:?}"));
        }
        if own_id == Some(id) {
            check.problem(&node.path, "a plugin cannot depend on itself");
        }
        match node.json.as_str().and_then(|text| VersionReq::parse(text).ok()) {
            Some(range) => {
                dependencies.insert(id.to_owned(), range);
            }
            None => check.expected(&node, "a version range such as \"^1.0\""),
        }
    }
    dependencies
}

fn exports(check: &mut Check<'_>, fields: &Fields<'_>) -> Vec<String> {
    let mut exports: Vec<String> = Vec::new();
    let Some(node) = fields.get("exports") else { return exports };
    for item in check.list(&node).unwrap_or_default() {
        let Some(path) = script(check, &item) else { continue };
        if exports.contains(&path) {
            check.problem(&item.path, format!("{path:?} is exported twice"));
        } else {
            exports.push(path);
        }
    }
    exports
}

fn runtime(check: &mut Check<'_>, node: &Node<'_>) -> Runtime {
    let mut runtime = Runtime::default();
    let Some(fields) = check.object(node, &["instances", "memoryMb", "timeoutMs"]) else {
        return runtime;
    };
    let mut number = |key: &str, max: u64| {
        let value = check.integer(&fields.get(key)?, 1..=i64::try_from(max).ok()?)?;
        Some(value.unsigned_abs())
    };
    if let Some(instances) = number("instances", u64::from(MAX_INSTANCES)) {
        runtime.instances = instances as u32;
    }
    if let Some(memory_mb) = number("memoryMb", MAX_MEMORY_MB) {
        runtime.memory_mb = memory_mb;
    }
    if let Some(timeout_ms) = number("timeoutMs", MAX_TIMEOUT_MS) {
        runtime.timeout_ms = timeout_ms;
    }
    runtime
}

fn docker(check: &mut Check<'_>, node: &Node<'_>) -> Option<Docker> {
    let known = [
        "enabled",
        "composeFile",
        "service",
        "buildOnInstall",
        "upOnActivate",
        "downOnDeactivate",
        "removeOnUninstall",
        "env",
    ];
    let fields = check.object(node, &known)?;
    let compose_file = match fields.get("composeFile") {
        Some(node) => compose_file(check, &node),
        None => Some("docker-compose.yml".to_owned()),
    };
    let mut env = IndexMap::new();
    let variables = fields.get("env").and_then(|node| check.map(&node));
    for (key, node) in variables.iter().flat_map(Fields::entries) {
        if !is_env_name(key) {
            check.problem(
                &node.path,
                format!("expected the name of a variable as key, found {key:?}"),
            );
        }
        if let Some(value) = check.string(&node) {
            env.insert(key.to_owned(), value.to_owned());
        }
    }
    Some(Docker {
        enabled: fields.flag(check, "enabled", false),
        compose_file: compose_file?,
        service: fields.get("service").and_then(|node| check.non_empty(&node)).map(str::to_owned),
        build_on_install: fields.flag(check, "buildOnInstall", true),
        up_on_activate: fields.flag(check, "upOnActivate", true),
        down_on_deactivate: fields.flag(check, "downOnDeactivate", true),
        remove_on_uninstall: fields.flag(check, "removeOnUninstall", true),
        env,
    })
}

fn compose_file(check: &mut Check<'_>, node: &Node<'_>) -> Option<String> {
    let text = check.string_where(node, "the name of a Compose file", |s| !s.is_empty())?;
    match inner_path(text) {
        Ok(path) if path.ends_with(".yml") || path.ends_with(".yaml") => Some(path),
        Ok(_) => {
            check.expected(node, "a file name ending in .yml or .yaml");
            None
        }
        Err(what) => {
            check.expected(node, what);
            None
        }
    }
}
