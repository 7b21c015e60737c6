//! Limits of memory, processors and processes: `deploy.resources` and the short forms.

use super::Bounds;
use super::model::ResourceLimits;
use super::reader::{At, Reader, join};
use super::values::bytes;

const SIZE: &str = "a size such as 256m";
const CPUS: &str = "a number of processors such as 0.5";

/// Reads one of the short forms; `false` if `key` is none of them.
pub fn short(
    reader: &mut Reader<'_>,
    key: &str,
    at: At<'_>,
    bounds: Bounds,
    limits: &mut ResourceLimits,
) -> bool {
    match key {
        "mem_limit" => limits.memory = memory(reader, at, bounds),
        "mem_reservation" => limits.memory_reservation = memory(reader, at, bounds),
        "cpus" => limits.cpus = cpus(reader, at, bounds),
        "pids_limit" => limits.pids = pids(reader, at, bounds),
        _ => return false,
    }
    true
}

/// Reads `deploy`.
pub fn deploy(reader: &mut Reader<'_>, at: At<'_>, bounds: Bounds, limits: &mut ResourceLimits) {
    for entry in reader.map(at).unwrap_or_default() {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        if entry.key != "resources" {
            reader.unknown(at.path, entry, &["resources"]);
            continue;
        }
        for entry in reader.map(item).unwrap_or_default() {
            let inner = join(&path, &entry.key);
            let item = At { item: &entry.value, path: &inner };
            match entry.key.as_str() {
                "limits" | "reservations" => part(reader, item, bounds, &entry.key, limits),
                _ => reader.unknown(&path, entry, &["limits", "reservations"]),
            }
        }
    }
}

fn part(
    reader: &mut Reader<'_>,
    at: At<'_>,
    bounds: Bounds,
    part: &str,
    limits: &mut ResourceLimits,
) {
    let known: &[&str] = if part == "limits" { &["cpus", "memory", "pids"] } else { &["memory"] };
    for entry in reader.map(at).unwrap_or_default() {
        let path = join(at.path, &entry.key);
        let item = At { item: &entry.value, path: &path };
        match (part, entry.key.as_str()) {
            ("limits", "cpus") => limits.cpus = cpus(reader, item, bounds),
            ("limits", "memory") => limits.memory = memory(reader, item, bounds),
            ("limits", "pids") => limits.pids = pids(reader, item, bounds),
            ("reservations", "memory") => limits.memory_reservation = memory(reader, item, bounds),
            _ => reader.unknown(at.path, entry, known),
        }
    }
}

fn memory(reader: &mut Reader<'_>, at: At<'_>, bounds: Bounds) -> Option<u64> {
    // The engine takes no less.
    let least = 6 << 20;
    let asked = reader.value_by(at, SIZE, |text| bytes(text).filter(|size| *size >= least))?;
    let most = bounds.memory;
    match asked <= most {
        true => Some(asked),
        false => too_much(reader, at, &format!("{} MiB", most >> 20), "docker-memory-mb"),
    }
}

fn cpus(reader: &mut Reader<'_>, at: At<'_>, bounds: Bounds) -> Option<f64> {
    let positive = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.01);
    let asked = reader.value_by(at, CPUS, positive)?;
    match asked <= bounds.cpus {
        true => Some(asked),
        false => too_much(reader, at, &bounds.cpus.to_string(), "docker-cpu-percent"),
    }
}

fn pids(reader: &mut Reader<'_>, at: At<'_>, bounds: Bounds) -> Option<u32> {
    let positive = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0);
    let asked = reader.value_by(at, "a number of processes", positive)?;
    match asked <= bounds.pids {
        true => Some(asked),
        false => too_much(reader, at, &bounds.pids.to_string(), "docker-pids"),
    }
}

fn too_much<T>(reader: &mut Reader<'_>, at: At<'_>, most: &str, setting: &str) -> Option<T> {
    let message = format!(
        "this is more than the {most} that this host lets a container have (setting {setting})"
    );
    reader.problem(at.path, at.item.line, message);
    None
}
