//! Webhooks over a socket.

mod hostile;
mod routing;
mod verified;

use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::{REGISTER, TestHost, manifest_with};

/// A plugin `hooks` with these webhooks (JSON text) and further keys, whose handlers are `code`, which has
/// a module `M` and a list `log`, and which shows the list as `hooks_log`.
pub async fn hooks(host: &TestHost, webhooks: &str, more: &str, code: &str) {
    let points = format!("{REGISTER}, \"webhooks\": [{webhooks}]");
    let init = format!(
        "local M = {{}}\nlocal log = {{}}\nfunction M.register(builder)\n\
         builder:queryField('log', {{ type = 'JSON', auth = 'public', resolve = function()\n\
         return {{ log = log, n = #log }} end }})\nend\n{code}\nreturn M\n"
    );
    let manifest = manifest_with("hooks", &points, more);
    host.plugin("hooks", &[("manifest.json", &manifest), ("init.lua", &init)]).await;
}

/// How many requests got through to the handlers.
pub async fn count(host: &TestHost) -> i64 {
    let data = host.data(crate::support::ADA, "{ hooks_log }", Value::Null).await;
    data["hooks_log"]["n"].as_i64().unwrap()
}

/// A request to a path after `/webhook` with these headers.
pub async fn ask(
    host: &TestHost,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Response {
    let url = format!("{}/api/plugins/hooks/webhook{path}", host.url);
    let mut request = host.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).send().await.unwrap()
}

/// The status and the body of a response, as JSON if it is.
pub async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
