use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::cli::client;
use crate::error::Phase;

struct Echo;

#[async_trait]
impl ControlHandler for Echo {
    async fn handle(&self, operation: Operation, request: ControlRequest) -> ControlReply {
        let plugin = PluginInfo {
            plugin_id: request.plugin_id.unwrap_or_default(),
            is_installed: request.grant,
            ..PluginInfo::default()
        };
        match operation {
            Operation::List => ControlReply::plugins(Vec::new()),
            Operation::Activate => {
                let problem = Problem::new(Phase::Activate, "no").in_file("init.lua").at_line(3);
                let reply = ControlReply::from(Error::from_problems(vec![problem]));
                ControlReply { plugin: Some(plugin), ..reply }
            }
            _ => ControlReply::plugin(plugin),
        }
    }
}

#[tokio::test]
async fn the_shell_and_the_server_understand_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let list = || client::send(path, Operation::List, ControlRequest::default());
    assert_eq!(list().await, Ok(None), "nobody listens");

    std::fs::write(socket_path(path), "").unwrap();
    let listener = listen(path).unwrap();
    let mode = std::fs::metadata(socket_path(path)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(listener, Arc::new(Echo), shutdown.clone()));

    assert_eq!(list().await, Ok(Some(ControlReply::plugins(Vec::new()))));
    let request = ControlRequest {
        plugin_id: Some("polls".into()),
        grant: true,
        ..ControlRequest::default()
    };
    let reply = client::send(path, Operation::Install, request.clone()).await.unwrap().unwrap();
    assert!(reply.ok && reply.plugin.unwrap().is_installed);
    let reply = client::send(path, Operation::Activate, request).await.unwrap().unwrap();
    assert_eq!(reply.error.unwrap().problems[0].to_string(), "init.lua:3: no");
    let reply = client::send(path, Operation::Info, ControlRequest::default()).await;
    assert_eq!(reply.unwrap().unwrap().error.unwrap().code, code::INVALID_ARGUMENTS);

    shutdown.cancel();
    server.await.unwrap().unwrap();
    assert_eq!(list().await, Ok(None), "the socket outlives the server");
}
