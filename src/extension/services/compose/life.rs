//! When a service starts, whether it is well, and when it starts again: `depends_on`, `healthcheck` and
//! `restart`.

use indexmap::IndexMap;

use super::model::{Condition, Dependency, Healthcheck, Restart, Test};
use super::reader::{At, Reader, join};
use super::values::{DURATION, duration};
use super::yaml::Node;

/// Reads `depends_on`.
pub fn dependencies(reader: &mut Reader<'_>, at: At<'_>) -> IndexMap<String, Dependency> {
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

/// Reads `healthcheck`.
pub fn healthcheck(reader: &mut Reader<'_>, at: At<'_>) -> Option<Healthcheck> {
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

/// Reads `restart`.
pub fn restart(reader: &mut Reader<'_>, at: At<'_>) -> Option<Restart> {
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
