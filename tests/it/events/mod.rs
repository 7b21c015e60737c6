//! Events between plugins: hooks before and after, deliveries that survive, jobs and schedules.

mod deliveries;
mod jobs;
mod killed;
mod nodes;
mod pre_hooks;
mod schedules;

use std::time::Duration;

use serde_json::{Value, json};

use crate::databases::On;
use crate::support::{ADMIN, REGISTER, TestHost, manifest_with};

/// A host on an empty database.
pub async fn host_on(on: On) -> TestHost {
    let settings = on.settings().await;
    TestHost::start_with(settings).await
}

/// A manifest with the field-registering function, these further extension points and keys.
pub fn with_points(id: &str, points: &str, more: &str) -> String {
    manifest_with(id, &format!("{REGISTER}, {points}"), more)
}

/// What administrators see of the deliveries that fit a filter such as `{ state: DEAD }`.
pub async fn deliveries(host: &TestHost, filter: &str) -> Vec<Value> {
    let query = format!(
        "{{ deliveries(filter: {filter}) {{ id kind pluginId name handler payload key state attempt \
         maxAttempts dueAt emittedAt lastError }} }}"
    );
    let data = host.data(ADMIN, &query, json!({})).await;
    data["deliveries"].as_array().unwrap().clone()
}

/// Waits until nothing is owed to plugins any more.
pub async fn settled(host: &TestHost) {
    let done = |r: &Value| r["data"]["deliveries"] == json!([]);
    host.until(ADMIN, "{ deliveries { name state lastError } }", done).await;
}

/// A moment in which something that must not happen would have happened.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}
