//! The `permissions` section, which grants share.

use super::Permissions;
use super::check::{Check, Node};
use super::patterns::{is_config_reference, is_env_name, is_event, is_origin};
use crate::error::Problem;

/// Reads the shape outside of a manifest.
pub(super) fn parse(json: &serde_json::Value) -> Result<Permissions, Vec<Problem>> {
    let mut check = Check::default();
    let permissions = read(&mut check, &Node { json, path: "permissions".to_owned() });
    // A grant is made once, by a person: a misspelled key would silently grant less than meant.
    check.problems.append(&mut check.warnings);
    if check.problems.is_empty() { Ok(permissions) } else { Err(check.problems) }
}

/// Reads the section of a manifest.
pub(super) fn read(check: &mut Check<'_>, node: &Node<'_>) -> Permissions {
    let mut permissions = Permissions::default();
    let Some(fields) = check.object(node, &["http", "env", "events", "sql", "docker"]) else {
        return permissions;
    };
    if let Some(node) = fields.get("http") {
        let what = "an origin such as \"https://api.example.com\", \"https://*.example.com\", \
                    \"https://*\" or \"config.key\"";
        permissions.http = check.strings(&node, what, |s| is_origin(s) || is_config_reference(s));
    }
    if let Some(node) = fields.get("env") {
        permissions.env = check.strings(&node, "the name of a variable", is_env_name);
    }
    if let Some(node) = fields.get("events") {
        let what = "an event name, which may end in \"*\"";
        permissions.events = check.strings(&node, what, is_event);
    }
    permissions.sql = fields.flag(check, "sql", false);
    permissions.docker = fields.flag(check, "docker", false);
    permissions
}
