//! A plugin reaches its own tables only, and what it passes to a query is never SQL.

use serde_json::{Value, json};

use crate::support::{ADA, TestHost, getting, manifest};

const POINTS: &str = r#"
    "graphql": [{ "type": "query", "name": "fields", "builderDefinition": "register" }],
    "database": [{ "type": "table", "name": "notes", "file": "tables.lua" }]"#;
const TABLES: &str = "local t = require('@std/table')
    return { notes = t.table('notes', {
        id = t.uuid():primaryKey():defaultRandom(), title = t.text():notNull(), votes = t.integer(),
    }) }";

async fn host() -> TestHost {
    let host = TestHost::start().await;
    // What the attacker is after: the same table of another plugin, with a row in it.
    let body = "ctx.db:insert('notes', { title = 'private' }) return ctx.db:from('notes'):count()";
    add(&host, "owner", body).await;
    assert_eq!(get(&host, "owner").await, json!(1));
    host
}

async fn add(host: &TestHost, id: &str, body: &str) {
    let manifest = manifest(id, POINTS);
    let files =
        [("manifest.json", &*manifest), ("tables.lua", TABLES), ("init.lua", &getting(body))];
    host.plugin(id, &files).await;
}

async fn get(host: &TestHost, id: &str) -> Value {
    let field = format!("{id}_get");
    host.data(ADA, &format!("{{ {field} }}"), json!({})).await[field].take()
}

#[tokio::test]
async fn other_tables_cannot_be_named() {
    let host = host().await;
    add(
        &host,
        "thief",
        r#"local works = {}
        for _, name in { "owner_notes", "owner.notes", "thief_notes", "main.notes", "plugins", "sqlite_schema",
            "sqlite_master", "_sqlx_migrations", 'notes"; drop table owner_notes; --', "notes; select 1", "notes--",
            'notes" join owner_notes', "notes union select * from owner_notes", "Notes", "NOTES", "nоtes", " notes",
            "notes ", "notes\0", "notes\0x", "", "*", "?", "{notes}", "[notes]", "`notes`", "notes.id", "\xff",
            "../owner/notes", "pragma_table_list", "(select 1)" } do
            local row, all = { title = "x" }, {}
            for method, call in {
                from = function() return ctx.db:from(name) end,
                insert = function() return ctx.db:insert(name, row) end,
                update = function() return ctx.db:update(name, row, all) end,
                delete = function() return ctx.db:delete(name, all) end,
            } do
                if pcall(call) then table.insert(works, method .. " " .. name) end
            end
        end
        for i, name in { 1, true, {}, print } do
            if pcall(function() return ctx.db:from(name) end) and i ~= 1 then table.insert(works, "value " .. i) end
        end
        return { works = works, own = ctx.db:from("notes"):count() }"#,
    )
    .await;
    // An empty list cannot be told from an empty object where the type is JSON.
    assert_eq!(get(&host, "thief").await, json!({ "works": {}, "own": 0 }));
    assert_eq!(get(&host, "owner").await, json!(2), "its row, and the one that asking added");
    host.stop().await;
}

#[tokio::test]
async fn values_are_bound_and_names_are_known() {
    let host = host().await;
    add(
        &host,
        "injector",
        r#"local evil = { "' or '1'='1", "x'; drop table owner_notes; --", '" or 1=1 --', "%", "\\", "?", "$1", ":id",
               "title", "id)", "1) or (1=1", "null" }
        local notes = ctx.db:from("notes")
        for _, text in evil do
            local row = ctx.db:insert("notes", { title = text })
            assert(row.title == text, text)
            assert(notes:where({ title = text }):count() == 1, text)
            assert(notes:where("title", "like", (text:gsub("[%%_\\]", "\\%0"))):count() == 1, text)
            assert(notes:whereIn("title", { text, "absent" }):count() == 1, text)
            assert(ctx.db:update("notes", { votes = 1 }, { title = text }) == 1, text)
        end
        assert(notes:count() == #evil)
        local works = {}
        for _, text in evil do
            if text ~= "title" then
                for name, call in {
                    column = function() return notes:where({ [text] = "x" }):all() end,
                    op = function() return notes:where("title", text, "x"):all() end,
                    order = function() return notes:orderBy(text):all() end,
                    direction = function() return notes:orderBy("title", text):all() end,
                    select = function() return notes:select({ text }):all() end,
                    null = function() return notes:whereNull(text):all() end,
                    among = function() return notes:whereIn(text, { 1 }):all() end,
                    sum = function() return notes:sum(text) end,
                    limit = function() return notes:limit(text):all() end,
                    offset = function() return notes:offset(text):all() end,
                    insert = function() return ctx.db:insert("notes", { title = "a", [text] = "x" }) end,
                    update = function() return ctx.db:update("notes", { [text] = "x" }, {}) end,
                    delete = function() return ctx.db:delete("notes", { [text] = "x" }) end,
                } do
                    if pcall(call) then table.insert(works, name .. " " .. text) end
                end
            end
        end
        for _, op in { "=1 or 1=", "is", "IS NOT", "glob", "match", "regexp", "", "= ", "in (select", "||" } do
            if pcall(function() return notes:where("title", op, "x"):all() end) then table.insert(works, op) end
        end
        for _, count in { -1, 0.5, 0 / 0, math.huge, 1e300 } do
            if pcall(function() return notes:limit(count):all() end) then table.insert(works, count) end
        end
        return { works = works, rows = notes:count() }"#,
    )
    .await;
    assert_eq!(get(&host, "injector").await, json!({ "works": {}, "rows": 12 }));
    assert_eq!(get(&host, "owner").await, json!(2));
    host.stop().await;
}

#[tokio::test]
async fn queries_end_with_their_call() {
    let host = host().await;
    let body = "if kept then
            local failed = {}
            for name, call in {
                all = function() return kept.query:all() end,
                derived = function() return kept.query:where({ title = 'x' }):first() end,
                count = function() return kept.query:count() end,
                insert = function() return kept.db:insert('notes', { title = 'late' }) end,
                from = function() return kept.db:from('notes'):all() end,
                delete = function() return kept.db:delete('notes', {}) end,
            } do
                local ok, e = pcall(call)
                failed[name] = if ok then 'works' else tostring(e)
            end
            return failed
        end
        kept = { db = ctx.db, query = ctx.db:from('notes') }
        return kept.query:count()";
    add(&host, "keeper", body).await;
    assert_eq!(get(&host, "keeper").await, json!(0));
    let failed = get(&host, "keeper").await;
    assert_eq!(failed.as_object().unwrap().len(), 6);
    for (name, error) in failed.as_object().unwrap() {
        let error = error.as_str().unwrap();
        assert!(error.contains("a call that has ended"), "{name}: {error}");
    }
    host.stop().await;
}
