//! Schedules: functions that run at certain times.

use std::time::Duration;

use moondock::settings::Settings;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::with_points;
use crate::databases::On;
use crate::support::{ADA, TestHost};

const MAIN: &str = r#"
local M = {}
function M.register(builder)
    builder:queryField("ticks", { type = "JSON", auth = "public",
        resolve = function(_, _, ctx) return ctx.db:from("ticks"):orderBy("id"):all() end })
end
function M.tick(ctx)
    ctx.db:insert("ticks", { name = ctx.delivery.schedule, user = if ctx.user then 1 else 0 })
end
function M.slow(ctx)
    ctx.db:insert("ticks", { name = "begun" })
    local till = os.clock() + 2.5 while os.clock() < till do end
    ctx.db:insert("ticks", { name = "ended" })
end
return M
"#;

const TICKS: &str = "local t = require(\"@std/table\")\nreturn { ticks = t.table(\"ticks\", { id = \
    t.serial():primaryKey(), name = t.text(), user = t.integer() }) }\n";

async fn clock(host: &TestHost, schedules: &str) {
    let points = format!(
        r#""database": [{{ "type": "table", "name": "ticks", "file": "tables.lua" }}],
           "schedules": [{schedules}]"#
    );
    let manifest = with_points("clock", &points, r#", "runtime": { "timeoutMs": 5000 }"#);
    host.plugin(
        "clock",
        &[("manifest.json", &manifest), ("init.lua", MAIN), ("tables.lua", TICKS)],
    )
    .await;
}

async fn ticks(host: &TestHost) -> Vec<String> {
    let data = host.data(ADA, "{ clock_ticks }", json!({})).await;
    // Lua has one empty table.
    let all = data["clock_ticks"].as_array().cloned().unwrap_or_default();
    all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn schedules_run_in_time_while_the_plugin_is_active(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = super::host_on(on).await;
    let every_second = r#"{ "cron": "* * * * * *", "handler": "tick", "name": "every second" },
                          { "cron": "0 0 1 1 *", "handler": "tick", "timezone": "Asia/Tokyo" }"#;
    clock(&host, every_second).await;
    let three = |r: &Value| r["data"]["clock_ticks"].as_array().is_some_and(|t| t.len() >= 3);
    host.until(ADA, "{ clock_ticks }", three).await;
    assert!(ticks(&host).await.iter().all(|name| name == "every second"));
    host.host.manager().deactivate("clock", false).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2200)).await;
    host.host.manager().activate("clock").await.unwrap();
    // What was missed meanwhile is not made up for, as nobody wanted it.
    let before = ticks(&host).await.len();
    assert!(before <= 4, "{before}");
    host.stop().await;
}

#[tokio::test]
async fn a_run_is_not_joined_by_the_next() {
    let host = super::host_on(On::Sqlite).await;
    clock(&host, r#"{ "cron": "* * * * * *", "handler": "slow" }"#).await;
    let ended = |r: &Value| r["data"]["clock_ticks"].to_string().matches("ended").count() >= 1;
    host.until(ADA, "{ clock_ticks }", ended).await;
    let names = ticks(&host).await;
    let begun = names.iter().position(|name| name == "begun").unwrap();
    assert_eq!(names[begun + 1], "ended", "{names:?}");
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_missed_run_is_made_up_for_once(#[values(On::Sqlite, On::Postgres)] on: On) {
    let url = on.url().await;
    let with_url = |settings: &mut Settings| {
        settings.database_url = url.clone().map(moondock::settings::Secret::new);
    };
    let host = TestHost::start_with(with_url).await;
    clock(&host, r#"{ "cron": "0 3 * * *", "handler": "tick", "name": "nightly" }"#).await;
    assert_eq!(ticks(&host).await, Vec::<String>::new());
    // Once the scheduler knows of it.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let dir = host.stop().await;
    // Three nights pass.
    let sql = "UPDATE schedules SET next_at = next_at - 3 * 24 * 3600 * 1000";
    match &url {
        Some(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            let done =
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
        }
        None => {
            let file = format!("sqlite://{}", dir.path().join("data/moondock.db").display());
            let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
            let done =
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
            assert_eq!(done.rows_affected(), 1);
            connection.close().await.unwrap();
        }
    }
    let host = TestHost::start_in(dir, with_url).await;
    let one = |r: &Value| r["data"]["clock_ticks"].as_array().is_some_and(|t| !t.is_empty());
    host.until(ADA, "{ clock_ticks }", one).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(ticks(&host).await, ["nightly"]);
    host.stop().await;
}

#[tokio::test]
async fn wrong_schedules_are_named() {
    let host = super::host_on(On::Sqlite).await;
    let points = r#""schedules": [
        { "cron": "61 * * * *", "handler": "tick" },
        { "cron": "0 0 30 2 *", "handler": "tick" },
        { "cron": "0 0 * * *", "handler": "tick", "timezone": "Mars/Olympus" },
        { "cron": "0 0 * * *", "handler": "tock" }]"#;
    let main = "local M = {}\nfunction M.register() end\nfunction M.tick() end\nreturn M\n";
    host.write_plugin(
        "clock",
        &[("manifest.json", &with_points("clock", points, "")), ("init.lua", main)],
    );
    let error = host.host.manager().install("clock", true).await.unwrap_err();
    for expected in [
        "extensionPoints.schedules[0].cron: \"61 * * * *\" cannot be read",
        "extensionPoints.schedules[1].cron: \"0 0 30 2 *\" never comes",
        "extensionPoints.schedules[2].timezone: expected the name of a time zone",
        "extensionPoints.schedules[3].handler names \"tock\"",
    ] {
        assert!(error.message.contains(expected), "{expected}: {}", error.message);
    }
    host.stop().await;
}
