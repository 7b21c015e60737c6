//! `@std/table` itself: what it makes is what `declare` reads.

use mlua::{Lua, LuaOptions, StdLib, Value as LuaValue};

use super::*;
use crate::extension::database::declare::{self, Declaration};

const SOURCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua-stdlib/table.luau"));

fn to_value(value: LuaValue) -> Value {
    match value {
        LuaValue::Boolean(b) => Value::Bool(b),
        LuaValue::Integer(i) => Value::Int(i),
        LuaValue::Number(n) => Value::Float(n),
        LuaValue::String(s) => Value::String(s.to_str().unwrap().to_owned()),
        LuaValue::Table(table) if table.raw_len() > 0 => {
            Value::List(table.sequence_values().map(|v| to_value(v.unwrap())).collect())
        }
        LuaValue::Table(table) => {
            assert!(table.metatable().is_none(), "declarations are plain tables");
            let pairs = table.pairs::<String, LuaValue>().map(|pair| pair.unwrap());
            Value::Map(pairs.map(|(key, value)| (key, to_value(value))).collect())
        }
        other => panic!("not plain data: {other:?}"),
    }
}

fn run(code: &str) -> Result<Map, String> {
    let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::default()).unwrap();
    let module: LuaValue = lua.load(SOURCE).set_name("=@std/table").eval().unwrap();
    lua.globals().set("t", module).unwrap();
    lua.sandbox(true).unwrap();
    let exports: LuaValue =
        lua.load(code).set_name("=tables.lua").eval().map_err(|e| e.to_string())?;
    match to_value(exports) {
        Value::Map(map) => Ok(map),
        other => panic!("not an object: {other:?}"),
    }
}

fn declarations(code: &str) -> Vec<Declaration> {
    let exports = run(code).unwrap();
    exports.iter().map(|(k, v)| declare::from_value(k, v, None).unwrap()).collect()
}

#[test]
fn the_example_of_the_contract_is_read() {
    let mut tables = Vec::new();
    let mut enums = Vec::new();
    let mut relations = Vec::new();
    for declaration in declarations(
        r#"
        return {
            pollsTable = t.table("polls", {
                id = t.uuid():primaryKey():defaultRandom(), title = t.text():notNull(),
                votes = t.integer():notNull():default(0), state = t.enum("poll_state"),
                authorId = t.text(), meta = t.json():default({ a = { 1 } }),
                open = t.boolean():default(false), createdAt = t.timestamp():notNull():defaultNow(),
            }, { indexes = { { "authorId" }, { "title", "votes", unique = true, name = "byTitle" } } }),
            votesTable = t.table("votes", { id = t.serial():primaryKey(), pollId = t.uuid():references("polls.id") }),
            pollState = t.enumType("poll_state", { "open", "closed" }),
            pollVotes = t.relation { from = "votes.pollId", to = "polls.id", onDelete = "cascade" },
        }"#,
    ) {
        match declaration {
            Declaration::Table(table) => tables.push(table),
            Declaration::Enum(def) => enums.push(def),
            Declaration::Relation(relation) => relations.push(relation),
        }
    }
    let set = TableSet::new("polls", tables, enums, relations).unwrap();
    let polls = set.tables().iter().find(|t| t.name == "polls").unwrap();
    let names: Vec<&str> = polls.columns.iter().map(|c| c.name.as_str()).collect();
    let order = ["id", "title", "votes", "state", "authorId", "meta", "open", "createdAt"];
    assert_eq!(names, order, "the order of declaration is kept");
    assert_eq!(polls.columns[0].default, Some(Default::Random));
    assert_eq!(polls.columns[2].default, Some(Default::Value(Value::Int(0))));
    assert_eq!(polls.columns[6].default, Some(Default::Value(Value::Bool(false))));
    assert_eq!(polls.columns[7].default, Some(Default::Now));
    assert_eq!(polls.indexes[1].physical, "polls_by_title");
    assert!(polls.indexes[1].unique && !polls.indexes[0].unique);
    let votes = set.tables().iter().find(|t| t.name == "votes").unwrap();
    let key = votes.columns[1].foreign_key.unwrap();
    assert_eq!(key.on_delete, OnDelete::Cascade);
}

#[test]
fn every_type_has_a_constructor_and_columns_are_immutable() {
    let mut code = String::from("local base = t.text()\nbase:notNull():unique()\n");
    code.push_str("return { x = t.table('x', { base = base,\n");
    for (name, _) in ColumnType::NAMES {
        code.push_str(&format!("c_{name} = t.{name}(),\n"));
    }
    code.push_str("}) }");
    let Declaration::Table(table) = declarations(&code).remove(0) else { panic!("a table") };
    assert_eq!(table.columns.len(), ColumnType::NAMES.len() + 1);
    assert_eq!(table.columns[0], ColumnDef::new("base", ColumnType::Text));
    for ((name, ty), column) in ColumnType::NAMES.iter().zip(&table.columns[1..]) {
        assert_eq!((&column.name, &column.ty), (&format!("c_{name}"), ty));
    }
}

#[test]
fn mistakes_are_errors_with_file_and_line() {
    for (code, expected) in [
        ("return {\n a = t.txt() }", "tables.lua:2: @std/table has no \"txt\"; there is bigint"),
        ("\n\nt.text():notnull()", "tables.lua:3: a column has no method \"notnull\""),
        ("t.text().notNull()", "tables.lua:1: call the methods of a column with a colon"),
        ("t.text('x')", "tables.lua:1: t.text() takes no arguments"),
        ("t.text():default(nil)", "tables.lua:1: default needs a value"),
        ("t.text():default(print)", "tables.lua:1: a default is a value, not a function"),
        ("t.text():references('polls')", "tables.lua:1: references takes \"table.column\""),
        ("t.enum()", "tables.lua:1: t.enum takes the name"),
        ("t.enumType('e', {})", "tables.lua:1: t.enumType(\"e\"): the values must be a list"),
        ("t.enumType('e', { 1 })", "tables.lua:1: t.enumType(\"e\"): the values must be strings"),
        ("t.relation { from = 'a.b' }", "tables.lua:1: t.relation: to must be \"table.column\""),
        ("t.relation { form = 'a.b' }", "tables.lua:1: t.relation: unknown key \"form\""),
        (
            "t.relation { from = 'a.b', to = 'a.b', onDelete = 'explode' }",
            "tables.lua:1: t.relation: onDelete must be one of noAction, restrict",
        ),
        ("t.table()", "tables.lua:1: t.table: the name must be a string"),
        ("t.table('a', { t.text() })", "tables.lua:1: t.table(\"a\"): columns are written as"),
        ("t.table('a', { x = 'text' })", "tables.lua:1: t.table(\"a\"): column x must be made by"),
        (
            "t.table('a', {}, { index = {} })",
            "tables.lua:1: t.table(\"a\"): unknown option \"index\"",
        ),
        (
            "t.table('a', {}, { indexes = { 'x' } })",
            "tables.lua:1: t.table(\"a\"): index 1 must be",
        ),
        ("t.text = nil", "readonly"),
    ] {
        let error = run(code).unwrap_err();
        assert!(error.contains(expected), "{code}\n{error}");
    }
}

#[test]
fn hand_made_values_are_checked_too() {
    let value = |json: serde_json::Value| Value::from(&json);
    let problems = |json| declare::from_value("x", &value(json), None).unwrap_err();
    assert_eq!(
        problems(json!({ "kind": "view" })),
        [
            "\"x\": expected what t.table, t.enumType or t.relation of @std/table returns, found object"
        ]
    );
    let found = problems(json!({
        "kind": "table", "name": 1, "colums": {},
        "columns": {
            "a": { "type": "txt" },
            "b": 1,
            "c": { "type": "text", "notNull": 1, "default": 1, "defaultNow": true },
            "d": { "type": "text", "references": "a.b.c" },
        },
        "indexes": [1, { "columns": "a" }],
    }));
    for text in [
        "\"x\": the table has an unknown key \"colums\"; did you mean \"columns\"?",
        "\"x\": name: expected a string, found integer",
        "\"x\": column \"a\": unknown type \"txt\"; did you mean \"text\"?",
        "\"x\": column \"b\": expected a column such as t.text()",
        "\"x\": column \"c\": notNull: expected a boolean, found integer",
        "\"x\": column \"c\": it has several defaults; keep one",
        "\"x\": column \"d\": references: expected \"table.column\", found \"a.b.c\"",
        "\"x\": indexes: expected { \"column\", unique = true }",
        "\"x\": an index: columns: expected a list, found string",
    ] {
        assert!(found.iter().any(|m| m == text), "{text}\nin {found:#?}");
    }
    assert_eq!(found.len(), 9, "{found:#?}");
    let found = problems(json!({ "kind": "relation", "from": "a.b", "onDelete": 1 }));
    assert_eq!(found.len(), 2, "{found:#?}");
    let found = problems(json!({ "kind": "enum", "name": "e", "values": [1] }));
    assert_eq!(found, ["\"x\": values: expected a string, found integer"]);
}

#[test]
fn the_type_stub_is_valid_and_complete() {
    let stub = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua-stdlib/table.d.luau"));
    Lua::new().load(stub).into_function().unwrap();
    let functions = ColumnType::NAMES.iter().map(|(name, _)| *name);
    for name in functions.chain(["enum", "table", "enumType", "relation"]) {
        assert!(stub.contains(&format!("\t{name}: (")), "{name}");
    }
}
