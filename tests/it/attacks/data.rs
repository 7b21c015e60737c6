//! A plugin that tries to reach what is not its own, through a running host, on both databases. Every
//! attempt is made by Lua inside of a call; the owner's rows and the host's must come out of it as they
//! were.

use rstest::rstest;
use serde_json::{Value, json};

use crate::databases::On;
use crate::support::{ADA, ADMIN, REGISTER, TestHost, getting, manifest, manifest_with};

const BOTH: &str = include_str!("../../attacks/raw_sql/both.txt");
const SQLITE: &str = include_str!("../../attacks/raw_sql/sqlite.txt");
const POSTGRES: &str = include_str!("../../attacks/raw_sql/postgres.txt");

/// What the owner's rows have in them, and no answer to the thief.
const MARK: &str = "the owner's secret";

const OWNED: &str = r#"
local t = require("@std/table")
return { secrets = t.table("secrets", { id = t.serial():primaryKey(), text = t.text():notNull() }),
    kind = t.enumType("kind", { "a", "b" }) }"#;
const STOLEN: &str = r#"
local t = require("@std/table")
return {
    notes = t.table("notes", { id = t.serial():primaryKey(), title = t.text(), authorId = t.text(), votes = t.integer(),
        meta = t.json(), createdAt = t.timestamp(), parent = t.integer() }),
    own = t.relation({ from = "notes.parent", to = "notes.id" }),
}"#;

/// A host with the owner, called `other` as in the corpus, and the thief, whose field runs `body`.
async fn start(on: On, body: &str, sql: bool) -> TestHost {
    let host = TestHost::start_with(on.settings().await).await;
    let table = r#""database": [{ "type": "table", "name": "secrets", "file": "tables.lua" },
        { "type": "enum", "name": "kind", "file": "tables.lua" }]"#;
    let main = getting(&format!(
        "if ctx.db:from('secrets'):count() == 0 then ctx.db:insert('secrets', {{ text = \"{MARK}\" }}) end
         return ctx.db:from('secrets'):all()"
    ));
    let owner = manifest("other", &format!("{REGISTER}, {table}"));
    host.plugin("other", &[("manifest.json", &owner), ("tables.lua", OWNED), ("init.lua", &main)])
        .await;
    host.data(ADA, "{ other_get }", json!({})).await;
    let table = r#""database": [{ "type": "table", "name": "notes", "file": "tables.lua" },
        { "type": "relation", "name": "own", "file": "tables.lua" }]"#;
    let more =
        format!(r#", "runtime": {{ "timeoutMs": 60000 }}, "permissions": {{ "sql": {sql} }}"#);
    let thief = manifest_with("thief", &format!("{REGISTER}, {table}"), &more);
    host.plugin(
        "thief",
        &[("manifest.json", &thief), ("tables.lua", STOLEN), ("init.lua", &getting(body))],
    )
    .await;
    host
}

/// Asserts that the owner and the host have what they had.
async fn assert_untouched(host: TestHost) {
    let rows = host.data(ADA, "{ other_get }", json!({})).await;
    assert_eq!(rows["other_get"], json!([{ "id": 1, "text": MARK }]));
    let plugins = host.data(ADMIN, "{ getPlugins { pluginId isActivated } }", json!({})).await;
    let expected = json!([{ "pluginId": "other", "isActivated": true }, { "pluginId": "thief", "isActivated": true }]);
    assert_eq!(plugins["getPlugins"], expected);
    host.stop().await;
}

/// The line with every `<U+XXXX>` replaced by the character.
fn unescaped(line: &str) -> String {
    let mut parts = line.split("<U+");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('>').unwrap();
        out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        out.push_str(rest);
    }
    out
}

/// As a Lua string of any bytes.
fn quoted(text: &str) -> String {
    let bytes: String = text.bytes().map(|byte| format!("\\{byte:03}")).collect();
    format!("\"{bytes}\"")
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn raw_sql_reaches_nothing_else(#[values(On::Sqlite, On::Postgres)] on: On) {
    let own = if on == On::Sqlite { SQLITE } else { POSTGRES };
    let lines = BOTH.lines().chain(own.lines());
    let attempts: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .map(|line| quoted(&unescaped(line)))
        .collect();
    assert!(attempts.len() >= 80, "{}", attempts.len());
    let body = format!(
        r#"
        local through, refused, leaked = {{}}, 0, {{}}
        for _, sql in {{ {} }} do
            for _, method in {{ "query", "execute" }} do
                local ok, result = pcall(function() return ctx.db[method](ctx.db, sql) end)
                if ok then table.insert(through, sql) elseif result.kind then refused += 1 else error(result) end
                if string.find(tostring(result), "{MARK}", 1, true) then table.insert(leaked, sql) end
            end
            local ok = pcall(function() ctx.db:transaction(function(tx) return tx:query(sql) end) end)
            if ok then table.insert(through, "in a transaction: " .. sql) else refused += 1 end
        end
        return {{ through = through, refused = refused, leaked = leaked, own = ctx.db:query("select count(*) as n from {{notes}}")[1].n }}"#,
        attempts.join(", ")
    );
    let host = start(on, &body, true).await;
    let answer = host.data(ADA, "{ thief_get }", json!({})).await["thief_get"].clone();
    assert_eq!((&answer["through"], &answer["leaked"]), (&json!({}), &json!({})), "{answer}");
    assert_eq!(answer["refused"], attempts.len() * 3);
    assert_eq!(answer["own"], 0);
    assert_untouched(host).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_there_is_no_raw_sql(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        local codes = {}
        for _, method in { "query", "execute" } do
            local _, e = pcall(function() return ctx.db[method](ctx.db, "select 1 as n") end)
            table.insert(codes, e.code)
        end
        return codes"#;
    let host = start(on, body, false).await;
    let answer = host.data(ADA, "{ thief_get }", json!({})).await["thief_get"].clone();
    assert_eq!(answer, json!(["forbidden", "forbidden"]));
    assert_untouched(host).await;
}

/// Every name that a method takes, in every disguise.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_builder_names_nothing_else(#[values(On::Sqlite, On::Postgres)] on: On) {
    let body = r#"
        local db = ctx.db
        local names = { "secrets", "other_secrets", "other.secrets", "public.other_secrets", "main.other_secrets", "plugins",
            "_sqlx_migrations", "sqlite_schema", "sqlite_master", "pg_class", "pg_catalog.pg_class", "information_schema.tables",
            "thief_notes", "NOTES", "Notes", "notes ", " notes", "notes\0", "notes--", "notes;", "notes/**/", "notes; select 1",
            "notes, other_secrets", 'notes" join "other_secrets', 'notes"', '"notes"', "`notes`", "[notes]", "{notes}", "n\u{043e}tes",
            "\u{ff4e}otes", "notes\u{200b}", "\u{202e}seton", "notes' or '1'='1", "notes union select 1", "", "*", "(select 1)", "?", "$1" }
        local columns = { "text", "rowid", "oid", "ctid", "xmin", "tableoid", "*", "count(*)", "author_id", "notes.title",
            "other_secrets.text", 'title" , "text', 'title"', "title--", "title;", "title asc", "TITLE", "title\0", "t\u{0456}tle",
            "(select text from other_secrets)", "'x'", "1", "null", "", "title, text", "title) from other_secrets --", "?" }
        local tries = {}
        local function try(f) table.insert(tries, f) end
        for _, name in names do
            try(function() return db:from(name):all() end)
            try(function() return db:insert(name, { text = "x" }) end)
            try(function() return db:insertMany(name, { { text = "x" } }) end)
            try(function() return db:upsert(name, { text = "x" }, { "text" }) end)
            try(function() return db:update(name, { text = "x" }, {}) end)
            try(function() return db:delete(name, {}) end)
            try(function() return db:from("notes"):with(name):all() end)
        end
        for _, name in columns do
            local q = db:from("notes")
            try(function() return q:where({ [name] = "x" }):all() end)
            try(function() return q:where(name, "=", "x"):all() end)
            try(function() return q:where("title", name, "x"):all() end)
            try(function() return q:whereIn(name, {}):all() end)
            try(function() return q:whereNull(name):all() end)
            try(function() return q:orderBy(name):all() end)
            try(function() return q:orderBy("title", name):all() end)
            try(function() return q:select(name):all() end)
            try(function() return q:distinct(name) end)
            try(function() return q:groupBy(name):aggregate({ n = { "count" } }) end)
            try(function() return q:aggregate({ n = { name } }) end)
            try(function() return q:aggregate({ n = { "max", name } }) end)
            try(function() return q:max(name) end)
            try(function() return q:page({ first = 1, after = name }) end)
            try(function() return db:insert("notes", { [name] = "x" }) end)
            try(function() return db:update("notes", { [name] = "x" }, {}) end)
            try(function() return db:delete("notes", { [name] = "x" }) end)
            try(function() return db:upsert("notes", { title = "x" }, { name }) end)
        end
        for _, name in { 'n" from other_secrets --', "n, text", "", "n\0", "1", "a b" } do
            try(function() return db:from("notes"):aggregate({ [name] = { "count" } }) end)
        end
        local through = {}
        for i, f in tries do
            local ok, result = pcall(f)
            if ok then table.insert(through, i) end
        end
        return { through = through, tried = #tries, own = db:from("notes"):count() }"#;
    let host = start(on, body, false).await;
    let answer = host.data(ADA, "{ thief_get }", json!({})).await["thief_get"].clone();
    assert_eq!(answer["through"], json!({}), "{answer}");
    assert!(answer["tried"].as_i64().unwrap() >= 80 && answer["own"] == 0, "{answer}");
    assert_untouched(host).await;
}

/// A cursor is the client's to change, and only ever a place.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_cursor_is_only_a_place(#[values(On::Sqlite, On::Postgres)] on: On) {
    use base64::Engine as _;
    let body = "ctx.db:insert('notes', { title = 'mine' })
         return ctx.db:from('notes'):orderBy('title'):page({ first = 5, after = args.after }).pageInfo.endCursor";
    let body = &format!("{body} --");
    let host = start(on, "return 1", false).await;
    let fields =
        getting(body).replace("type = \"JSON\"", "type = \"JSON\", args = { after = \"String\" }");
    host.write_plugin("thief", &[("init.lua", &fields)]);
    host.host.manager().reload("thief").await.unwrap();
    let ask = "query($after: String) { thief_get(after: $after) }";
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let cursor = host.data(ADA, ask, json!({})).await["thief_get"].as_str().unwrap().to_owned();
    let parts: Vec<Value> = serde_json::from_slice(&engine.decode(cursor).unwrap()).unwrap();
    for value in ["x' or '1'='1", "x\") or (\"1\"=\"1", "'; drop table other_secrets; --", ""] {
        let mut forged = parts.clone();
        forged[1] = json!(value);
        let after = engine.encode(serde_json::to_vec(&forged).unwrap());
        host.data(ADA, ask, json!({ "after": after })).await;
    }
    for forged in [
        json!([]),
        json!({}),
        json!([1, 2, 3]),
        json!([parts[0], {}, 1]),
        json!([parts[0], "x", "y"]),
    ] {
        let after = engine.encode(serde_json::to_vec(&forged).unwrap());
        assert!(host.graphql(Some(ADA), ask, json!({ "after": after })).await["errors"].is_array());
    }
    assert_untouched(host).await;
}

/// Declarations and migrations are the plugin's own too.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn declarations_and_migrations_reach_nothing_else(
    #[values(On::Sqlite, On::Postgres)] on: On,
) {
    let host = start(on, "return 1", false).await;
    let manager = host.host.manager();
    // PostgreSQL has names for indexes and types too, of which these are the owner's and the host's.
    let mut refused = match on {
        On::Sqlite => vec![],
        On::Postgres => vec![
            ("other_secrets", "t.table('pkey', { o = t.integer() })", "is taken by plugin other"),
            ("other_kind", "t.table('enum', { o = t.integer() })", "is taken by plugin other"),
            ("plugins", "t.table('pkey', { o = t.integer() })", "belongs to no plugin"),
            (
                "plugins",
                "t.table('a', { o = t.integer() }, { indexes = { { 'o', name = 'plugin_id_key' } } })",
                "belongs to no plugin",
            ),
        ],
    };
    refused.extend([
        // Its table would be the owner's, or an index or type have its name.
        ("Other", "t.table('secrets', { id = t.serial():primaryKey() })", "taken"),
        (
            "x",
            "t.table('notes', { o = t.integer():references('other_secrets.id') })",
            "unknown table",
        ),
        ("x", "t.table('notes', { o = t.integer():references('secrets.id') })", "unknown table"),
        ("x", "t.table('notes', { o = t.integer():references('plugins.id') })", "unknown table"),
        ("x", "t.table('../other_secrets', { o = t.integer() })", "a name is"),
        ("x", "t.table('notes\"; drop table other_secrets; --', { o = t.integer() })", "a name is"),
        (
            "x",
            "t.table('notes', { ['o\" text); drop table other_secrets; --'] = t.integer() })",
            "a name is",
        ),
        (
            "x",
            "t.table('notes', { id = t.integer(), e = t.enum('other_kind') })",
            "unknown enum \"other_kind\"",
        ),
        // What the database would take for its own.
        ("sqlite", "t.table('schema', { o = t.integer() })", "reserved"),
        ("pg", "t.table('authid', { rolname = t.text(), rolpassword = t.text() })", "reserved"),
        ("PG", "t.table('class', { relname = t.text() })", "reserved"),
        ("pg_stat", "t.table('activity', { query = t.text() })", "reserved"),
        ("pragma", "t.table('foreign_key_check', { parent = t.text() })", "reserved"),
        ("json", "t.table('each', { value = t.text() })", "reserved"),
    ]);
    for (id, table, more) in refused {
        let code = format!("local t = require('@std/table')\nreturn {{ notes = {table} }}");
        let points = r#""database": [{ "type": "table", "name": "notes", "file": "tables.lua" }]"#;
        let files = [
            ("manifest.json", &*manifest(id, points)),
            ("tables.lua", &code),
            ("init.lua", "return {}"),
        ];
        host.write_plugin(id, &files);
        let error = manager.install(id, true).await.unwrap_err();
        assert!(error.message.contains(more), "{id} {table}: {error}");
        if manager.directory().by_plugin_id(id).await.unwrap().is_some() {
            manager.delete(id).await.unwrap();
        }
    }
    for sql in [
        "drop table other_secrets",
        "alter table other_secrets drop column text",
        "alter table plugins rename to x",
        "alter table {notes} rename to other_secrets2; drop table other_secrets",
        "delete from other_secrets",
        "update plugins set is_activated = false",
        "insert into {notes} (title) select text from other_secrets",
        "create table x (a int)",
        "create view v as select * from other_secrets",
        "alter table {secrets} drop column text",
    ] {
        let code = format!("return {{ up = function(db) db:execute({}) end }}", quoted(sql));
        host.write_plugin("thief", &[("migrations/0001_x.lua", &code)]);
        let error = manager.reload("thief").await.unwrap_err();
        assert!(error.message.contains("raw SQL"), "{sql}: {error}");
    }
    std::fs::remove_dir_all(host.plugins.join("thief/migrations")).unwrap();
    manager.reload("thief").await.unwrap();
    assert_untouched(host).await;
}
