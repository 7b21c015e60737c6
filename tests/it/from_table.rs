//! GraphQL types that plugins make from their tables.

use serde_json::json;

use crate::support::{ADA, REGISTER, TestHost, manifest, registering};

const DATABASE: &str = r#""database": [
    { "type": "enum", "name": "kind", "file": "tables.lua" },
    { "type": "table", "name": "owners", "file": "tables.lua" },
    { "type": "table", "name": "items", "file": "tables.lua" }
]"#;

const TABLES: &str = r#"
local t = require("@std/table")
return {
    kind = t.enumType("item_kind", { "SMALL", "LARGE" }),
    owners = t.table("owners", { id = t.serial():primaryKey(), name = t.text():notNull() }),
    items = t.table("items", {
        id = t.bigserial():primaryKey(),
        ownerId = t.integer():notNull():references("owners.id"),
        title = t.text():notNull(),
        count = t.integer():notNull():default(1),
        total = t.bigint():notNull(),
        weight = t.real(),
        height = t.doublePrecision():notNull(),
        price = t.decimal():notNull(),
        done = t.boolean():notNull(),
        dueAt = t.timestamp(),
        day = t.date():notNull(),
        hour = t.time():notNull(),
        extra = t.json(),
        token = t.uuid():notNull():defaultRandom(),
        kind = t.enum("item_kind"):notNull(),
        bytes = t.blob(),
        key = t.secret(),
        createdAt = t.timestamp():notNull():defaultNow(),
    }),
}
"#;

const INIT: &str = r#"
builder:objectFromTable("Owner", "owners")
builder:inputFromTable("OwnerInput", "owners")
builder:objectFromTable("Item", "items", {
    description = "A thing.",
    fields = {
        hasKey = { type = "Boolean!", resolve = function(item) return item.key ~= nil end },
        owner = {
            type = "Owner!",
            resolve = function(item, _, ctx)
                return ctx.db:from("owners"):where({ id = item.ownerId }):first()
            end,
        },
    },
})
builder:inputFromTable("ItemInput", "items", {
    fields = { title = { type = "String!", minLength = 3 }, key = "String" },
})
builder:inputFromTable("ItemChanges", "items", { optional = true, omit = { "ownerId", "total" } })
builder:mutationField("addOwner", {
    type = "Owner!", args = { input = "OwnerInput!" },
    resolve = function(_, args, ctx) return ctx.db:insert("owners", args.input) end,
})
builder:mutationField("addItem", {
    type = "Item!", args = { input = "ItemInput!" },
    resolve = function(_, args, ctx) return ctx.db:insert("items", args.input) end,
})
builder:mutationField("changeItem", {
    type = "Item", args = { id = "ID!", changes = "ItemChanges!" },
    resolve = function(_, args, ctx)
        return ctx.db:update("items", args.changes, { id = args.id }, { returning = true })[1]
    end,
})
builder:queryField("item", {
    type = "Item", args = { id = "ID!" },
    resolve = function(_, args, ctx) return ctx.db:from("items"):where({ id = args.id }):first() end,
})
"#;

const SDL: &[&str] = &[
    "type Owner {
  id: ID!
  name: String!
}
",
    "input OwnerInput {
  name: String!
}
",
    "\"A thing.\"
type Item {
  id: ID!
  ownerId: ID!
  title: String!
  count: Int!
  total: BigInt!
  weight: Float
  height: Float!
  price: String!
  done: Boolean!
  dueAt: DateTime
  day: Date!
  hour: String!
  extra: JSON
  token: UUID!
  kind: ItemKind!
  createdAt: DateTime!
  hasKey: Boolean!
  owner: Owner!
}
",
    "input ItemInput {
  ownerId: ID!
  title: String!
  count: Int
  total: BigInt!
  weight: Float
  height: Float!
  price: String!
  done: Boolean!
  dueAt: DateTime
  day: Date!
  hour: String!
  extra: JSON
  kind: ItemKind!
  key: String
}
",
    "input ItemChanges {
  title: String
  count: Int
  weight: Float
  height: Float
  price: String
  done: Boolean
  dueAt: DateTime
  day: Date
  hour: String
  extra: JSON
  kind: ItemKind
}
",
    "enum ItemKind {
  SMALL
  LARGE
}
",
];

#[tokio::test]
async fn rows_go_in_and_out_without_typing_their_columns_again() {
    let host = TestHost::start().await;
    let manifest = manifest("stock", &format!("{REGISTER}, {DATABASE}"));
    let init = registering(INIT);
    let files = [("manifest.json", &*manifest), ("tables.lua", TABLES), ("init.lua", &init)];
    host.plugin("stock", &files).await;
    let sdl = host.host.sdl();
    for part in SDL {
        assert!(sdl.contains(part), "{part} is not in {sdl}");
    }

    let add = "mutation($input: OwnerInput!) { stock_addOwner(input: $input) { id name } }";
    let owner = host.data(ADA, add, json!({ "input": { "name": "Ada" } })).await;
    assert_eq!(owner["stock_addOwner"], json!({ "id": "1", "name": "Ada" }));

    let fields = "id ownerId title count total weight height price done dueAt day hour extra kind \
                  hasKey owner { name }";
    let add = format!(
        "mutation($input: ItemInput!) {{ stock_addItem(input: $input) {{ {fields} token createdAt }} }}"
    );
    let input = json!({
        "ownerId": "1", "title": "Chair", "total": "9007199254740993", "weight": 2, "height": 0.5,
        "price": "12.50", "done": false, "dueAt": "2026-01-02T05:04:05+02:00", "day": "2026-01-02",
        "hour": "03:04", "extra": { "tags": ["a", null] }, "kind": "LARGE", "key": "hush",
    });
    let mut added = host.data(ADA, &add, json!({ "input": input })).await["stock_addItem"].take();
    let filled = ["token", "createdAt"].map(|name| added.as_object_mut().unwrap().remove(name));
    assert!(filled.iter().all(|value| value.as_ref().is_some_and(|value| value.is_string())));
    let expected = json!({
        "id": "1", "ownerId": "1", "title": "Chair", "count": 1, "total": "9007199254740993",
        "weight": 2, "height": 0.5, "price": "12.50", "done": false,
        "dueAt": "2026-01-02T03:04:05.000Z", "day": "2026-01-02", "hour": "03:04:00",
        "extra": { "tags": ["a", null] }, "kind": "LARGE", "hasKey": true,
        "owner": { "name": "Ada" },
    });
    assert_eq!(added, expected);
    let get = format!("{{ stock_item(id: 1) {{ {fields} }} }}");
    assert_eq!(host.data(ADA, &get, json!({})).await["stock_item"], expected);

    let change = "mutation($changes: ItemChanges!) { stock_changeItem(id: 1, changes: $changes) \
                  { title kind weight total } }";
    let changes = json!({ "changes": { "kind": "SMALL", "weight": null } });
    assert_eq!(
        host.data(ADA, change, changes).await["stock_changeItem"],
        json!({ "title": "Chair", "kind": "SMALL", "weight": null, "total": "9007199254740993" })
    );

    for (query, cause) in [
        ("{ stock_item(id: 1) { key } }", "Unknown field \"key\""),
        ("{ stock_item(id: 1) { bytes } }", "Unknown field \"bytes\""),
        ("mutation { stock_changeItem(id: 1, changes: { key: \"x\" }) { id } }", "\"key\""),
        ("mutation { stock_addOwner(input: {}) { id } }", "\"name\""),
    ] {
        let error = host.error(Some(ADA), query, json!({})).await;
        assert!(error["message"].as_str().unwrap().contains(cause), "{query}: {error}");
    }
    host.stop().await;
}

#[tokio::test]
async fn mistakes_are_found_when_the_plugin_loads() {
    let host = TestHost::start().await;
    let manifest = manifest("stock", &format!("{REGISTER}, {DATABASE}"));
    let init = registering(
        "builder:objectFromTable(\"Item\", \"item\")\n\
         builder:objectFromTable(\"Owner\", \"owners\", { omit = { \"nmae\" } })\n\
         builder:objectFromTable(\"Key\", \"items\", { only = { \"key\" } })",
    );
    let files = [("manifest.json", &*manifest), ("tables.lua", TABLES), ("init.lua", &init)];
    host.write_plugin("stock", &files);
    let error = host.host.manager().install("stock", false).await.unwrap_err();
    let found: Vec<_> = error.problems.iter().map(|p| (p.line, p.message.as_str())).collect();
    let expected = [
        (Some(3), "Item: the plugin has no table \"item\"; did you mean \"items\"?"),
        (
            Some(4),
            "Owner: \"omit\": the table \"owners\" has no column \"nmae\"; did you mean \"name\"?",
        ),
        (
            Some(5),
            "Key: \"only\" names the column \"key\", a secret: clients must not read it; a field \
             with \"resolve\" can say whether it is set",
        ),
    ];
    assert_eq!(found, expected);
    assert!(error.problems.iter().all(|p| p.file.as_deref() == Some("init.lua")));

    // What is wrong with the tables is not said once more for the types that are made from them.
    host.write_plugin("stock", &[("tables.lua", &TABLES.replace("t.real()", "t.reel()"))]);
    let error = host.host.manager().install("stock", false).await.unwrap_err();
    assert!(error.problems.iter().all(|p| p.file.as_deref() == Some("tables.lua")), "{error:?}");
    host.stop().await;
}

/// The first block in this language below a heading of a page.
fn documented<'d>(docs: &'d str, heading: &str, language: &str) -> &'d str {
    let below = docs.split_once(&format!("\n{heading}\n")).unwrap().1;
    let block = below.split_once(&format!("```{language}\n")).unwrap().1;
    block.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_documented_example_runs() {
    let docs = include_str!("../../docs/plugins.md");
    let heading = "### Types from tables";
    let init = format!("local M = {{}}\n{}return M\n", documented(docs, heading, "lua"));
    let database = r#""database": [
        { "type": "enum", "name": "noteState", "file": "tables.lua" },
        { "type": "table", "name": "notes", "file": "tables.lua" },
        { "type": "table", "name": "tags", "file": "tables.lua" },
        { "type": "relation", "name": "noteTags", "file": "tables.lua" }
    ]"#;
    let host = TestHost::start().await;
    let manifest = manifest("note", &format!("{REGISTER}, {database}"));
    let tables = documented(include_str!("../../docs/data.md"), "## Tables", "lua");
    let files = [("manifest.json", &*manifest), ("tables.lua", tables), ("init.lua", &init)];
    host.plugin("note", &files).await;

    let words =
        |text: &str| text.replace(',', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let sdl = words(&host.host.sdl());
    for line in documented(docs, heading, "graphql").lines() {
        assert!(sdl.contains(&words(line)), "{line} is not in {sdl}");
    }

    let create = r#"mutation { note_create(input: { title: "Milk" }) { id state tags { name } } }"#;
    let mut note = host.data(ADA, create, json!({})).await["note_create"].take();
    let id = note["id"].take();
    assert_eq!(note, json!({ "id": null, "state": "OPEN", "tags": [] }));
    let change =
        "mutation($id: ID!) { note_change(id: $id, changes: { state: DONE }) { title state } }";
    let changed = host.data(ADA, change, json!({ "id": id })).await["note_change"].take();
    assert_eq!(changed, json!({ "title": "Milk", "state": "DONE" }));
    let list = host.data(ADA, "{ note_list { title } }", json!({})).await;
    assert_eq!(list["note_list"], json!([{ "title": "Milk" }]));
    host.stop().await;
}
