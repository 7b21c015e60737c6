//! Interfaces, unions, and types that others add to.

use super::*;

/// Animals: two object types, an interface that both have, and a union of them.
fn zoo(more: Vec<TypeDef>) -> Vec<TypeDef> {
    let animal = TypeDef::Interface(InterfaceDef {
        name: "Animal".into(),
        fields: vec![property("name", "String!"), property("friends", "[Animal!]!")],
        ..Default::default()
    });
    let any = TypeDef::Union(UnionDef {
        name: "Any".into(),
        types: vec!["Cat".into(), "Dog".into()],
        ..Default::default()
    });
    let with = |name: &str, fields| {
        let interfaces = vec!["Animal".to_owned()];
        TypeDef::Object(ObjectDef { name: name.into(), interfaces, fields, ..Default::default() })
    };
    let cat = with("Cat", vec![property("lives", "Int!"), property("size", "Int")]);
    let dog = with("Dog", vec![property("tricks", "[String!]!"), property("size", "String")]);
    [vec![animal, any, cat, dog], more].concat()
}

const ANIMALS: &str = r#"[
    {"__typename": "Cat", "name": "Tom", "lives": 9, "friends": [
        {"__typename": "Dog", "name": "Rex", "tricks": ["sit"], "friends": []}
    ]},
    {"__typename": "Dog", "name": "Bo", "tricks": [], "friends": []}
]"#;

fn animals() -> Schema {
    let all = |name: &str, of: &str| constant(name, of, json(ANIMALS));
    schema(zoo(vec![]), vec![all("animals", "[Animal!]!"), all("any", "[Any!]!")])
}

#[tokio::test]
async fn values_have_the_fields_of_what_they_turn_out_to_be() {
    let schema = animals();
    assert_eq!(
        run(
            &schema,
            "{ animals { __typename name ... on Cat { lives friends { name ...D } } ...D } }
             fragment D on Dog { tricks }"
        )
        .await,
        r#"{"data":{"animals":[{"__typename":"Cat","name":"Tom","lives":9,"friends":[{"name":"Rex","tricks":["sit"]}]},{"__typename":"Dog","name":"Bo","tricks":[]}]}}"#
    );
    assert_eq!(
        run(&schema, "{ any { ... on Animal { name } ... on Cat { lives } } }").await,
        r#"{"data":{"any":[{"name":"Tom","lives":9},{"name":"Bo"}]}}"#
    );
}

#[tokio::test]
async fn fields_under_one_key_must_have_one_shape() {
    let schema = animals();
    let response =
        execute(&schema, "{ any { ... on Cat { size } ... on Dog { size } } }", "{}").await;
    assert_eq!(
        messages(&response),
        [
            "Fields \"size\" conflict because they return conflicting types \"Int\" and \"String\". Use \
          different aliases on the fields to fetch both if this was intentional."
        ]
    );
    let query = "{ any { ... on Cat { size } ... on Dog { width: size } } }";
    assert!(execute(&schema, query, "{}").await.errors.is_empty());
    // The same key for different fields is fine where no object has both.
    let query = "{ any { ... on Cat { x: name } ... on Dog { x: name } } }";
    assert!(execute(&schema, query, "{}").await.errors.is_empty());
    let query = "{ animals { x: name ... on Cat { x: lives } } }";
    assert!(!execute(&schema, query, "{}").await.errors.is_empty());
}

#[tokio::test]
async fn a_value_of_no_known_type_is_an_error() {
    let schema = schema(
        zoo(vec![]),
        vec![
            constant("fish", "Animal", json(r#"{"__typename": "Fish", "name": "Nemo"}"#)),
            constant("what", "Any", json(r#"{"name": "?"}"#)),
        ],
    );
    let response = execute(&schema, "{ fish { name } what { __typename } }", "{}").await;
    assert_eq!(data(&response), r#"{"fish":null,"what":null}"#);
    let found = errors(&response);
    assert!(found[0].contains("cannot be of the type \"Fish\"; it can be Cat, Dog"), "{found:?}");
    assert!(found[1].contains("needs a \"resolveType\""), "{found:?}");
}

#[tokio::test]
async fn introspection_and_sdl_show_them() {
    let schema = animals();
    assert_eq!(
        run(&schema, r#"{ __type(name: "Animal") { kind possibleTypes { name } } }"#).await,
        r#"{"data":{"__type":{"kind":"INTERFACE","possibleTypes":[{"name":"Cat"},{"name":"Dog"}]}}}"#
    );
    let sdl = schema.sdl();
    assert!(
        sdl.contains("type Cat implements Animal {\n  lives: Int!\n  size: Int\n  name: String!\n")
    );
    assert!(sdl.contains("union Any = Cat | Dog\n"));
}

/// Nested selections on an interface multiply by its types; this must be noticed, and cheap if nothing
/// differs.
#[tokio::test]
async fn deep_selections_on_interfaces_are_planned_once() {
    let limits = QueryLimits {
        tokens: 1_000_000,
        depth: MAX_DEPTH,
        cost: u64::MAX,
        ..QueryLimits::default()
    };
    let all = constant("animals", "[Animal!]!", json(ANIMALS));
    let sets = [declarations("t", zoo(vec![]), vec![all], vec![])];
    let schema = Schema::build_with(&sets, SchemaOptions { limits, ..Default::default() }).unwrap();
    let query = format!("{{ animals {} name {} }}", "{ friends ".repeat(28), "}".repeat(28));
    let started = std::time::Instant::now();
    let query = query.replace("friends  name", "friends { name }");
    assert!(execute(&schema, &query, "{}").await.errors.is_empty());
    // Each level apart for cats and dogs.
    let apart = |depth: usize| {
        let mut inner = "{ name }".to_owned();
        for _ in 0..depth {
            inner =
                format!("{{ ... on Cat {{ friends {inner} }} ... on Dog {{ friends {inner} }} }}");
        }
        format!("{{ animals {inner} }}")
    };
    let response = execute(&schema, &apart(11), "{}").await;
    assert!(messages(&response).iter().any(|m| m.contains("selects more than")), "{response:?}");
    assert!(execute(&schema, &apart(8), "{}").await.errors.is_empty());
    assert!(started.elapsed().as_secs() < 5);
}

fn extension(of: &str, fields: Vec<FieldDef>) -> ExtensionDef {
    ExtensionDef { of: of.into(), fields, place: None }
}

fn plugin(owner: &str, dependencies: &[&str], declared: Declarations) -> Arc<Declarations> {
    let dependencies = dependencies.iter().map(|id| (*id).to_owned()).collect();
    Arc::new(Declarations { owner: owner.into(), is_plugin: true, dependencies, ..declared })
}

fn user_type() -> Arc<Declarations> {
    let user = object("User", vec![property("id", "ID!"), property("name", "String!")]);
    let value = json(r#"{"id": "1", "name": "Ada", "password": "secret"}"#);
    declarations(HOST, vec![user], vec![constant("user", "User!", value)], vec![])
}

#[tokio::test]
async fn a_type_is_extended_and_its_secrets_stay_its_owners() {
    let keys = field("keys", "JSON", |parent, _| match parent {
        Value::Map(map) => Ok(Value::List(map.keys().map(|k| Value::from(k.as_str())).collect())),
        _ => Ok(Value::Null),
    });
    let extensions = vec![extension("User", vec![keys])];
    let polls = plugin("polls", &[], Declarations { extensions, ..Default::default() });
    let schema = Schema::build(&[user_type(), polls]).unwrap();
    assert_eq!(
        run(&schema, "{ user { name keys } }").await,
        r#"{"data":{"user":{"name":"Ada","keys":["id","name"]}}}"#
    );
    assert!(schema.sdl().contains("type User {\n  id: ID!\n  name: String!\n  keys: JSON\n}"));
}

#[test]
fn what_is_wrong_with_extensions_is_said() {
    let extending = |owner: &str, dependencies: &[&str], of: &str, fields| {
        let extensions = vec![extension(of, fields)];
        plugin(owner, dependencies, Declarations { extensions, ..Default::default() })
    };
    let polls = |types| plugin("polls", &[], Declarations { types, ..Default::default() });
    let poll = || polls(vec![object("Poll", vec![property("id", "ID!")])]);
    let one = || constant("more", "Int", Value::Int(1));
    let said = |sets: &[Arc<Declarations>]| {
        check(sets).into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("\n")
    };
    let host = user_type;
    assert_eq!(said(&[host(), poll(), extending("b", &["polls"], "Poll", vec![one()])]), "");
    let cases = [
        (
            said(&[host(), poll(), extending("b", &[], "Poll", vec![one()])]),
            "\"dependencies\" must name",
        ),
        (
            said(&[host(), extending("b", &[], "Pol", vec![one()])]),
            "unknown type \"Pol\" is extended",
        ),
        (said(&[host(), extending("b", &[], "Query", vec![one()])]), "added to with root fields"),
        (said(&[host(), extending("b", &[], "JSON", vec![one()])]), "it is no object type"),
        (
            said(&[host(), extending("b", &[], "User", vec![property("x", "Int")])]),
            "needs \"resolve\" or \"batch\"",
        ),
        (
            said(&[host(), extending("b", &[], "User", vec![constant("id", "ID", Value::Null)])]),
            "the host declares the field \"User.id\" itself",
        ),
        (
            said(&[
                host(),
                extending("b", &[], "User", vec![one()]),
                extending("c", &[], "User", vec![one()]),
            ]),
            "the plugin \"b\" and the plugin \"c\" both add the field \"User.more\"",
        ),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn types_must_keep_what_their_interfaces_promise() {
    let animal = || {
        TypeDef::Interface(InterfaceDef {
            name: "Animal".into(),
            fields: vec![property("name", "String!").arg(arg("short", "Boolean"))],
            ..Default::default()
        })
    };
    let cat = |interface: &str, fields| {
        TypeDef::Object(ObjectDef {
            name: "Cat".into(),
            interfaces: vec![interface.into()],
            fields,
            ..Default::default()
        })
    };
    let said = |types: Vec<TypeDef>| {
        let sets = [declarations("t", types, vec![constant("x", "Int", Value::Null)], vec![])];
        check(&sets).into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("\n")
    };
    let short = || arg("short", "Boolean");
    assert_eq!(said(vec![animal(), cat("Animal", vec![])]), "");
    let cases = [
        (
            vec![animal(), cat("Animal", vec![property("name", "String").arg(short())])],
            "\"Cat.name\" has the type \"String\", but \"Animal.name\" of its interface has \"String!\"",
        ),
        (
            vec![animal(), cat("Animal", vec![property("name", "String!")])],
            "lacks the argument \"short\"",
        ),
        (
            vec![
                animal(),
                cat("Animal", vec![property("name", "String!").arg(short()).arg(arg("a", "Int!"))]),
            ],
            "requires the argument \"a\"",
        ),
        (vec![animal(), cat("Anima", vec![])], "the unknown interface \"Anima\""),
        (vec![animal(), cat("Cat", vec![property("a", "Int")])], "which is no interface"),
        (
            vec![TypeDef::Union(UnionDef { name: "U".into(), ..Default::default() })],
            "the union \"U\" has no types",
        ),
        (
            vec![TypeDef::Union(UnionDef {
                name: "U".into(),
                types: vec!["Int".into()],
                ..Default::default()
            })],
            "which is no object type",
        ),
    ];
    for (types, expected) in cases {
        let said = said(types);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
