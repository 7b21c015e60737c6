//! What plugins hear of accounts, and what they may do.

use rstest::rstest;
use serde_json::{Value, json};

use super::{ADMIN_TOKEN, host_on, sign_in, sign_up};
use crate::databases::On;
use crate::support::{REGISTER, TestHost, manifest};

const MAIN: &str = r#"
local M = {}
function M.register(builder)
    builder:queryField("log", { type = "[JSON!]!", auth = "public",
        resolve = function(_, _, ctx)
            local all = {}
            for _, row in ctx.db:from("log"):orderBy("id"):all() do table.insert(all, row) end
            return all
        end })
end
function M.before(data, ctx)
    if data.name == "Mallory" then ctx:fail("not_welcome", "Go away") end
    if data.name == "Root" then data.role = "administrator" end
    if data.name == "Other" then data.id = "00000000-0000-4000-8000-000000000001" end
    if data.name == "Empty" then data.name = "" end
    if data.name == "gone" then data.name = nil end
    if data.name then data.name = string.upper(data.name) end
    ctx.db:insert("log", { event = "before", data = data })
end
function M.after(data, ctx)
    ctx.db:insert("log", { event = ctx.delivery.event, data = data })
end
return M
"#;

async fn watcher(host: &TestHost) {
    let points = format!(
        r#"{REGISTER}, "database": [{{ "type": "table", "name": "log", "file": "tables.lua" }}],
        "hooks": [{{ "type": "pre", "event": "user:*", "handler": "before" }},
                  {{ "type": "post", "event": "user:*", "handler": "after" }}]"#
    );
    let tables = "local t = require(\"@std/table\")\nreturn { log = t.table(\"log\", { id = \
                  t.serial():primaryKey(), event = t.text(), data = t.json() }) }\n";
    let manifest = manifest("watcher", &points);
    host.plugin(
        "watcher",
        &[("manifest.json", &manifest), ("init.lua", MAIN), ("tables.lua", tables)],
    )
    .await;
}

#[rstest]
#[tokio::test]
async fn hooks_see_change_and_veto_but_hear_no_password(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = host_on(on).await;
    watcher(&host).await;
    let made = sign_up(&host, "Ada", "ada@example.com", "a long password").await;
    assert_eq!(made["data"]["signUp"]["user"]["name"], "ADA", "{made}");
    let id = made["data"]["signUp"]["user"]["id"].clone();
    let vetoed = sign_up(&host, "Mallory", "m@example.com", "a long password").await;
    assert_eq!(vetoed["errors"][0]["extensions"]["code"], "not_welcome");
    assert_eq!(
        sign_in(&host, "m@example.com", "a long password").await["data"]["signIn"],
        Value::Null
    );
    // A plugin makes no administrators, and what it makes of a name has to be one.
    for (name, code) in
        [("Root", "unexpected"), ("Empty", "invalid_arguments"), ("gone", "unexpected")]
    {
        let refused = sign_up(&host, name, "x@example.com", "a long password").await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], code, "{name}: {refused}");
    }
    let update = "mutation($i: UpdateUserInput!) { updateUser(input: $i) { name } }";
    let changed =
        host.data(ADMIN_TOKEN, update, json!({ "i": { "id": id, "name": "Lovelace" } })).await;
    assert_eq!(changed["updateUser"]["name"], "LOVELACE");
    let other = host
        .graphql(Some(ADMIN_TOKEN), update, json!({ "i": { "id": id, "name": "Other" } }))
        .await;
    assert_eq!(other["errors"][0]["extensions"]["code"], "unexpected");
    let password = json!({ "i": { "id": id, "password": "another password" } });
    host.data(ADMIN_TOKEN, update, password).await;
    let delete = "mutation($i: DeleteUserInput!) { deleteUser(input: $i) { id } }";
    host.data(ADMIN_TOKEN, delete, json!({ "i": { "id": id } })).await;
    // Events without a key come in any order.
    let all = |r: &Value| {
        let log = r["data"]["watcher_log"].to_string();
        let count = |event| log.matches(event).count();
        (count("user:create"), count("user:update"), count("user:delete")) == (1, 2, 1)
    };
    let log = host.until(ADMIN_TOKEN, "{ watcher_log }", all).await;
    let log = log["data"]["watcher_log"].as_array().unwrap().clone();
    assert!(!json!(log).to_string().contains("password"), "{log:?}");
    let of = |event: &str| log.iter().filter(|one| one["event"] == event).collect::<Vec<_>>();
    let created = of("user:create");
    assert_eq!(created.len(), 1, "{log:?}");
    let data =
        json!({ "name": "ADA", "emailAddress": "ada@example.com", "role": "regular", "id": id });
    assert_eq!(created[0]["data"], data);
    assert_eq!(of("user:update").len(), 2);
    // What a refused operation's hooks have written is gone.
    assert_eq!(of("before").len(), 4, "{log:?}");
    host.stop().await;
}
