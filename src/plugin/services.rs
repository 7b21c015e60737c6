//! `Plugin.services`: how a plugin's containers are, for administrators.

use crate::containers::{Health, RunState, ServiceState};
use crate::extension::graphql::hosted::described_object;
use crate::extension::graphql::{EnumDef, EnumValueDef, TypeDef};
use crate::value::{Map, Value};

/// The type of a service.
pub fn object_type() -> TypeDef {
    described_object(
        "PluginService",
        "A container service of a plugin.",
        &[
            ("name", "String!", "Its name in the Compose file."),
            ("state", "PluginServiceState!", "Whether its container runs."),
            ("health", "String", "What its health check says: healthy, unhealthy or starting."),
            ("url", "String", "Where it is reached from the host, while it runs."),
            ("image", "String", "The image that the container was made of."),
            ("container", "String", "The id of the container."),
            ("ports", "[String!]!", "The ports that are published, such as 127.0.0.1:8080->80."),
            ("exitCode", "Int", "How it ended, if it has ended."),
            ("restarts", "Int!", "How often it was started again since the plugin is active."),
            ("startedAt", "DateTime", "When it was started."),
            ("errorMessage", "String", "What is wrong with it."),
        ],
    )
}

/// The type of its state.
pub fn state_type() -> TypeDef {
    TypeDef::Enum(EnumDef {
        name: "PluginServiceState".into(),
        description: Some("Whether a container runs.".into()),
        values: RunState::ALL.map(|state| EnumValueDef::new(state.as_str())).into(),
        place: None,
    })
}

/// The services as GraphQL shows them.
pub fn values(states: &[ServiceState]) -> Value {
    Value::List(states.iter().map(value).collect())
}

fn value(state: &ServiceState) -> Value {
    let health = match state.health {
        Health::None => None,
        health => Some(health.as_str().to_owned()),
    };
    let ports = state.published.iter().map(|published| {
        let host = match published.host_ip.contains(':') {
            true => format!("[{}]", published.host_ip),
            false => published.host_ip.clone(),
        };
        Value::from(format!("{host}:{}->{}", published.port, published.target))
    });
    let entries: [(&str, Value); 11] = [
        ("name", state.name.clone().into()),
        ("state", state.state.as_str().into()),
        ("health", health.into()),
        ("url", state.url().into()),
        ("image", state.image.clone().into()),
        ("container", state.container.clone().into()),
        ("ports", Value::List(ports.collect())),
        ("exitCode", state.exit_code.into()),
        ("restarts", i64::from(state.restarts).into()),
        ("startedAt", state.started_at.clone().into()),
        ("errorMessage", state.error.clone().into()),
    ];
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map>())
}
