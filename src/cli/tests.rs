use std::sync::Arc;

use clap::CommandFactory;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::control::{ControlHandler, PluginFailure, PluginInfo, ServiceInfo};
use crate::error::{Phase, Problem};
use crate::plugin::manifest::Permissions;

fn polls() -> PluginInfo {
    let problem = Problem {
        excerpt: Some("  return nil + 1".to_owned()),
        ..Problem::new(Phase::Load, "attempt to add").in_file("init.lua").at_line(7)
    };
    PluginInfo {
        plugin_id: "polls".into(),
        status: "ERROR".into(),
        is_installed: true,
        name: Some("Polls".into()),
        version: Some("1.2.0".into()),
        generation: 3,
        permissions: Permissions { sql: true, ..Permissions::default() },
        errors: vec![PluginFailure { at: "2026-01-01T00:00:00Z".into(), problem }],
        ..PluginInfo::default()
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
    for line in [
        "moondock serve --listen 1:2 --hot-reload --log=json",
        "moondock dev --plugins x --hot-reload=false",
        "moondock plugin list --json --data-dir d",
        "moondock plugin info polls --json",
        "moondock plugin install polls --grant",
        "moondock plugin uninstall polls",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
    for line in ["moondock", "moondock plugin install", "moondock plugin", "moondock check"] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

#[test]
fn info_shows_services() {
    let service = ServiceInfo {
        name: "search".into(),
        state: "RUNNING".into(),
        health: "healthy".into(),
        url: Some("http://172.18.0.2:7700".into()),
        error: None,
    };
    let ended = ServiceInfo {
        name: "job".into(),
        state: "EXITED".into(),
        health: "none".into(),
        url: None,
        error: Some("it used too much".into()),
    };
    let plugin = PluginInfo { services: vec![service, ended], ..polls() };
    let shown = plugin::info(&plugin, &Reporter::plain());
    assert!(
        shown.contains(
            "service:     search running, healthy at http://172.18.0.2:7700\n\
             service:     job exited: it used too much\n"
        ),
        "{shown}"
    );
}

#[test]
fn a_list_is_a_table() {
    let other = PluginInfo {
        plugin_id: "a_longer_id".into(),
        status: "INACTIVE".into(),
        ..PluginInfo::default()
    };
    assert_eq!(
        plugin::list(&[polls(), other]),
        "ID           STATUS         VERSION  NAME\n\
         polls        error          1.2.0    Polls\n\
         a_longer_id  not installed  -        -\n"
    );
    assert_eq!(plugin::list(&[]), "no plugins\n");
}

#[test]
fn info_shows_errors_with_their_place() {
    assert_eq!(
        plugin::info(&polls(), &Reporter::plain()),
        "id:          polls\n\
         status:      error\n\
         name:        Polls\n\
         version:     1.2.0\n\
         generation:  3\n\
         not granted: sql\n\
         \n\
         2026-01-01T00:00:00Z while in phase load:\n\
         error: init.lua:7: attempt to add\n  7 |   return nil + 1\n"
    );
}

/// Records what it is asked for.
#[derive(Default, Clone)]
struct Fake(Arc<Mutex<Vec<String>>>);

impl Fake {
    fn operate(&self, place: &str, operation: Operation, request: &ControlRequest) -> ControlReply {
        let id = request.plugin_id.clone().unwrap_or_default();
        self.0.lock().push(format!("{place}: {operation} {id} {}", request.grant));
        match operation {
            Operation::Activate => Error::unexpected("no").into(),
            Operation::List => ControlReply::plugins(vec![polls()]),
            _ => ControlReply::plugin(polls()),
        }
    }
}

#[async_trait]
impl Backend for Fake {
    async fn serve(&self, settings: Settings, _: DataDir) -> Result<(), Error> {
        self.0.lock().push(format!("{:?} {}", settings.mode, settings.hot_reload));
        Ok(())
    }

    async fn operate(
        &self,
        _: Settings,
        _: DataDir,
        operation: Operation,
        request: ControlRequest,
    ) -> ControlReply {
        Fake::operate(self, "here", operation, &request)
    }
}

#[async_trait]
impl ControlHandler for Fake {
    async fn handle(&self, operation: Operation, request: ControlRequest) -> ControlReply {
        self.operate("server", operation, &request)
    }
}

async fn run(fake: &Fake, line: &str) -> String {
    let cli = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"));
    format!("{:?}", cli.run(fake).await)
}

fn exit(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

#[tokio::test]
async fn commands_run_here_or_in_the_server_that_has_the_data_dir() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = |command: &str| format!("moondock {command} --data-dir {}", data.display());
    let fake = Fake::default();
    assert_eq!(run(&fake, &at("dev")).await, exit(0));
    assert_eq!(run(&fake, &at("plugin install polls --grant")).await, exit(0));
    assert_eq!(run(&fake, &at("plugin activate polls")).await, exit(1));
    assert_eq!(run(&fake, &at("serve --log xml")).await, exit(2));

    let held = DataDir::open(&data).unwrap();
    assert_eq!(run(&fake, &at("serve")).await, exit(1), "the data dir is in use");
    assert_eq!(run(&fake, &at("plugin list")).await, exit(1), "and nobody listens");
    let shutdown = CancellationToken::new();
    let listener = crate::control::listen(held.path()).unwrap();
    let handler = Arc::new(fake.clone());
    let server = tokio::spawn(crate::control::serve(listener, handler, shutdown.clone()));
    assert_eq!(run(&fake, &at("plugin list --json")).await, exit(0));
    assert_eq!(run(&fake, &at("plugin activate polls")).await, exit(1));
    shutdown.cancel();
    server.await.unwrap().unwrap();

    assert_eq!(
        *fake.0.lock(),
        [
            "Dev true",
            "here: install polls true",
            "here: activate polls false",
            "server: list  false",
            "server: activate polls false",
        ]
    );
}
