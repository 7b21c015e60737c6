//! A newer version's tables: the plan, the migrations, and what a failed upgrade leaves behind.

use rstest::rstest;
use serde_json::{Value, json};

use crate::databases::On;
use crate::support::{ADA, ADMIN, REGISTER, TestHost, registering, write};

/// Writes a version of the plugin `diary`: its tables, its `get` field, and its migrations.
fn write_version(host: &TestHost, version: &str, tables: &str, get: &str, files: &[(&str, &str)]) {
    let folder = host.plugins.join("diary");
    let names: Vec<&str> = tables
        .lines()
        .filter_map(|line| {
            let (name, made) = line.trim().split_once(" = t.")?;
            (made.starts_with("table(") || made.starts_with("enumType(")).then_some(name)
        })
        .collect();
    let entry = |name: &&str| {
        let kind = if name.ends_with("Enum") { "enum" } else { "table" };
        format!(r#"{{ "type": "{kind}", "name": "{name}", "file": "tables.lua" }}"#)
    };
    let entries: Vec<String> = names.iter().map(entry).collect();
    let manifest = format!(
        r#"{{ "name": "Diary", "pluginId": "diary", "version": "{version}", "description": "A test", "author": "Tests",
            "main": "init.lua", "runtime": {{ "timeoutMs": 60000, "memoryMb": 256 }},
            "extensionPoints": {{ {REGISTER}, "database": [{}] }} }}"#,
        entries.join(", ")
    );
    let main = registering(&format!(
        r#"builder:queryField("get", {{ type = "JSON", auth = "public", resolve = function(_, args, ctx) {get} end }})
        builder:mutationField("fill", {{ type = "Int", auth = "public", resolve = function(_, args, ctx)
            for part = 0, 9 do
                local rows = {{}}
                for i = 1, 10000 do
                    local n = part * 10000 + i
                    table.insert(rows, {{ title = "entry " .. n, mood = if n % 2 == 0 then "good" else "bad", size = n }})
                end
                ctx.db:insertMany("entries", rows)
            end
            return ctx.db:from("entries"):count()
        end }})"#
    ));
    write(&folder.join("manifest.json"), &manifest);
    write(&folder.join("init.lua"), &main);
    let declared = format!("local t = require(\"@std/table\")\nreturn {{\n{tables}\n}}\n");
    write(&folder.join("tables.lua"), &declared);
    let migrations = folder.join("migrations");
    if migrations.exists() {
        std::fs::remove_dir_all(&migrations).unwrap();
    }
    for (name, code) in files {
        write(&migrations.join(name), code);
    }
}

const FIRST: &str = r#"
    entries = t.table("entries", { id = t.serial():primaryKey(), title = t.text():notNull(), mood = t.enum("mood"), size = t.integer() }, { indexes = { { "title" } } }),
    lines = t.table("lines", { id = t.serial():primaryKey(), entryId = t.integer():references("entries.id"), text = t.text() }),
    moodEnum = t.enumType("mood", { "good", "bad" }),
"#;

/// The title has another name, the mood one more value, the size is gone, and every row has a word.
const SECOND: &str = r#"
    entries = t.table("entries", { id = t.serial():primaryKey(), headline = t.text():notNull(), mood = t.enum("mood"), word = t.text():notNull() }, { indexes = { { "headline" } } }),
    lines = t.table("lines", { id = t.serial():primaryKey(), entryId = t.integer():references("entries.id"), text = t.text(), at = t.timestamp():notNull():defaultNow() }),
    moodEnum = t.enumType("mood", { "good", "bad", "mixed" }),
"#;

const GET_FIRST: &str = r#"
    local q = ctx.db:from("entries")
    return { n = q:count(), size = q:sum("size"), last = q:orderBy("id", "desc"):first().title, lines = ctx.db:from("lines"):count() }"#;
const GET_SECOND: &str = r#"
    local q = ctx.db:from("entries")
    return { n = q:count(), mixed = q:where({ mood = "mixed" }):count(), last = q:orderBy("id", "desc"):first().headline,
        word = q:orderBy("id"):first().word, lines = ctx.db:from("lines"):whereNotNull("at"):count() }"#;

const MIGRATION: &str = r#"
return { up = function(db)
    db:execute("alter table {entries} rename column title to headline")
    db:execute("update {entries} set word = 'w' || size")
    db:update("entries", { mood = "mixed" }, { mood = "bad" })
    assert(db:from("entries"):where({ mood = "mixed" }):count() == 50000)
end }"#;

async fn get(host: &TestHost) -> Value {
    host.data(ADA, "{ diary_get }", json!({})).await["diary_get"].clone()
}

async fn plan(host: &TestHost) -> Value {
    let query = "{ getPlugins(input: { pluginId: \"diary\" }) { tablePlan } }";
    host.data(ADMIN, query, json!({})).await["getPlugins"][0]["tablePlan"].clone()
}

/// Everything that an administrator does with tables, on a plugin with 100,000 rows.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_rows_are_upgraded_backed_up_and_restored(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = TestHost::start_with(on.settings().await).await;
    let manager = host.host.manager();
    write_version(&host, "1.0.0", FIRST, GET_FIRST, &[]);
    manager.install("diary", true).await.unwrap();
    manager.activate("diary").await.unwrap();
    let filled = host.data(ADA, "mutation { diary_fill }", json!({})).await;
    assert_eq!(filled["diary_fill"], 100_000);
    let first = get(&host).await;
    let expected =
        json!({ "n": 100_000, "size": 5_000_050_000_i64, "last": "entry 100000", "lines": 0 });
    assert_eq!(first, expected);
    assert_eq!(plan(&host).await["changes"], json!([]));

    // Without a migration nothing is done, and the plan says what stands in the way.
    write_version(&host, "2.0.0", SECOND, GET_SECOND, &[]);
    let planned = plan(&host).await;
    let refused = planned["refused"].to_string();
    for part in ["entries.title", "entries.size", "entries.word", "migrations/0001_name.lua"] {
        assert!(refused.contains(part), "{part} in {planned}");
    }
    assert_eq!(planned["sql"], json!([]));
    let error = manager.reload("diary").await.unwrap_err();
    assert!(error.message.contains("entries.title"), "{error}");
    assert_eq!(get(&host).await, first);

    // A migration that fails at its end leaves the old version and its rows as they were.
    let failing = MIGRATION.replace("end }", "error('at the last moment') end }");
    write_version(&host, "2.0.0", SECOND, GET_SECOND, &[("0001_words.lua", &failing)]);
    let error = manager.reload("diary").await.unwrap_err();
    assert!(error.message.contains("migrations/0001_words.lua:7"), "{error}");
    assert!(error.message.contains("at the last moment"), "{error}");
    assert_eq!(get(&host).await, first);
    // So does a version whose own onLoad fails after its migrations have run.
    write_version(&host, "2.0.0", SECOND, GET_SECOND, &[("0001_words.lua", MIGRATION)]);
    let main = host.plugins.join("diary/init.lua");
    let code = std::fs::read_to_string(&main).unwrap();
    let broken = code.replace("return M\n", "function M.onLoad(ctx) assert(ctx.db:from('entries'):orderBy('id'):first().word == 'w1') error('not so') end\nreturn M\n");
    write(&main, &broken);
    let error = manager.reload("diary").await.unwrap_err();
    assert!(error.message.contains("not so"), "{error}");
    assert_eq!(get(&host).await, first);

    write(&main, &code);
    let planned = plan(&host).await;
    assert_eq!(planned["migrations"], json!(["0001_words"]));
    assert_eq!(planned["refused"], json!([]));
    assert!(planned["sql"].as_array().unwrap().len() > 3, "{planned}");
    manager.reload("diary").await.unwrap();
    let second = get(&host).await;
    let expected =
        json!({ "n": 100_000, "mixed": 50_000, "last": "entry 100000", "word": "w1", "lines": 0 });
    assert_eq!(second, expected);
    assert_eq!(plan(&host).await["changes"], json!([]));
    // What has run does not run again.
    manager.deactivate("diary", false).await.unwrap();
    manager.activate("diary").await.unwrap();
    assert_eq!(get(&host).await, second);

    // Uninstalling makes a backup, which brings everything back.
    let id =
        host.data(ADMIN, "{ getPlugins { id } }", json!({})).await["getPlugins"][0]["id"].clone();
    let set =
        "mutation($id: String!) { updatePlugin(input: { id: $id, backup: true }) { backup } }";
    host.data(ADMIN, set, json!({ "id": id })).await;
    let view = manager.uninstall("diary", false).await.unwrap();
    assert!(view.note.unwrap().contains("backups/diary-"), "the note names the file");
    assert!(host.graphql(Some(ADA), "{ diary_get }", json!({})).await["errors"].is_array());
    let view = manager.restore("diary", None, false).await.unwrap();
    assert!(view.note.unwrap().starts_with("100000 rows"));
    manager.activate("diary").await.unwrap();
    assert_eq!(get(&host).await, second);
    let error = manager.restore("diary", None, false).await.unwrap_err();
    assert!(error.message.contains("--replace"), "{error}");
    manager.restore("diary", None, true).await.unwrap();
    assert_eq!(get(&host).await, second);
    host.stop().await;
}

/// A backup that was made on one database is restored on the other, with every type and references
/// within a table.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_from_one_database_to_the_other(
    #[values((On::Sqlite, On::Postgres), (On::Postgres, On::Sqlite))] (from, to): (On, On),
) {
    const TABLES: &str = r#"
        all = t.table("all", { id = t.bigserial():primaryKey(), parent = t.bigint():references("all.id"), tx = t.text(), i = t.integer(), b = t.bigint(),
            r = t.real(), d = t.decimal(), y = t.boolean(), at = t.timestamp(), day = t.date(), clock = t.time(), j = t.json(),
            u = t.uuid(), e = t.enum("e"), raw = t.blob(), s = t.secret() }),
        theEnum = t.enumType("e", { "x", "it's" }),
    "#;
    const GET: &str = r#"
        if not ctx.db:from("all"):exists() then
            ctx.db:insert("all", { tx = "é'\"\n", i = -5, b = "9223372036854775807", r = 0.1, d = "-12.3400", y = true,
                at = "2026-01-02T03:04:05.678Z", day = "2024-02-29", clock = "23:59:59.5", j = { a = { 1, "x" } },
                u = "6f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0", e = "it's", raw = "\0\255'", s = "hush" })
            ctx.db:insert("all", {})
            ctx.db:update("all", { parent = 2 }, { id = 1 })
        end
        local rows = ctx.db:from("all"):orderBy("id"):all()
        for _, row in rows do if row.raw then row.raw = string.format("%d %d %d", string.byte(row.raw, 1, -1)) end end
        return { rows = rows, next = ctx.db:transaction(function(tx) return tx:insert("all", {}).id end) }"#;
    let key = "a key of thirty-two characters!!";
    let start = async |on: On| {
        let database = on.settings().await;
        TestHost::start_with(move |settings| {
            database(settings);
            settings.secret_key = Some(moondock::settings::Secret::new(key));
        })
        .await
    };
    let source = start(from).await;
    write_version(&source, "1.0.0", TABLES, GET, &[]);
    let manager = source.host.manager();
    manager.install("diary", true).await.unwrap();
    manager.activate("diary").await.unwrap();
    let before = get(&source).await;
    assert_eq!((&before["next"], &before["rows"][0]["raw"]), (&json!(3), &json!("0 255 39")));
    assert_eq!(before["rows"][0]["s"], "hush");
    let id =
        source.data(ADMIN, "{ getPlugins { id } }", json!({})).await["getPlugins"][0]["id"].clone();
    let set = "mutation($id: String!) { updatePlugin(input: { id: $id, backup: true, isInstalled: false }) { backup } }";
    source.data(ADMIN, set, json!({ "id": id })).await;
    let backups = source.dir.path().join("data/backups");
    let file = std::fs::read_dir(&backups).unwrap().next().unwrap().unwrap().path();
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hush"), "secrets stay encrypted");

    let target = start(to).await;
    write_version(&target, "1.0.0", TABLES, GET, &[]);
    target.host.manager().restore("diary", Some(file.clone()), false).await.unwrap();
    target.host.manager().activate("diary").await.unwrap();
    let after = get(&target).await;
    assert_eq!(after["rows"].as_array().unwrap().len(), 3);
    assert_eq!(after["rows"][0], before["rows"][0]);
    assert_eq!(after["next"], 4, "numbering goes on");

    // A file that was cut off is refused, and nothing has changed.
    let text = std::fs::read_to_string(&file).unwrap();
    let cut = file.with_extension("cut");
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&cut, lines[..lines.len() - 1].join("\n")).unwrap();
    let error = target.host.manager().restore("diary", Some(cut), true).await.unwrap_err();
    assert!(error.message.contains("cut off"), "{error}");
    assert_eq!(get(&target).await["rows"].as_array().unwrap().len(), 4);
    source.stop().await;
    target.stop().await;
}
