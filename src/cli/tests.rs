use clap::CommandFactory;

use super::*;
use crate::control::{PluginFailure, PluginInfo};
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
