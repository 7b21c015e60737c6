//! What keeps declarations from becoming a schema.

use super::*;

fn problems(sets: &[Arc<Declarations>]) -> Vec<String> {
    Schema::build(sets).unwrap_err().into_iter().map(|problem| problem.message).collect()
}

fn query() -> FieldDef {
    constant("q", "Int", Value::Null)
}

fn one(types: Vec<TypeDef>) -> Vec<String> {
    problems(&[declarations("polls", types, vec![query()], vec![])])
}

#[test]
fn all_problems_are_listed_with_owner_and_place() {
    let place = Place { file: "graphql.lua".into(), line: 7 };
    let broken = TypeDef::Object(ObjectDef {
        name: "Poll".into(),
        fields: vec![property("a", "Strin"), property("a", "Filter"), property("1x", "Int")],
        place: Some(place.clone()),
        ..Default::default()
    });
    let filter = input("Filter", vec![arg("p", "Poll"), arg("__q", "Int")]);
    let sets = [declarations("polls", vec![broken, filter], vec![query()], vec![])];
    let found = check(&sets);
    assert!(found.iter().all(|problem| problem.owner == "polls"));
    assert_eq!(found[0].place, Some(place));
    let lines: Vec<String> = found.iter().map(SchemaProblem::to_string).collect();
    assert_eq!(
        lines,
        [
            "graphql.lua:7: \"Poll\" has the field \"a\" twice",
            "graphql.lua:7: the field \"Poll.a\" has the unknown type \"Strin\". Did you mean \
             \"String\"?",
            "graphql.lua:7: the field \"Poll.a\" has the type \"Filter\", but \"Filter\" is an \
             input type, not an output type",
            "graphql.lua:7: \"1x\" is not a valid field name: expected letters, digits and \"_\", \
             not starting with a digit",
            "the field \"Filter.p\" has the type \"Poll\", but \"Poll\" is an object type, not an \
             input type",
            "\"__q\" is not a valid field name: names starting with \"__\" are reserved",
        ]
    );
}

#[test]
fn a_type_may_be_declared_twice_in_a_plugin_if_it_is_the_same() {
    let poll = |of: &str| object("Poll", vec![property("id", of)]);
    let same = declarations("polls", vec![poll("ID!"), poll("ID!")], vec![query()], vec![]);
    assert!(Schema::build(&[same]).is_ok());
    assert_eq!(
        one(vec![poll("ID!"), poll("ID")]),
        ["the type \"Poll\" is declared differently than before"]
    );
}

#[test]
fn two_owners_cannot_declare_the_same_thing() {
    let set = |owner: &str, field: &str| {
        let types = vec![object("Poll", vec![property("id", "ID!")])];
        declarations(owner, types, vec![constant(field, "Int", Value::Null)], vec![])
    };
    assert_eq!(
        problems(&[set(HOST, "a"), set("polls", "b"), set("votes", "b")]),
        [
            "the host and the plugin \"polls\" both declare the type \"Poll\"",
            "the host and the plugin \"votes\" both declare the type \"Poll\"",
            "the plugin \"polls\" and the plugin \"votes\" both declare the field \"Query.b\"",
        ]
    );
}

#[test]
fn reserved_names_empty_types_and_doubles() {
    assert_eq!(
        one(vec![
            object("Query", vec![property("x", "Int")]),
            object("DateTime", vec![property("x", "Int")]),
            object("Empty", vec![]),
            input("None", vec![]),
            enumeration("Odd", &["true", "A", "A"]),
            enumeration("Void", &[]),
            object("Up", vec![property("file", "Upload"), property("a-b", "Int")]),
        ]),
        [
            "the type \"Query\" belongs to the host; add to it with root fields instead",
            "\"DateTime\" is a built-in scalar",
            "the object type \"Empty\" has no fields",
            "the input type \"None\" has no fields",
            "\"Odd\" has the value \"A\" twice",
            "\"true\" cannot be a value of an enum",
            "the enum type \"Void\" has no values",
            "the field \"Up.file\" has the type \"Upload\", but Upload is only for input",
            "\"a-b\" is not a valid field name: expected letters, digits and \"_\", not starting \
             with a digit",
        ]
    );
}

#[test]
fn root_fields() {
    let field = query().arg(arg("a", "Int")).arg(arg("a", "Poll"));
    let bare = property("bare", "Int");
    assert_eq!(
        problems(&[declarations("polls", vec![], vec![field, query(), bare], vec![])]),
        [
            "\"Query.q\" has the argument \"a\" twice",
            "the argument \"a\" of \"Query.q\" has the unknown type \"Poll\".",
            "\"Query\" has the field \"q\" twice",
            "the field \"Query.bare\" has no resolver",
        ]
    );
    assert_eq!(
        problems(&[declarations("polls", vec![], vec![], vec![query()])]),
        ["there is no query field; a schema needs at least one"]
    );
}

#[test]
fn defaults_must_fit() {
    let types = || {
        vec![
            input("Filter", vec![arg("n", "Int").default("x"), arg("s", "State")]),
            enumeration("State", &["ON"]),
        ]
    };
    let field = query().arg(arg("f", "Filter!").default(json(r#"{"s":"OFF"}"#)));
    assert_eq!(
        problems(&[declarations("polls", types(), vec![field], vec![])]),
        [
            "the default of the field \"Filter.n\" does not fit the type \"Int\": Int cannot \
             represent non-integer value: \"x\"",
            "the default of the argument \"f\" of \"Query.q\" does not fit the type \"Filter!\" at \
             \"n\": Int cannot represent non-integer value: \"x\"",
            "the default of the argument \"f\" of \"Query.q\" does not fit the type \"Filter!\" at \
             \"s\": Value \"OFF\" does not exist in \"State\" enum.",
        ]
    );
}

#[test]
fn input_types_must_be_finite() {
    let circle =
        |back: &str| vec![input("A", vec![arg("b", "B!")]), input("B", vec![arg("a", back)])];
    assert_eq!(
        one(circle("A!")),
        [
            "the input type \"A\" needs a value of itself: A → B → A",
            "the input type \"B\" needs a value of itself: B → A → B",
        ]
    );
    assert!(check(&[declarations("polls", circle("[A!]!"), vec![query()], vec![])]).is_empty());
    let defaults = vec![
        input("A", vec![arg("b", "B").default(json("{}"))]),
        input("B", vec![arg("a", "A").default(json("{}"))]),
    ];
    let found = one(defaults);
    assert!(found[0].contains("contains itself"), "{found:?}");
}
