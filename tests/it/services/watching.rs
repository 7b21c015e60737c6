//! What happens to containers that run: it is shown, raised as events, and mended.

use std::time::{Duration, Instant};

use bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use moondock::events::Event;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use super::engine::{engine, ship_summarizer, write_plugin};
use super::summarizer::{ASK, TEXT, services};
use crate::graphql::socket::Socket;
use crate::support::{ADA, ADMIN, TestHost};

/// Waits for an event of a name and gives its payload.
pub async fn hear(events: &mut Receiver<Event>, name: &str) -> Value {
    let heard = async {
        loop {
            let event = events.recv().await.unwrap();
            if &*event.name == name {
                return serde_json::to_value(&event.payload).unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect(name)
}

#[tokio::test]
async fn a_container_that_is_killed_is_started_again() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    ship_summarizer(&host.plugins);
    let manager = host.host.manager();
    manager.install("summarizer", true).await.unwrap();
    manager.activate("summarizer").await.unwrap();
    let mut events = host.host.subscribe();
    let data = host.dir.path().join("data");
    let container = engine.container(&data, "summarizer", "summarizer");
    for round in 1..=2 {
        let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
        engine.docker.kill_container(&container, Some(kill)).await.unwrap();
        let stopped = hear(&mut events, "plugin:serviceStopped").await;
        assert_eq!(
            (&stopped["pluginId"], &stopped["service"]),
            (&json!("summarizer"), &json!("summarizer"))
        );
        assert!(
            stopped["message"].as_str().unwrap().contains("has ended with code 137"),
            "{stopped}"
        );
        hear(&mut events, "plugin:serviceRunning").await;
        let answer = host.data(ADA, ASK, json!({ "text": TEXT })).await;
        assert!(answer["summarizer_summarize"]["text"].is_string());
        let plugin = services(&host).await;
        assert_eq!(plugin["services"][0]["restarts"], round, "{plugin}");
        assert_eq!(plugin["status"], "ACTIVE");
    }
    manager.uninstall("summarizer", false).await.unwrap();
    host.stop().await;
}

const CHECKED: &str = r#"
services:
  checked:
    image: {busybox}
    command: ["sh", "-c", "touch /tmp/ok; echo I am here; echo $$$$ > /tmp/pid; trap 'exit 0' TERM; while true; do sleep 0.1; done"]
    healthcheck: { test: "test -e /tmp/ok", interval: 300ms, timeout: 2s, retries: 1 }
    stop_grace_period: 1s
"#;

#[tokio::test]
async fn a_container_that_turns_unhealthy_is_started_again() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    write_plugin(&host.plugins, "checked", CHECKED, &[]);
    let manager = host.host.manager();
    manager.install("checked", true).await.unwrap();
    manager.activate("checked").await.unwrap();
    let get = "{ checked_get(name: \"checked\") }";
    let got = host.data(ADA, get, json!({})).await["checked_get"].clone();
    assert_eq!((&got["health"], &got["state"]), (&json!("healthy"), &json!("running")));
    let mut events = host.host.subscribe();
    let container = engine.container(&host.dir.path().join("data"), "checked", "checked");
    let before = engine.inspect(&container).await["State"]["StartedAt"].clone();
    engine.run(&container, &["rm", "/tmp/ok"]).await;
    let heard = hear(&mut events, "plugin:serviceUnhealthy").await;
    assert_eq!(heard["service"], "checked");
    hear(&mut events, "plugin:serviceRunning").await;
    assert_ne!(engine.inspect(&container).await["State"]["StartedAt"], before);
    manager.uninstall("checked", false).await.unwrap();
    host.stop().await;
}

#[tokio::test]
async fn what_containers_write_is_in_the_log_of_their_plugin() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let compose = "services:\n  talker:\n    image: {busybox}\n    stop_grace_period: 0s\n    \
                   command: [sh, -c, \"while true; do echo to stdout; echo to stderr >&2; sleep 0.2; done\"]\n";
    write_plugin(&host.plugins, "talker", compose, &[]);
    let built = "services:\n  made:\n    build: .\n    stop_grace_period: 0s\n    command: [sleep, \"60\"]\n";
    let dockerfile = "FROM {busybox}\nRUN echo this is said while building\n";
    write_plugin(&host.plugins, "made", built, &[("Dockerfile", dockerfile)]);
    let manager = host.host.manager();
    manager.install("talker", true).await.unwrap();
    manager.activate("talker").await.unwrap();
    let mut socket = Socket::ready(&host, Some(ADMIN)).await;
    socket
        .subscribe(
            "1",
            "subscription { pluginLogs(pluginId: \"talker\") { message level fields } }",
        )
        .await;
    socket
        .subscribe("2", "subscription { pluginLogs(pluginId: \"made\") { message fields } }")
        .await;
    socket.subscribe("3", "subscription { pluginEvents { type pluginId message } }").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    manager.install("made", true).await.unwrap();
    let mut wanted = vec![
        "to stdout",
        "to stderr",
        "this is said while building",
        "Step 2/",
        "plugin:building",
        "plugin:built",
    ];
    let start = Instant::now();
    while !wanted.is_empty() {
        let message = socket.next().await.to_string();
        wanted.retain(|part| !message.contains(part));
        assert!(start.elapsed() < Duration::from_secs(20), "not heard: {wanted:?}");
    }
    for id in ["talker", "made"] {
        manager.uninstall(id, false).await.unwrap();
    }
    assert_eq!(engine.left(&host.dir.path().join("data")).await, Vec::<String>::new());
    host.stop().await;
}

#[tokio::test]
async fn policies_decide_what_is_started_again() {
    let Some(engine) = engine() else { return };
    let host = TestHost::start_with(engine.settings()).await;
    let compose = "services:\n  \
         never: { image: \"{busybox}\", command: [sleep, \"600\"], restart: \"no\", stop_grace_period: 0s }\n  \
         once: { image: \"{busybox}\", command: [\"true\"] }\n  \
         gone: { image: \"{busybox}\", command: [sleep, \"600\"], stop_grace_period: 0s }\n";
    write_plugin(&host.plugins, "policies", compose, &[]);
    let manager = host.host.manager();
    manager.install("policies", true).await.unwrap();
    manager.activate("policies").await.unwrap();
    let data = host.dir.path().join("data");
    let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
    engine
        .docker
        .kill_container(&engine.container(&data, "policies", "never"), Some(kill))
        .await
        .unwrap();
    let remove = RemoveContainerOptionsBuilder::new().force(true).build();
    engine
        .docker
        .remove_container(&engine.container(&data, "policies", "gone"), Some(remove))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let query = "{ getPlugins { services { name state exitCode restarts } } }";
    let plugins = host.data(ADMIN, query, json!({})).await;
    assert_eq!(
        plugins["getPlugins"][0]["services"],
        json!([
            { "name": "gone", "state": "MISSING", "exitCode": null, "restarts": 0 },
            { "name": "never", "state": "EXITED", "exitCode": 137, "restarts": 0 },
            { "name": "once", "state": "EXITED", "exitCode": 0, "restarts": 0 },
        ])
    );
    manager.uninstall("policies", false).await.unwrap();
    assert_eq!(engine.left(&data).await, Vec::<String>::new());
    host.stop().await;
}
