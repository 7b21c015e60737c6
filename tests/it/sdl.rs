//! A plugin that was deactivated leaves no trace: not in the schema, not in memory.

use serde_json::json;

use crate::support::{ADA, REGISTER, TestHost, getting, manifest};

/// A plugin with tables, hooks, lifecycle functions and a resolver, all of which are called.
async fn install_busy(host: &TestHost) {
    let points = format!(
        r#"{REGISTER},
        "database": [{{ "type": "table", "name": "things", "file": "tables.lua" }}],
        "hooks": [{{ "type": "post", "event": "plugin:*", "handler": "heard" }}]"#
    );
    let main = getting("saved = ctx return ctx.db:from(\"things\"):count()").replace(
        "local M = {}\n",
        "local M = {}\nlocal saved, log = nil, nil\nfunction M.heard(event, ctx) saved = ctx end\n\
         function M.onLoad(ctx) saved = ctx end\n\
         function M.onActivate(ctx) saved, log = ctx.db, ctx.logger M.ctx = ctx end\n\
         function M.onDeactivate(ctx) M.rows = ctx.db:from(\"things\") end\n",
    );
    let tables = "local t = require(\"@std/table\")\n\
                  return { things = t.table(\"things\", { id = t.uuid():primaryKey() }) }\n";
    let files = [
        ("manifest.json", manifest("busy", &points)),
        ("init.lua", main),
        ("tables.lua", tables.to_owned()),
    ];
    host.write_plugin("busy", &files.each_ref().map(|(path, text)| (*path, text.as_str())));
    host.host.manager().install("busy", false).await.unwrap();
}

#[tokio::test]
async fn the_schema_is_the_same_before_and_after() {
    let host = TestHost::start().await;
    host.ship("hello");
    host.ship("polls");
    let bare = host.host.sdl();
    let manager = host.host.manager();
    for (id, other) in [("hello", "polls"), ("polls", "hello")] {
        manager.install(id, false).await.unwrap();
        assert_eq!(host.host.sdl(), bare, "installing {id} changed the schema");
        manager.activate(id).await.unwrap();
        let with = host.host.sdl();
        assert_ne!(with, bare);
        manager.deactivate(id, false).await.unwrap();
        assert_eq!(host.host.sdl(), bare, "{id} left a trace");
        // Beside another plugin too, whichever came first.
        manager.activate(id).await.unwrap();
        if manager.install(other, false).await.is_ok() {
            manager.activate(other).await.unwrap();
            manager.deactivate(other, false).await.unwrap();
            assert_eq!(host.host.sdl(), with, "{other} left a trace beside {id}");
            manager.uninstall(other, false).await.unwrap();
        }
        manager.deactivate(id, false).await.unwrap();
        manager.uninstall(id, false).await.unwrap();
        assert_eq!(host.host.sdl(), bare);
    }
    host.stop().await;
}

#[tokio::test]
async fn a_hundred_cycles_change_nothing() {
    let host = TestHost::start().await;
    let manager = host.host.manager();
    let bare = host.host.sdl();
    for id in ["hello", "polls"] {
        host.ship(id);
        manager.install(id, false).await.unwrap();
        let mut with = None;
        for cycle in 0..100 {
            manager.activate(id).await.unwrap();
            let sdl = host.host.sdl();
            assert_eq!(with.get_or_insert_with(|| sdl.clone()), &sdl, "{id}, cycle {cycle}");
            manager.deactivate(id, false).await.unwrap();
            assert_eq!(host.host.sdl(), bare, "{id}, cycle {cycle}");
        }
    }
    host.stop().await;
}

/// Waits until nobody holds a generation any more.
async fn all_gone(generations: &[std::sync::Weak<moondock::plugin::generation::Generation>]) {
    let left = || generations.iter().filter(|g| g.strong_count() > 0).count();
    for _ in 0..200 {
        if left() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} of {} generations are still there", left(), generations.len());
}

#[tokio::test]
async fn generations_end_when_they_serve_no_longer() {
    let host = TestHost::start().await;
    install_busy(&host).await;
    let manager = host.host.manager();
    let mut ended = Vec::new();
    let mut serving = || {
        let active = manager.directory().state("busy").active.expect("it is active");
        ended.push(std::sync::Arc::downgrade(&active));
    };
    for _ in 0..5 {
        manager.activate("busy").await.unwrap();
        serving();
        assert_eq!(host.data(ADA, "{ busy_get }", json!({})).await["busy_get"], 0);
        manager.reload("busy").await.unwrap();
        serving();
        assert_eq!(host.data(ADA, "{ busy_get }", json!({})).await["busy_get"], 0);
        manager.deactivate("busy", false).await.unwrap();
    }
    all_gone(&ended).await;
    host.stop().await;
}

/// Bytes of this process that are in memory.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_does_not_grow_with_the_cycles() {
    let host = TestHost::start().await;
    install_busy(&host).await;
    let manager = host.host.manager();
    let mut early = 0;
    for cycle in 1..=220 {
        manager.activate("busy").await.unwrap();
        host.data(ADA, "{ busy_get }", json!({})).await;
        manager.reload("busy").await.unwrap();
        host.data(ADA, "{ busy_get }", json!({})).await;
        manager.deactivate("busy", false).await.unwrap();
        if cycle == 20 {
            early = resident();
        }
    }
    let grown = resident().saturating_sub(early);
    // A generation that stays has some 300 KiB, so 200 of them would be far beyond this.
    assert!(grown < 8 << 20, "grew by {} KiB in 200 cycles", grown >> 10);
    host.stop().await;
}
