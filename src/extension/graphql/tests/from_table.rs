//! Types that are made from tables.

use crate::extension::database::{
    self, ColumnDef, ColumnType, Default as ColumnDefault, TableDef, TableSet,
};
use crate::extension::graphql::builder::{Builder, Collected};
use crate::plugin::generation::GenerationHandle;

use super::*;

fn column(name: &str, ty: ColumnType) -> ColumnDef {
    ColumnDef { not_null: true, ..ColumnDef::new(name, ty) }
}

fn table(name: &str, columns: Vec<ColumnDef>) -> TableDef {
    TableDef {
        export: name.into(),
        name: name.into(),
        columns,
        indexes: vec![],
        primary_key: vec![],
        place: None,
    }
}

fn database_enum(name: &str, values: &[&str]) -> database::EnumDef {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    database::EnumDef { export: name.into(), name: name.into(), values, place: None }
}

fn state(of: &str) -> ColumnType {
    ColumnType::Enum(of.into())
}

fn tables() -> TableSet {
    let notes = table(
        "notes",
        vec![
            ColumnDef { primary_key: true, ..column("id", ColumnType::BigSerial) },
            column("title", ColumnType::Text),
            ColumnDef::new("body", ColumnType::Text),
            column("state", state("note_state")),
            ColumnDef::new("mark", state("mark")),
            ColumnDef { default: Some(ColumnDefault::Now), ..column("at", ColumnType::Timestamp) },
            ColumnDef {
                default: Some(ColumnDefault::Value(0.into())),
                ..column("n", ColumnType::Integer)
            },
            column("data", ColumnType::Blob),
            ColumnDef::new("token", ColumnType::Secret),
        ],
    );
    let parent = Some(("notes".to_owned(), "id".to_owned()));
    let tags = table(
        "tags",
        vec![
            ColumnDef { references: parent, ..column("noteId", ColumnType::BigInt) },
            column("kind", state("date")),
            column("noteState", state("note__state")),
        ],
    );
    let keys = table("keys", vec![ColumnDef::new("key", ColumnType::Secret)]);
    let enums = vec![
        database_enum("note_state", &["OPEN", "done"]),
        database_enum("mark", &["+", "null"]),
        database_enum("date", &["NEW"]),
        database_enum("note__state", &["X"]),
    ];
    TableSet::new("notes", vec![notes, tags, keys], enums, vec![]).unwrap()
}

/// What `register(builder)` with this body declares, and the error that ends it.
fn register_on(tables: Option<TableSet>, body: &str) -> (Collected, mlua::Result<()>) {
    let lua = mlua::Lua::new();
    let builder =
        Builder::new("notes", Vec::new(), GenerationHandle::default(), tables.map(Arc::new));
    lua.globals().set("builder", builder.clone()).unwrap();
    let done = lua.load(body).set_name("=init.lua").exec();
    (builder.take(), done)
}

fn register(body: &str) -> Collected {
    let (collected, done) = register_on(Some(tables()), body);
    done.unwrap();
    collected
}

/// The problems of a `body`, as `line: message`.
fn problems(body: &str) -> Vec<String> {
    let located = |(place, message): (Option<Place>, String)| match place {
        Some(Place { file, line }) => format!("{file}:{line}: {message}"),
        None => message,
    };
    register(body).problems.into_iter().map(located).collect()
}

/// The SDL of the types that a `body` declares, in one line each.
fn types(body: &str) -> Vec<String> {
    let collected = register(body);
    assert_eq!(collected.problems, []);
    let mut declarations = collected.declarations;
    declarations.fields.push(root(Operation::Query, constant("q", "Int", Value::Null)));
    let sdl = Schema::build(&[Arc::new(declarations)]).unwrap().sdl().to_owned();
    let own = |part: &&str| !part.contains("scalar ") && !part.starts_with("type Query");
    let line = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    sdl.split("\n\n").filter(own).map(line).collect()
}

#[test]
fn columns_become_fields() {
    assert_eq!(
        types(r#"builder:objectFromTable("Note", "notes", { description = "One." })"#),
        [
            "\"One.\" type Note { id: ID! title: String! body: String state: NoteState! \
             mark: String at: DateTime! n: Int! }",
            "enum NoteState { OPEN done }",
        ]
    );
    assert_eq!(
        types(r#"builder:objectFromTable("Tag", "tags", { only = { "noteId" } })"#),
        ["type Tag { noteId: ID! }"]
    );
}

#[test]
fn inputs_ask_for_what_the_table_needs() {
    assert_eq!(
        types(r#"builder:inputFromTable("NoteInput", "notes", nil)"#),
        [
            "input NoteInput { title: String! body: String state: NoteState! mark: String n: Int }",
            "enum NoteState { OPEN done }",
        ]
    );
    assert_eq!(
        types(r#"builder:inputFromTable("N", "notes", { optional = true, omit = { "state" } })"#),
        ["input N { title: String body: String mark: String n: Int }"]
    );
    assert_eq!(
        types(
            r#"builder:inputFromTable("N", "notes", {
                optional = { "title" }, only = { "n", "at", "title", "id" },
            })"#
        ),
        ["input N { id: ID title: String at: DateTime n: Int }"]
    );
}

#[test]
fn fields_override_and_follow() {
    assert_eq!(
        types(
            r#"builder:objectFromTable("Note", "notes", {
                only = { "id", "title" },
                fields = {
                    z = "Int", data = { type = "String!", resolve = function() end },
                    body = "Int", title = { type = "ID", description = "Its." },
                },
            })
            builder:inputFromTable("N", "notes", {
                only = { "title", "n" },
                fields = { n = { type = "Int!", default = 3, min = 1 }, token = "String", a = "Int" },
            })"#
        ),
        [
            "input N { title: String! n: Int! = 3 a: Int token: String }",
            "type Note { id: ID! \"Its.\" title: ID body: Int data: String! z: Int }",
        ]
    );
    let collected = register(
        r#"builder:objectFromTable("Note", "notes", {
            fields = { title = { type = "String", resolve = function() end } },
        })"#,
    );
    assert_eq!(&*collected.handlers[0].0, "graphql:Note.title");
}

#[test]
fn an_enum_of_that_name_is_taken_wherever_it_is_declared() {
    let own = r#"builder:enumType("NoteState", { values = { "done", "OPEN", "GONE" } })"#;
    let made = r#"builder:objectFromTable("Note", "notes", { only = { "state" } })
        builder:inputFromTable("N", "notes", { only = { "state" } })"#;
    for body in [format!("{own}\n{made}"), format!("{made}\n{own}")] {
        assert_eq!(
            types(&body),
            [
                "input N { state: NoteState! }",
                "type Note { state: NoteState! }",
                "enum NoteState { done OPEN GONE }",
            ]
        );
    }
    assert_eq!(types(made)[2], "enum NoteState { OPEN done }");
}

#[test]
fn enums_that_cannot_be_types_are_refused() {
    let rest = r#", or give the field a type in "fields""#;
    assert_eq!(
        problems(
            r#"builder:enumType("NoteState", { values = { "OPEN", "DONE" } })
            builder:objectFromTable("Note", "notes", { only = { "state" } })
            builder:inputFromTable("N", "notes", { only = { "state" } })"#
        ),
        [format!(
            "init.lua:2: Note.state: the column can hold done, which the enum type \"NoteState\" \
             does not have; add it{rest}"
        )]
    );
    assert_eq!(
        problems(r#"builder:objectFromTable("NoteState", "notes", { only = { "state" } })"#),
        [format!(
            "init.lua:1: NoteState.state: the enum \"note_state\" would be the type \"NoteState\", \
             which the plugin declares, but not as an enum type; rename one of them{rest}"
        )]
    );
    assert_eq!(
        problems(
            r#"builder:objectFromTable("Note", "notes", { only = { "state" } })
            builder:objectFromTable("Tag", "tags")"#
        ),
        [
            format!(
                "init.lua:2: Tag.kind: the enum \"date\" would be the type \"Date\", which is \
                 built in; rename the enum{rest}"
            ),
            format!(
                "init.lua:2: Tag.noteState: the enums \"note_state\" and \"note__state\" would both \
                 be the type \"NoteState\"; rename one of them{rest}"
            ),
        ]
    );
}

#[test]
fn mistakes_have_a_place_and_a_hint() {
    assert_eq!(
        problems(
            r#"builder:objectFromTable("A", "note", { optional = true })
            builder:objectFromTable("B", "notes", { only = { "titel" }, omit = { "id" } })
            builder:inputFromTable("C", "notes", { optional = { "bdy", 1 }, omit = "id" })
            builder:objectFromTable("D", "notes", { only = {} })
            builder:objectFromTable("E", "keys")
            builder:inputFromTable("F", "tags", { only = { "kind" }, fields = { kind = 3 } })"#
        ),
        [
            "init.lua:1: A: \"optional\" is not known here; known are omit, only, description, \
             fields",
            "init.lua:1: A: the plugin has no table \"note\"; did you mean \"notes\"?",
            "init.lua:2: B: \"only\": the table \"notes\" has no column \"titel\"; did you mean \
             \"title\"?",
            "init.lua:2: B: \"only\" and \"omit\" are both there; keep one",
            "init.lua:3: C: \"optional\": the table \"notes\" has no column \"bdy\"; did you mean \
             \"body\"?",
            "init.lua:3: C: \"optional\" must be a list of columns; an item of it is of type \
             integer",
            "init.lua:3: C: \"omit\" must be a list of columns; it is of type string",
            "init.lua:4: D: nothing is left of the table \"notes\"; name columns in \"only\", or \
             further fields in \"fields\"",
            "init.lua:5: E: nothing is left of the table \"keys\"; name columns in \"only\", or \
             further fields in \"fields\"",
            "init.lua:6: F.kind must be a type such as \"String!\" or a table; it is a integer",
        ]
    );
}

#[test]
fn bytes_and_secrets_stay_where_they_are() {
    assert_eq!(
        problems(
            r#"builder:objectFromTable("A", "notes", { only = { "id", "data", "token" } })
            builder:inputFromTable("B", "notes", { only = { "n", "data", "token" } })
            builder:objectFromTable("C", "notes", { fields = { data = "String", token = "String" } })"#
        ),
        [
            "init.lua:1: A: \"only\" names the column \"data\", a blob: bytes cannot be in GraphQL; \
             give it a field with \"resolve\" that writes them as text",
            "init.lua:1: A: \"only\" names the column \"token\", a secret: clients must not read \
             it; a field with \"resolve\" can say whether it is set",
            "init.lua:2: B: \"only\" names the column \"data\", a blob: bytes cannot be in GraphQL; \
             declare in \"fields\" how clients write them as text",
            "init.lua:2: B: \"only\" names the column \"token\", a secret: it is taken from clients \
             only where \"fields\" declares it",
            "init.lua:3: C: \"fields\" reads the column \"data\", since it has no \"resolve\", but \
             the column is a blob: bytes cannot be in GraphQL; give it a field with \"resolve\" \
             that writes them as text",
            "init.lua:3: C: \"fields\" reads the column \"token\", since it has no \"resolve\", but \
             the column is a secret: clients must not read it; a field with \"resolve\" can say \
             whether it is set",
        ]
    );
}

#[test]
fn a_plugin_without_tables() {
    let body = r#"builder:objectFromTable("Note", "notes")"#;
    let (collected, _) = register_on(Some(TableSet::empty("notes")), body);
    assert_eq!(
        collected.problems[0].1,
        "Note: the plugin has no tables, and so no \"notes\"; declare it with @std/table and list \
         it in the manifest under extensionPoints.database"
    );
    // The tables have problems of their own, which are enough.
    let (collected, done) = register_on(None, body);
    assert!(done.is_ok() && collected.problems.is_empty());
    assert!(collected.declarations.types.is_empty());
}

#[test]
fn wrong_calls_say_how_to_call() {
    for body in [r#"builder:objectFromTable("Note")"#, r#"builder:objectFromTable("N", "n", 1)"#] {
        let (_, done) = register_on(Some(tables()), body);
        let message = done.unwrap_err().to_string();
        let expected = "builder:objectFromTable(\"Name\", \"table\", { … })";
        assert!(message.contains(expected), "{message}");
    }
    let (_, done) = register_on(Some(tables()), "builder:objectFrom()");
    assert!(done.unwrap_err().to_string().contains("objectFromTable, inputFromTable"));
}
