//! The log lines of plugins, for administrators who watch one.

use jiff::Timestamp;

use crate::events::pubsub::HOST;
use crate::services::Services;
use crate::value::{Map, Value};

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Debug, Level::Info, Level::Warn, Level::Error];

    /// The name as GraphQL has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }
}

/// A line of a plugin's log.
#[derive(Debug)]
pub struct Line<'a> {
    pub level: Level,
    pub message: &'a str,
    pub fields: Option<Value>,
    pub request_id: Option<&'a str>,
}

/// The topic of a plugin's lines.
pub fn topic(plugin_id: &str) -> String {
    format!("log:{plugin_id}")
}

/// Whether somebody watches a plugin's log.
pub fn is_watched(services: &Services, plugin_id: &str) -> bool {
    services.pubsub.is_heard(HOST, &topic(plugin_id))
}

/// Gives a line to those who watch the plugin's log.
pub fn tell(services: &Services, plugin_id: &str, line: Line<'_>) {
    let topic = topic(plugin_id);
    if !services.pubsub.is_heard(HOST, &topic) {
        return;
    }
    let entries: [(&str, Value); 6] = [
        ("at", format!("{:.3}", Timestamp::now()).into()),
        ("pluginId", plugin_id.into()),
        ("level", line.level.as_str().into()),
        ("message", line.message.into()),
        ("fields", line.fields.unwrap_or_default()),
        ("requestId", line.request_id.map(str::to_owned).into()),
    ];
    let entries: Map = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    services.pubsub.publish(HOST, &topic, Value::Map(entries));
}
