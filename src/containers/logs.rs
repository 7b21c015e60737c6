//! What containers and builds say, for those who watch a plugin's log, and the events of services.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Containers, RunState};
use crate::plugin::generation::Generation;
use crate::plugin::lifecycle;
use crate::plugin::logs::{self, Level, Line};
use crate::services::Services;
use crate::value::{Map, Value};

/// The longest line that is told, in bytes.
const MAX_LINE: usize = 8 * 1024;
/// How often it is looked whether somebody watches.
const LOOK: Duration = Duration::from_millis(200);
/// How many lines of a container that failed are told.
const LAST_LINES: &str = "20";

/// A line of a build or a container.
pub fn line(generation: &Generation, service: &str, text: &str) {
    tell(&generation.services, generation.plugin_id(), service, text);
}

fn tell(services: &Services, plugin_id: &str, service: &str, text: &str) {
    tracing::debug!(target: "plugin", plugin = plugin_id, service, "{text}");
    let fields = Map::from_iter([("service".to_owned(), Value::from(service))]);
    let line = Line {
        level: Level::Info,
        message: text,
        fields: Some(Value::Map(fields)),
        request_id: None,
    };
    logs::tell(services, plugin_id, line);
}

/// Raises an event about a service, and says the same in the log.
pub fn progress(generation: &Generation, name: &str, service: &str, message: &str) {
    let plugin = generation.plugin_id();
    match name {
        "plugin:progress" => tracing::debug!(plugin, service, "{message}"),
        "plugin:serviceStopped" | "plugin:serviceUnhealthy" => {
            tracing::warn!(plugin, service, "{message}");
        }
        _ => tracing::info!(plugin, service, "{message}"),
    }
    let version = generation.manifest().version.to_string();
    let mut event = lifecycle::event(name, plugin, Some(version), Some(message));
    if let Value::Map(payload) = &mut event.payload {
        payload.insert("service".into(), service.into());
    }
    generation.services.events.emit(event);
}

/// The last lines that a container wrote.
pub async fn last_lines(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(LAST_LINES).build();
    let mut text = String::new();
    let mut stream = std::pin::pin!(docker.logs(container, Some(options)));
    while let Some(Ok(output)) = stream.next().await {
        text.push_str(&output.to_string());
        if text.len() > MAX_LINE {
            break;
        }
    }
    text.trim_end().to_owned()
}

impl Containers {
    /// Passes on what containers write while somebody watches the log of their plugin, until `stop`.
    pub async fn pass_on_logs(self: Arc<Self>, services: Arc<Services>, stop: CancellationToken) {
        let mut following: HashMap<String, (String, JoinHandle<()>)> = HashMap::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => break,
            }
            let mut wanted = HashMap::new();
            for (plugin_id, _) in self.running() {
                if !logs::is_watched(&services, &plugin_id) {
                    continue;
                }
                for state in self.services(&plugin_id) {
                    if let (RunState::Running, Some(container)) = (state.state, state.container) {
                        wanted.insert(container, (plugin_id.clone(), state.name));
                    }
                }
            }
            following.retain(|container, (_, task)| {
                let goes_on = wanted.contains_key(container) && !task.is_finished();
                if !goes_on {
                    task.abort();
                }
                goes_on
            });
            if wanted.is_empty() {
                continue;
            }
            let Ok(docker) = self.engine.get().await else { continue };
            for (container, (plugin_id, service)) in wanted {
                following.entry(container.clone()).or_insert_with(|| {
                    let (services, docker) = (Arc::clone(&services), docker.clone());
                    let name = service.clone();
                    let task = tokio::spawn(async move {
                        follow(&services, &docker, &container, &plugin_id, &name).await;
                    });
                    (service, task)
                });
            }
        }
        following.into_values().for_each(|(_, task)| task.abort());
    }
}

async fn follow(
    services: &Services,
    docker: &Docker,
    container: &str,
    plugin_id: &str,
    service: &str,
) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = i32::try_from(now.as_secs()).unwrap_or(i32::MAX);
    let options =
        LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).since(since).build();
    let mut stream = std::pin::pin!(docker.logs(container, Some(options)));
    let mut partial: Vec<u8> = Vec::new();
    while let Some(Ok(output)) = stream.next().await {
        partial.extend_from_slice(&output.into_bytes());
        while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = partial.drain(..=end).collect();
            tell_bytes(services, plugin_id, service, &line);
        }
        if partial.len() > MAX_LINE {
            tell_bytes(services, plugin_id, service, &partial);
            partial.clear();
        }
    }
}

fn tell_bytes(services: &Services, plugin_id: &str, service: &str, line: &[u8]) {
    let line = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE)]);
    let line = line.trim_end();
    if !line.is_empty() {
        tell(services, plugin_id, service, line);
    }
}
