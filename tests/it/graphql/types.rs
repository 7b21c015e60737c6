//! What plugins declare in Lua: interfaces, unions, scalars, extended types, batch resolvers.

use serde_json::json;

use crate::support::{ADA, ADMIN, REGISTER, TestHost, manifest, manifest_with, registering};

const ZOO: &str = r#"
builder:interfaceType("Node", { description = "Has an id.", fields = { id = "ID!" },
  resolveType = function(value, ctx) return if value.price then "Book" else "Film" end })
builder:objectType("Book", { interfaces = { "Node" }, fields = {
  title = { type = "String!", deprecated = "use name" }, price = "Money",
} })
builder:objectType("Film", { interfaces = { "Node" }, fields = { minutes = "Int!" } })
builder:unionType("Found", { types = { "Book", "Film" }, resolveType = function(value, ctx)
  return if value.price then "Book" else "Film"
end })
builder:scalarType("Money", { description = "Cents inside.",
  serialize = function(value) return string.format("%.2f", value / 100) end,
  parse = function(value)
    local amount = tonumber(value)
    if not amount then error("an amount is digits") end
    return amount * 100
  end })
builder:inputType("BookBy", { oneOf = true, fields = { id = "ID", title = "String" } })
builder:inputType("Range", { fields = {
  from = { type = "Money", default = "0.50" }, tags = { type = "[String!]", default = { "a", "b" } },
  inner = { type = "Range" }, old = { type = "Int", deprecated = "gone" },
} })
local things = {
  { id = "1", title = "Dune", price = 1250 }, { id = "2", minutes = 90 },
}
builder:queryField("nodes", { type = "[Node!]!", auth = "public", resolve = function() return things end })
builder:queryField("found", { type = "[Found]", auth = "public", resolve = function() return things end })
builder:queryField("by", { type = "JSON", auth = "public", args = { by = "BookBy!" },
  resolve = function(_, args) return args.by end })
builder:queryField("range", { type = "JSON", auth = "public", args = { range = "Range!" },
  resolve = function(_, args) return args.range end })
"#;

async fn zoo() -> TestHost {
    let host = TestHost::start().await;
    let (text, code) = (manifest("zoo", REGISTER), registering(ZOO));
    host.plugin("zoo", &[("manifest.json", &text), ("init.lua", &code)]).await;
    host
}

#[tokio::test]
async fn interfaces_unions_scalars_and_one_of() {
    let host = zoo().await;
    let data = |query: &'static str| host.data(ADA, query, json!({}));
    assert_eq!(
        data("{ zoo_nodes { __typename id ... on Book { title price } ... on Film { minutes } } }")
            .await,
        json!({ "zoo_nodes": [
            { "__typename": "Book", "id": "1", "title": "Dune", "price": "12.50" },
            { "__typename": "Film", "id": "2", "minutes": 90 },
        ] })
    );
    assert_eq!(
        data("{ zoo_found { ... on Node { id } } }").await,
        json!({ "zoo_found": [{ "id": "1" }, { "id": "2" }] })
    );
    assert_eq!(data("{ zoo_by(by: { id: 1 }) }").await, json!({ "zoo_by": { "id": "1" } }));
    assert_eq!(
        data("{ zoo_range(range: { inner: { from: 3 } }) }").await,
        json!({ "zoo_range": {
            "from": 50, "tags": ["a", "b"], "inner": { "from": 300, "tags": ["a", "b"] },
        } })
    );
    let error = host.error(Some(ADA), "{ zoo_range(range: { from: \"x\" }) }", json!({})).await;
    assert_eq!(error["extensions"]["code"], "invalid_arguments");
    assert_eq!(
        error["extensions"]["issues"],
        json!([{ "argumentPath": ["range", "from"],
                 "message": "Expected type \"Money\"; an amount is digits" }])
    );
    let query = "{ __type(name: \"Range\") { inputFields(includeDeprecated: true) { name isDeprecated } } }";
    let fields = data(query).await["__type"]["inputFields"].to_string();
    assert!(fields.contains(r#"{"name":"old","isDeprecated":true}"#), "{fields}");
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_with_its_place() {
    let host = TestHost::start().await;
    let body = r#"builder:interfaceType("Node", { fields = { id = "ID!" } })
builder:objectType("A", { interfaces = { "Node", "Nod" }, fields = { id = "String", x = "Foo" } })
builder:unionType("U", { types = {} })
builder:inputType("I", { oneOf = true, fields = { a = "Int!" } })
builder:extendType("User", { fields = { extra = "String" } })
builder:extendType("Usr", { fields = { extra = { type = "String", resolve = function() end } } })
builder:scalarType("S", { parse = 5 })
builder:objectType("B", { fields = { b = { type = "Int", resolve = function() end, batch = function() end } } })
builder:subscriptionField("s", { type = "Int" })
builder:subscriptionField("t", { type = "Int", overflow = "wait", subscribe = function() end })"#;
    host.write_plugin(
        "bad",
        &[("manifest.json", &manifest("bad", REGISTER)), ("init.lua", &registering(body))],
    );
    let error = host.host.manager().install("bad", true).await.unwrap_err();
    let said: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    for (line, expected) in [
        (9, "\"parse\" must be a function; it is a"),
        (10, "has both \"resolve\" and \"batch\""),
        (11, "needs a \"subscribe\" function"),
        (12, "\"overflow\" must be \"end\" or \"dropOldest\""),
    ] {
        let found = said.iter().find(|problem| problem.contains(expected));
        let found = found.unwrap_or_else(|| panic!("{expected}: {said:#?}"));
        assert!(found.contains(&format!("init.lua:{line}")), "{found}");
    }
    let body: Vec<&str> = body.lines().take(6).collect();
    host.write_plugin("bad", &[("init.lua", &registering(&body.join("\n")))]);
    let error = host.host.manager().install("bad", true).await.unwrap_err();
    let said: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    for (line, expected) in [
        (4, "implements the unknown interface \"Nod\""),
        (4, "the field \"A.x\" has the unknown type \"Foo\""),
        (5, "the union \"U\" has no types"),
        (6, "none can be non-null"),
        (7, "needs \"resolve\" or \"batch\""),
        (8, "the unknown type \"Usr\" is extended. Did you mean \"User\"?"),
    ] {
        let found = said.iter().find(|problem| problem.contains(expected));
        let found = found.unwrap_or_else(|| panic!("{expected}: {said:#?}"));
        assert!(found.contains(&format!("init.lua:{line}")), "{found}");
    }
}

#[tokio::test]
async fn a_plugin_extends_types_of_the_host_and_of_what_it_depends_on() {
    let host = TestHost::start().await;
    let base = r#"builder:objectType("Author", { fields = { id = "ID!", name = "String!" } })
        builder:queryField("authors", { type = "[Author!]!", auth = "public", resolve = function()
          return { { id = "1", name = "Ada", secret = "s" }, { id = "2", name = "Bo" } }
        end })"#;
    host.plugin(
        "base",
        &[("manifest.json", &manifest("base", REGISTER)), ("init.lua", &registering(base))],
    )
    .await;
    let more = r#"local calls = 0
        builder:extendType("Author", { fields = { books = { type = "[String!]!", args = { n = "Int" },
          batch = function(authors, args, ctx)
            calls += 1
            local out = {}
            for i, author in authors do
              out[i] = { author.name .. " " .. calls .. " " .. tostring(author.secret) }
            end
            return out
          end } } })
        builder:extendType("User", { fields = { greeting = { type = "String!",
          resolve = function(user, _, ctx) return "hello " .. user.name end } } })
        builder:objectType("Shelf", { fields = { author = "Author!" } })
        builder:queryField("shelf", { type = "Shelf!", auth = "public",
          resolve = function() return { author = { id = "3", name = "Cy" } } end })"#;
    let depends = manifest_with("more", REGISTER, r#", "dependencies": { "base": "^1" }"#);
    host.plugin("more", &[("manifest.json", &depends), ("init.lua", &registering(more))]).await;
    assert_eq!(
        host.data(
            ADA,
            "{ base_authors { books again: books } more_shelf { author { books } } }",
            json!({})
        )
        .await,
        json!({ "base_authors": [
            { "books": ["Ada 1 nil"], "again": ["Ada 1 nil"] }, { "books": ["Bo 1 nil"], "again": ["Bo 1 nil"] },
        ], "more_shelf": { "author": { "books": ["Cy 1 nil"] } } })
    );
    // Without naming it as a dependency it is not there.
    let stranger = r#"builder:extendType("Author", { fields = { x = { type = "Int",
        resolve = function() return 1 end } } })"#;
    host.write_plugin(
        "stranger",
        &[("manifest.json", &manifest("stranger", REGISTER)), ("init.lua", &registering(stranger))],
    );
    let error = host.host.manager().install("stranger", true).await.unwrap_err().to_string();
    assert!(error.contains("the unknown type \"Author\" is extended"), "{error}");
    // Reloading what is depended on keeps it all.
    let renamed = registering(&base.replace("Ada", "Eve"));
    host.write_plugin("base", &[("init.lua", &renamed)]);
    host.host.manager().reload("base").await.unwrap();
    let data = host.data(ADA, "{ base_authors { books } }", json!({})).await;
    assert_eq!(data["base_authors"][0]["books"], json!(["Eve 2 nil"]));
    let without =
        registering(&base.replace("\"Author\"", "\"Writer\"").replace("[Author", "[Writer"));
    host.write_plugin("base", &[("init.lua", &without)]);
    let error = host.host.manager().reload("base").await.unwrap_err().to_string();
    assert!(error.contains("Author"), "{error}");
    // A dependency of the host's own type: the current user.
    let sdl = host.host.sdl();
    assert!(sdl.contains("  greeting: String!\n"), "{sdl}");
    host.data(
        ADMIN,
        "mutation { reloadPlugin(input: { pluginId: \"more\" }) { version } }",
        json!({}),
    )
    .await;
}

#[tokio::test]
async fn a_batch_resolver_gives_one_value_for_each_parent() {
    let host = TestHost::start().await;
    let body = r#"
        builder:objectType("Item", { fields = { n = "Int!", label = { type = "String", args = { how = "String" },
          batch = function(items, args, ctx)
            if args.how == "few" then return { "only one" } end
            if args.how == "many" then return { "1", "2", "3", "4" } end
            if args.how == "keys" then return { a = 1 } end
            if args.how == "text" then return "x" end
            if args.how == "fails" then ctx:fail("no_labels", "there are none") end
            local out = {}
            for i, item in items do out[i] = if item.n == 2 then nil else "item " .. item.n end
            return out
          end } } })
        builder:queryField("items", { type = "[Item!]!", auth = "public",
          resolve = function() return { { n = 1 }, { n = 2 }, { n = 3 } } end })"#;
    host.plugin(
        "b",
        &[("manifest.json", &manifest("b", REGISTER)), ("init.lua", &registering(body))],
    )
    .await;
    assert_eq!(
        host.data(ADA, "{ b_items { label } }", json!({})).await,
        json!({ "b_items": [{ "label": "item 1" }, { "label": null }, { "label": "item 3" }] })
    );
    for (how, code) in [
        ("few", "unexpected"),
        ("many", "unexpected"),
        ("keys", "unexpected"),
        ("text", "unexpected"),
        ("fails", "no_labels"),
    ] {
        let query = format!("{{ b_items {{ label(how: \"{how}\") }} }}");
        let response = host.graphql(Some(ADA), &query, json!({})).await;
        assert_eq!(response["data"]["b_items"][2], json!({ "label": null }), "{how}");
        assert_eq!(response["errors"].as_array().unwrap().len(), 3, "{how}: {response}");
        assert_eq!(response["errors"][0]["extensions"]["code"], code, "{how}");
    }
}
