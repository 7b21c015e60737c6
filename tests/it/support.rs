//! A host on a free port and temporary folders, and what tests do to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use moondock::error::{Error, Result};
use moondock::host::{Host, HostBuilder};
use moondock::request::{Role, User};
use moondock::server::auth::Authenticator;
use moondock::settings::{Mode, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Bearer tokens of the test accounts.
pub const ADMIN: &str = "admin";
pub const ADA: &str = "ada";
pub const BOB: &str = "bob";
/// One of which it cannot be told whose it is.
pub const UNKNOWABLE: &str = "unknowable";

struct Accounts;

#[async_trait]
impl Authenticator for Accounts {
    async fn authenticate(&self, token: &str) -> Result<Option<Arc<User>>> {
        let (id, role) = match token {
            ADMIN => ("00000000-0000-0000-0000-000000000000", Role::Administrator),
            ADA => ("00000000-0000-4000-8000-00000000000a", Role::Regular),
            BOB => ("00000000-0000-4000-8000-00000000000b", Role::Regular),
            UNKNOWABLE => return Err(Error::unexpected("the accounts cannot be read")),
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(User {
            id: id.into(),
            name: token.into(),
            email_address: format!("{token}@example.com"),
            role,
        })))
    }
}

/// A running host. Dropping it stops serving; [`TestHost::stop`] does so in order.
pub struct TestHost {
    pub host: Host,
    pub url: String,
    pub plugins: PathBuf,
    pub client: reqwest::Client,
    // Shared with the hosts that are restarted on the same folders.
    pub dir: Arc<TempDir>,
    stop: DropGuard,
    server: tokio::task::JoinHandle<()>,
}

impl TestHost {
    /// A host on empty folders.
    pub async fn start() -> TestHost {
        TestHost::start_with(|_| ()).await
    }

    /// A host with changed settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> TestHost {
        TestHost::start_in(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// A host on the folders of an earlier one.
    pub async fn start_in(dir: Arc<TempDir>, change: impl FnOnce(&mut Settings)) -> TestHost {
        TestHost::build(dir, change, |builder| builder.authenticator(Arc::new(Accounts))).await
    }

    /// A host with accounts of its own, in place of those of tests.
    pub async fn with_accounts(dir: Arc<TempDir>, change: impl FnOnce(&mut Settings)) -> TestHost {
        TestHost::build(dir, change, |builder| builder).await
    }

    async fn build(
        dir: Arc<TempDir>,
        change: impl FnOnce(&mut Settings),
        finish: impl FnOnce(HostBuilder) -> HostBuilder,
    ) -> TestHost {
        let mut settings = Settings::new(Mode::Serve);
        settings.plugins = dir.path().join("plugins");
        settings.data_dir = dir.path().join("data");
        settings.listen = "127.0.0.1:0".into();
        change(&mut settings);
        let plugins = settings.plugins.clone();
        let host = finish(HostBuilder::new(settings)).start().await.unwrap();
        let (listener, address) = host.bind().await.unwrap();
        let stop = CancellationToken::new();
        let serving = host.serve(listener, stop.clone());
        let server = tokio::spawn(async move { serving.await.unwrap() });
        let client = moondock::http::new();
        TestHost {
            host,
            url: format!("http://{address}"),
            plugins,
            client,
            dir,
            stop: stop.drop_guard(),
            server,
        }
    }

    /// Stops in order and gives the folders, to start on them again.
    pub async fn stop(self) -> Arc<TempDir> {
        drop(self.stop);
        self.server.await.unwrap();
        self.host.stop().await;
        self.dir
    }

    /// Writes a plugin's folder. `files` are paths and contents; see [`manifest`].
    pub fn write_plugin(&self, id: &str, files: &[(&str, &str)]) {
        for (path, content) in files {
            write(&self.plugins.join(id).join(path), content);
        }
    }

    /// Writes, installs (granting what is asked for) and activates a plugin.
    pub async fn plugin(&self, id: &str, files: &[(&str, &str)]) {
        self.write_plugin(id, files);
        self.host.manager().install(id, true).await.unwrap();
        self.host.manager().activate(id).await.unwrap();
    }

    /// Copies a plugin that ships into the plugins folder.
    pub fn ship(&self, id: &str) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins").join(id);
        copy(&from, &self.plugins.join(id));
    }

    /// A GraphQL request; the whole response body.
    pub async fn graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let mut request = self.client.post(format!("{}/graphql", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let body = json!({ "query": query, "variables": variables });
        request.json(&body).send().await.unwrap().json().await.unwrap()
    }

    /// A request as `token` that must succeed; its data.
    pub async fn data(&self, token: &str, query: &str, variables: Value) -> Value {
        let mut response = self.graphql(Some(token), query, variables).await;
        assert!(response.get("errors").is_none(), "{query}: {response}");
        response["data"].take()
    }

    /// A request as `token` that must fail; its first error.
    pub async fn error(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let response = self.graphql(token, query, variables).await;
        assert!(response["errors"].is_array(), "{query}: {response}");
        response["errors"][0].clone()
    }

    /// Asks again until `done` holds for the answer, for at most five seconds.
    pub async fn until(&self, token: &str, query: &str, done: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let response = self.graphql(Some(token), query, json!({})).await;
            if done(&response) {
                return response;
            }
            assert!(start.elapsed() < Duration::from_secs(5), "still {response}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A manifest with these extension points (JSON text such as `"graphql": […]`).
pub fn manifest(id: &str, extension_points: &str) -> String {
    manifest_with(id, extension_points, "")
}

/// As [`manifest`], with further keys (JSON text such as `, "runtime": { "timeoutMs": 50 }`).
pub fn manifest_with(id: &str, extension_points: &str, more: &str) -> String {
    format!(
        r#"{{ "name": "{id}", "pluginId": "{id}", "version": "1.0.0", "description": "A test",
            "author": "Tests", "main": "init.lua", "extensionPoints": {{ {extension_points} }} {more} }}"#
    )
}

/// The extension point of one function `register` in `init.lua`.
pub const REGISTER: &str =
    r#""graphql": [{ "type": "query", "name": "fields", "builderDefinition": "register" }]"#;

/// An `init.lua` whose `register(builder)` has this body.
pub fn registering(body: &str) -> String {
    format!("local M = {{}}\nfunction M.register(builder)\n{body}\nend\nreturn M\n")
}

/// An `init.lua` with one public query field `get: JSON` that runs this body with `args` and `ctx`.
pub fn getting(body: &str) -> String {
    registering(&format!(
        "builder:queryField(\"get\", {{ type = \"JSON\", auth = \"public\", \
         resolve = function(_, args, ctx)\n{body}\nend }})"
    ))
}

pub fn write(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
