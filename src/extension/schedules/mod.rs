//! Schedules: functions that run at certain times.

use std::str::FromStr as _;
use std::sync::Arc;

use async_trait::async_trait;
use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Conflict, ExtensionPoint, Loading};
use crate::error::{Phase, Problem};
use crate::parts::Parts;
use crate::plugin::generation::Generation;
use crate::plugin::manifest::{MANIFEST_FILE, ScheduleEntry};

/// The extension point.
#[derive(Debug)]
pub struct Schedules;

/// The schedules of one generation.
#[derive(Debug, Default)]
struct Declared(Vec<Times>);

#[derive(Debug, Clone)]
struct Times {
    id: String,
    name: String,
    handler: Arc<str>,
    cron: Arc<Cron>,
    zone: TimeZone,
}

/// A schedule of an active plugin.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub generation: Arc<Generation>,
    times: Times,
}

impl Schedule {
    /// The same as long as plugin, function, times and zone are.
    pub fn id(&self) -> &str {
        &self.times.id
    }

    /// What it is called: the name in the manifest, or the cron expression.
    pub fn name(&self) -> &str {
        &self.times.name
    }

    /// The key of the plugin's function.
    pub fn handler(&self) -> &str {
        &self.times.handler
    }

    /// The first time after `moment`, both in milliseconds since 1970; `None` if there is none.
    pub fn next_after(&self, moment: i64) -> Option<i64> {
        next_after(&self.times, moment)
    }
}

fn next_after(times: &Times, moment: i64) -> Option<i64> {
    let moment = Timestamp::from_millisecond(moment).ok()?.to_zoned(times.zone.clone());
    let next = times.cron.find_next_occurrence(&moment, false).ok()?;
    Some(next.timestamp().as_millisecond())
}

/// The schedules of all active plugins.
#[derive(Debug, Default)]
pub struct ScheduleTable(pub Vec<Schedule>);

#[async_trait]
impl ExtensionPoint for Schedules {
    async fn declare(&self, loading: &mut Loading<'_>) {
        let mut declared = Declared::default();
        for (i, entry) in loading.manifest.extension_points.schedules.iter().enumerate() {
            let path = format!("extensionPoints.schedules[{i}]");
            let times = match times(&loading.manifest.plugin_id, entry) {
                Ok(times) => times,
                Err((key, message)) => {
                    let message = format!("{path}.{key}: {message}");
                    let problem = Problem::new(Phase::Manifest, message).in_file(MANIFEST_FILE);
                    loading.problem(problem);
                    continue;
                }
            };
            let wanted_by = format!("{path}.handler");
            let Some(function) = loading.function(&entry.file, &entry.handler, &wanted_by).await
            else {
                continue;
            };
            loading.handler(Arc::clone(&times.handler), function);
            declared.0.push(times);
        }
        loading.parts.insert(Arc::new(declared));
    }

    fn assemble(
        &self,
        generations: &[Arc<Generation>],
        world: &mut Parts,
    ) -> Result<(), Vec<Conflict>> {
        let mut table = ScheduleTable::default();
        for generation in generations {
            let Some(declared) = generation.parts.get::<Declared>() else { continue };
            table.0.extend(declared.0.iter().map(|times| Schedule {
                generation: Arc::clone(generation),
                times: times.clone(),
            }));
        }
        world.insert(Arc::new(table));
        Ok(())
    }
}

/// The times of an entry, or which key is wrong and why.
fn times(plugin_id: &str, entry: &ScheduleEntry) -> Result<Times, (&'static str, String)> {
    let cron = Cron::from_str(&entry.cron)
        .map_err(|error| ("cron", format!("\"{}\" cannot be read: {error}", entry.cron)))?;
    let zone_name = entry.timezone.as_deref().unwrap_or("UTC");
    let zone = TimeZone::get(zone_name).map_err(|_| {
        let message = format!(
            "expected the name of a time zone such as \"Europe/Berlin\", found \"{zone_name}\""
        );
        ("timezone", message)
    })?;
    let handler = format!("schedule:{}:{}", entry.file, entry.handler);
    let times = Times {
        id: format!("{plugin_id} {handler} {} {zone_name}", entry.cron),
        name: entry.label.name.clone().unwrap_or_else(|| entry.cron.clone()),
        handler: handler.into(),
        cron: Arc::new(cron),
        zone,
    };
    let now = Timestamp::now().as_millisecond();
    if next_after(&times, now).is_none() {
        return Err(("cron", format!("\"{}\" never comes", entry.cron)));
    }
    Ok(times)
}
