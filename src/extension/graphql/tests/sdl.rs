//! The schema as text.

use std::time::Instant;

use super::*;

fn plugin(n: usize) -> Arc<Declarations> {
    let types = (0..5)
        .map(|t| {
            let fields = vec![
                property("id", "ID!"),
                property("title", "String!"),
                field("other", &format!("T{n}x{}", (t + 1) % 5), |_, _| Ok(Value::Null))
                    .arg(arg("limit", "Int").default(20)),
            ];
            object(&format!("T{n}x{t}"), fields)
        })
        .collect();
    let query = constant(&format!("p{n}_get"), &format!("[T{n}x0!]!"), json("[]"));
    let mutation = constant(&format!("p{n}_set"), "Int", Value::Null);
    declarations(&format!("p{n}"), types, vec![query], vec![mutation])
}

fn host() -> Arc<Declarations> {
    declarations(HOST, vec![], vec![constant("host", "Int", Value::Null)], vec![])
}

#[test]
fn sdl_does_not_depend_on_the_order_of_activation() {
    let sdl = |sets: &[Arc<Declarations>]| Schema::build(sets).unwrap().sdl().to_owned();
    let before = sdl(&[host(), plugin(1)]);
    let with = sdl(&[host(), plugin(1), plugin(2)]);
    assert_eq!(with, sdl(&[plugin(2), host(), plugin(1)]));
    assert_ne!(with, before);
    assert_eq!(before, sdl(&[plugin(1), host()]));
    for _ in 0..8 {
        assert_eq!(with, sdl(&[host(), plugin(1), plugin(2)]));
    }
}

#[test]
fn sdl_says_everything() {
    let mut old = property("old", "Int");
    old.deprecated = Some("use new".into());
    let thing = TypeDef::Object(ObjectDef {
        name: "Thing".into(),
        description: Some("A thing.".into()),
        fields: vec![property("new", "[Int!]!"), old],
        ..Default::default()
    });
    let by =
        input("By", vec![arg("state", "[State!]").default(json(r#"["ON"]"#)), arg("n", "Int!")]);
    let thing_query = constant("thing", "Thing", Value::Null)
        .arg(arg("by", "By").default(json(r#"{"state":"ON","n":1}"#)));
    let schema = schema(vec![thing, by, enumeration("State", &["ON"])], vec![thing_query]);
    let sdl = schema.sdl();
    for part in [
        "input By {\n  state: [State!] = [ON]\n  n: Int!\n}\n",
        "enum State {\n  ON\n}\n",
        "\"A thing.\"\ntype Thing {\n  new: [Int!]!\n  old: Int @deprecated(reason: \"use new\")\n}\n",
        "type Query {\n  thing(by: By = {state: [ON], n: 1}): Thing\n}\n",
        "scalar DateTime @specifiedBy(url: \"https://scalars.graphql.org/andimarek/date-time\")",
        "scalar BigInt\n",
    ] {
        assert!(sdl.contains(part), "{part}\nis not in\n{sdl}");
    }
    assert!(!sdl.contains("type Mutation"));
}

#[test]
fn any_text_is_escaped_so_that_sdl_can_be_read_again() {
    let texts = [
        "a \"quote\" and \\ \t\u{1}",
        "two\n\nlines \\ \"",
        "two\n\"\"\"lines\"\"\" \\\"",
        "\"",
        "",
    ];
    for text in texts {
        let mut arg = arg("a", "String").default(text);
        arg.description = Some(text.into());
        let mut field = constant("q", "Int", Value::Null).arg(arg);
        field.description = Some(text.into());
        field.deprecated = Some(text.into());
        let schema = schema(vec![], vec![field]);
        let read = async_graphql::parser::parse_schema(schema.sdl());
        assert!(read.is_ok(), "{read:?}\n{}", schema.sdl());
        let read = format!("{read:?}");
        assert_eq!(read.matches(&format!("{text:?}")).count(), 4, "{text:?}\n{read}");
    }
}

#[test]
fn building_many_plugins_takes_milliseconds() {
    let sets: Vec<_> = std::iter::once(host()).chain((0..100).map(plugin)).collect();
    Schema::build(&sets).unwrap();
    let start = Instant::now();
    Schema::build(&sets).unwrap();
    println!("100 plugins with 5 types each: {:?}", start.elapsed());
}
