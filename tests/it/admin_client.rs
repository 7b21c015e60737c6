//! What administrators ask of a host, as tests write it.

use serde_json::{Value, json};

use crate::support::{ADMIN, TestHost};

/// Everything that administrators see of a plugin.
pub const PLUGIN: &str = "id pluginId isActivated isInstalled backup createdAt updatedAt status name \
     version description author manifest errorMessage errors { phase message file line at } \
     generation permissions grantedPermissions config";

impl TestHost {
    /// The plugin as administrators see it; null if it has no record.
    pub async fn seen(&self, plugin_id: &str) -> Value {
        let query = format!(
            "query($id: String) {{ getPlugins(input: {{ pluginId: $id }}) {{ {PLUGIN} }} }}"
        );
        let mut data = self.data(ADMIN, &query, json!({ "id": plugin_id })).await;
        data["getPlugins"].get_mut(0).map(Value::take).unwrap_or_default()
    }

    /// An admin mutation that must succeed; the plugin after it.
    pub async fn admin(&self, mutation: &str, input: Value) -> Value {
        let mut data = self.data(ADMIN, &document(mutation), json!({ "input": input })).await;
        data[mutation].take()
    }

    /// An admin mutation that must fail; its error.
    pub async fn refused(&self, mutation: &str, input: Value) -> Value {
        self.error(Some(ADMIN), &document(mutation), json!({ "input": input })).await
    }
}

/// A document with one admin mutation and the variable `input`.
pub fn document(mutation: &str) -> String {
    let mut kind = mutation.to_owned();
    kind[..1].make_ascii_uppercase();
    format!("mutation($input: {kind}Input!) {{ {mutation}(input: $input) {{ {PLUGIN} }} }}")
}

/// The error's code.
pub fn code(error: &Value) -> &str {
    error["extensions"]["code"].as_str().unwrap_or_default()
}

/// The path of the error's first issue, such as `input.pluginId`.
pub fn path(error: &Value) -> String {
    let path = error["extensions"]["issues"][0]["argumentPath"].as_array();
    let parts = path.into_iter().flatten().filter_map(Value::as_str);
    parts.collect::<Vec<_>>().join(".")
}

/// The texts of the plugin's errors, with their places.
pub fn errors(plugin: &Value) -> Vec<String> {
    let errors = plugin["errors"].as_array().unwrap();
    errors
        .iter()
        .map(|e| {
            let text = |key: &str| e[key].as_str().unwrap_or_default();
            format!("{} {}:{} {}", text("phase"), text("file"), e["line"], text("message"))
        })
        .collect()
}
