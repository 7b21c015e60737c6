//! Which services are wanted, and in which order they start.

use indexmap::IndexMap;

use super::Context;
use super::model::{Project, Service};
use super::reader::Reader;

/// The variable in which Compose has the names of the profiles that are on.
const PROFILES: &str = "COMPOSE_PROFILES";

/// Leaves the services that are wanted, each after those that it depends on, and the networks and
/// volumes that they use.
pub fn arrange(
    reader: &mut Reader<'_>,
    project: &mut Project,
    lines: &IndexMap<String, u32>,
    context: &Context<'_>,
) {
    let mut ordered: IndexMap<String, Service> = IndexMap::new();
    for name in wanted(reader, project, context) {
        let mut above = Vec::new();
        visit(&name, project, &mut ordered, &mut above, &mut |cycle| {
            let line = lines.get(&name).copied().unwrap_or(1);
            let message = format!("the services depend on each other: {}", cycle.join(", "));
            reader.problem(&format!("services.{name}.depends_on"), line, message);
        });
    }
    // What is not required and not there is none.
    let names: Vec<String> = ordered.keys().cloned().collect();
    for service in ordered.values_mut() {
        service.depends_on.retain(|other, _| names.contains(other));
    }
    project.services = ordered;
    let services: Vec<&Service> = project.services.values().collect();
    project.networks.retain(|name, _| services.iter().any(|s| s.networks.contains_key(name)));
    let is_used = |name: &str| {
        let named = super::model::MountSource::Volume(name.to_owned());
        services.iter().any(|service| service.mounts.iter().any(|mount| mount.source == named))
    };
    project.volumes.retain(|name, _| is_used(name));
}

/// The services that are asked for themselves: the one that the manifest names, or those without a
/// profile and those whose profile is on.
fn wanted(reader: &mut Reader<'_>, project: &Project, context: &Context<'_>) -> Vec<String> {
    if let Some(only) = context.only {
        if !project.services.contains_key(only) {
            let names: Vec<&str> = project.services.keys().map(String::as_str).collect();
            let message = format!(
                "docker.service in the manifest names {only:?}, which is none of them: {}",
                names.join(", ")
            );
            reader.problem("services", 1, message);
            return Vec::new();
        }
        return vec![only.to_owned()];
    }
    let on = context.variables.get(PROFILES).unwrap_or_default();
    let is_on =
        |profile: &String| on.split(',').any(|name| name.trim() == profile || name.trim() == "*");
    let wanted =
        |service: &Service| service.profiles.is_empty() || service.profiles.iter().any(is_on);
    project
        .services
        .iter()
        .filter(|(_, service)| wanted(service))
        .map(|(name, _)| name.clone())
        .collect()
}

fn visit(
    name: &str,
    project: &Project,
    ordered: &mut IndexMap<String, Service>,
    above: &mut Vec<String>,
    report: &mut dyn FnMut(&[String]),
) {
    if ordered.contains_key(name) {
        return;
    }
    if let Some(start) = above.iter().position(|other| other == name) {
        return report(&above[start..]);
    }
    let Some(service) = project.services.get(name) else { return };
    above.push(name.to_owned());
    for other in service.depends_on.keys() {
        visit(other, project, ordered, above, report);
    }
    above.pop();
    ordered.insert(name.to_owned(), service.clone());
}
