//! Parsing, validation and the document cache.

use super::*;

fn small() -> Schema {
    small_within(QueryLimits::default())
}

fn small_within(limits: QueryLimits) -> Schema {
    let node = vec![
        property("id", "ID!"),
        property("name", "String"),
        field("node", "Node", |_, _| Ok(json("{}"))).arg(arg("n", "Int")),
    ];
    let find = constant("find", "Node", json("{}"))
        .arg(arg("by", "By"))
        .arg(arg("state", "State"))
        .arg(arg("n", "Int"));
    let by = input("By", vec![arg("id", "ID"), arg("n", "Int!").default(1)]);
    let types = vec![object("Node", node), by, enumeration("State", &["ON", "OFF"])];
    let sets = [declarations("test", types, vec![find], vec![])];
    Schema::build_with(&sets, SchemaOptions { limits, ..Default::default() }).unwrap()
}

async fn refused(query: &str) -> Vec<String> {
    let response = execute(&small(), query, "{}").await;
    assert_eq!(response.data, None, "{query}");
    assert_eq!(response.outcome, Outcome::ValidationFailed, "{query}");
    for error in &response.errors {
        let codes = ["graphql_validation_failed", "graphql_limit_exceeded"];
        assert!(codes.contains(&error.code()), "{error:?}");
        assert!(error.path.is_empty());
    }
    response.errors.iter().map(|error| error.message.clone()).collect()
}

#[tokio::test]
async fn syntax_errors_have_a_place_and_their_own_code() {
    for query in ["{", "", "{ a(", "query { }", "{ \"", "}", "type A { a: Int }"] {
        let response = execute(&small(), query, "{}").await;
        assert_eq!(response.outcome, Outcome::ParseFailed, "{query}");
        assert_eq!(response.errors[0].code(), "graphql_parse_failed");
        assert_eq!(response.errors[0].locations.len(), 1);
        assert!(response.errors[0].message.starts_with("Syntax Error: expected"), "{response:?}");
    }
}

#[tokio::test]
async fn unknown_fields_are_suggested() {
    let messages = refused("{ find { nam } }").await;
    assert!(messages[0].contains("nam") && messages[0].contains("name"), "{messages:?}");
}

#[tokio::test]
async fn operations_are_chosen_by_name() {
    let schema = small();
    let mut request = Request::new("query A { find { id: __typename } } query B { b: __typename }");
    let ask = async |request: &Request| {
        let response = schema.execute(request, Mode::AnyOperation, &context(None)).await;
        serde_json::to_string(&response).unwrap()
    };
    assert!(ask(&request).await.contains("Must provide operation name"));
    request.operation_name = Some("B".into());
    assert_eq!(ask(&request).await, r#"{"data":{"b":"Query"}}"#);
    request.operation_name = Some("C".into());
    assert!(ask(&request).await.contains("Unknown operation named \\\"C\\\"."));
}

#[tokio::test]
async fn documents_are_validated_as_a_whole() {
    let messages = refused("query A { find { id } } query B($x: Int!) { nope }").await;
    assert_eq!(messages.len(), 2, "{messages:?}");
}

#[tokio::test]
async fn what_the_parser_or_the_library_misses_is_found() {
    for (query, message) in [
        (
            "{ find { id } } query B { find { id } }",
            "This anonymous operation must be the only defined operation.",
        ),
        (
            "query A { find { id } } query A { find { id } }",
            "There can be only one operation named \"A\".",
        ),
        (
            "{ find { ...F } } fragment F on Node { id } fragment F on Node { id }",
            "There can be only one fragment named \"F\".",
        ),
        ("fragment F on Node { id }", "The document does not contain an operation."),
        ("{ find(by: {id: 1, id: 2}) { id } }", "There can be only one input field named \"id\"."),
        (
            "{ find { a: node(n: 1) { id } a: node(n: 2) { id } } }",
            "Fields \"a\" conflict because they have differing arguments. Use different aliases \
             on the fields to fetch both if this was intentional.",
        ),
        (
            "{ find { node { x: id } } find { node { x: name } } }",
            "Fields \"x\" conflict because \"id\" and \"name\" are different fields. Use \
             different aliases on the fields to fetch both if this was intentional.",
        ),
        (
            "{ find(state: \"ON\") { id } }",
            "Argument \"state\": Enum \"State\" cannot represent non-enum value: \"ON\".",
        ),
        (
            "{ find(n: 4294967296) { id } }",
            "Argument \"n\": Int cannot represent non 32-bit signed integer value: 4294967296",
        ),
        ("{ find(n: 1.0) { id } }", "Argument \"n\": Int cannot represent non-integer value: 1.0"),
        (
            "query($v: ID) { find(by: {id: $v, n: \"x\"}) { id } }",
            "Argument \"by.n\": Int cannot represent non-integer value: \"x\"",
        ),
        (
            "query($n: Int) { find(by: {n: 1, id: $n}) { id } }",
            "Argument \"by.id\": Variable \"$n\" of type \"Int\" used in position expecting type \
             \"ID\".",
        ),
        (
            "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
            "Introspection is nested too deep: each list of fields multiplies it.",
        ),
        (
            "query($s: State = UP) { find(state: $s) { id } }",
            "The default of variable \"$s\" is invalid: Value \"UP\" does not exist in \"State\" \
             enum.",
        ),
        ("query($a: [Missing!] = [1]) { find { id } }", "Unknown type \"Missing\"."),
        ("query($a: [__No!] = [1]) { find { id } }", "Unknown type \"__No\"."),
        ("{ __typename(x: 1) }", "Unknown argument \"x\" on field \"__typename\"."),
        (
            "{ __typename { x } }",
            "Field \"__typename\" must not have a selection since type \"String!\" has no \
             subfields.",
        ),
        (
            "{ find { ...A } } fragment A on Node { node { ...B } } fragment B on Node { ...A }",
            "Cannot spread fragment \"A\" within itself.",
        ),
        (
            "{ find { id } } fragment A on Node { ...A }",
            "Cannot spread fragment \"A\" within itself.",
        ),
    ] {
        assert_eq!(refused(query).await, [message], "{query}");
    }
}

#[tokio::test]
async fn subscriptions_are_refused_and_mutations_where_there_are_none() {
    assert_eq!(
        refused("subscription { x }").await,
        ["Schema is not configured for subscriptions."]
    );
    assert_eq!(refused("mutation { x }").await, ["Schema is not configured for mutations."]);
}

#[tokio::test]
async fn hostile_documents_are_refused_quickly() {
    let nested = format!("{}id{}", "{ node ".repeat(40), "}".repeat(40));
    let messages = refused(&format!("{{ find {nested} }}")).await;
    assert!(messages[0].contains("levels deep"), "{messages:?}");

    let response = execute(&small(), &"{a".repeat(50_000), "{}").await;
    assert_eq!(response.outcome, Outcome::ParseFailed);
    assert!(refused(&"{a".repeat(70_000)).await[0].contains("graphql-max-length"));
    let lists = format!("{{ find(by: {}1) {{ id }} }}", "[".repeat(100_000));
    assert_eq!(execute(&small(), &lists, "{}").await.outcome, Outcome::ParseFailed);

    // Two spreads in each of 28 fragments: 2^28 selections.
    let mut bomb = String::from("{ find { ...F0 } } ");
    for i in 0..28 {
        let next = i + 1;
        bomb.push_str(&format!("fragment F{i} on Node {{ ...F{next} ...F{next} }} "));
    }
    bomb.push_str("fragment F28 on Node { id }");
    let messages = refused(&bomb).await;
    assert!(messages.iter().any(|m| m.contains("selects more than")), "{messages:?}");

    // Fragments in fragments, without a field between them.
    let mut chain = String::from("{ find { ...F0 } } ");
    for i in 0..500 {
        chain.push_str(&format!("fragment F{i} on Node {{ ...F{} }} ", i + 1));
    }
    chain.push_str("fragment F500 on Node { id }");
    let messages = refused(&chain).await;
    assert!(messages.iter().any(|m| m.contains("503 levels deep")), "{messages:?}");
}

#[test]
fn the_deepest_accepted_documents_fit_on_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let schema = small_within(QueryLimits { depth: MAX_DEPTH, ..QueryLimits::default() });
            // 32 levels: `find`, 30 times `node`, `id`.
            let query = format!("{{ find {} {{ id }} {} }}", "{ node ".repeat(30), "}".repeat(30));
            let response = execute(&schema, &query, "{}").await;
            assert_eq!(response.outcome, Outcome::Executed, "{response:?}");
            let lists = format!("{{ find(by: {}1{}) {{ id }} }}", "[".repeat(60), "]".repeat(60));
            assert_eq!(execute(&schema, &lists, "{}").await.outcome, Outcome::ValidationFailed);
        });
    });
    thread.unwrap().join().unwrap();
}

#[tokio::test]
async fn what_the_library_wrongly_refuses_is_allowed() {
    let schema = small();
    for query in [
        // Only __typename uses the variable.
        "query($v: Boolean!) { __typename @skip(if: $v) }",
        // The position's default stands in for an absent variable.
        "query($n: Int, $v: Boolean = true) { find(by: {n: $n}) @skip(if: $v) { id } }",
    ] {
        let response = execute(&schema, query, r#"{"v":true}"#).await;
        assert_eq!(data(&response), "{}", "{query} {response:?}");
    }
    let unused = refused("query($v: Boolean!) { find { id } }").await;
    assert_eq!(unused, ["Variable \"$v\" is not used"]);
}

/// Documents with one or two small mistakes anywhere never panic, and never get the library into
/// a state that had to be caught.
#[tokio::test]
async fn damaged_documents_are_refused_or_executed() {
    let seeds = [
        "query A($n: Int = 1, $b: [By!] = [{id: 1}], $v: Boolean!) { find(by: {id: \"x\", n: $n}, \
         state: ON) @include(if: $v) { ...F node(n: $n) { id @skip(if: false) } } }
         fragment F on Node { name ... on Node { x: id } ... { __typename } }",
        "{ __schema { types { name fields { name } } } t: __type(name: \"Node\") { kind } find { id } }",
        "mutation M($s: State! = OFF) { a(x: [[{k: \"\"\"block \\\"\"\" é\"\"\"}]]) } query Q { find { id } }",
    ];
    let schema = small();
    let mut random = 7u64;
    let mut next = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % below
    };
    for round in 0..1_500 {
        let mut text: Vec<char> = seeds[round % seeds.len()].chars().collect();
        for _ in 0..=next(2) {
            let (at, other) = (next(text.len()), next(text.len()));
            match next(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, text[other]),
                2 => text[at] = text[other],
                _ => text.swap(at, other),
            }
        }
        let text: String = text.into_iter().collect();
        let response = execute(&schema, &text, r#"{"v":true}"#).await;
        let answer = serde_json::to_string(&response).unwrap();
        assert!(!answer.contains("could not be validated"), "{text}");
    }
}

#[tokio::test]
async fn the_cache_changes_nothing() {
    let sets = [declarations("t", vec![], vec![constant("x", "Int", Value::Int(1))], vec![])];
    for cache_documents in [true, false] {
        let schema =
            Schema::build_with(&sets, SchemaOptions { cache_documents, ..Default::default() })
                .unwrap();
        let long = format!("{{ x }} #{}", "x".repeat(20_000));
        for query in ["{ x }", "{ x }", "{ y }", "{ y }", &long, &long] {
            let text = run(&schema, query).await;
            assert_eq!(text == r#"{"data":{"x":1}}"#, !query.contains('y'), "{text}");
        }
    }
}

/// What a query is refused for: the limit, what was found and what is allowed.
async fn exceeded(query: &str) -> Option<(String, i64, i64)> {
    let limits = QueryLimits {
        length: 1_500,
        tokens: 200,
        depth: 5,
        aliases: 3,
        root_fields: 4,
        directives: 2,
        cost: 1_000,
        ..QueryLimits::default()
    };
    let list = FieldDef {
        cost: CostDef { own: Some(5), list_size: Some(20) },
        ..property("list", "[Node]")
    };
    let node = object(
        "Node",
        vec![
            property("id", "ID"),
            property("node", "Node"),
            property("ten", "[Node!]"),
            property("page", "[Node!]").arg(arg("first", "Int")),
            list,
        ],
    );
    let sets = [declarations("t", vec![node], vec![constant("node", "Node", json("{}"))], vec![])];
    let schema = Schema::build_with(&sets, SchemaOptions { limits, ..Default::default() }).unwrap();
    let response = execute(&schema, query, r#"{"n": 500, "few": 5}"#).await;
    let error = response.errors.first()?;
    assert_eq!(error.code(), "graphql_limit_exceeded", "{error:?}");
    assert_eq!(response.data, None);
    let number = |key: &str| match error.extensions.get(key) {
        Some(Value::Int(n)) => *n,
        other => panic!("{other:?}"),
    };
    let limit = error.extensions.get("limit").and_then(Value::as_str).unwrap().to_owned();
    let (found, allowed) = (number("found"), number("allowed"));
    assert!(
        error.message.contains(&format!("at most {allowed} are allowed (graphql-max-{limit})"))
    );
    Some((limit, found, allowed))
}

#[tokio::test]
async fn a_refusal_says_which_limit_and_by_how_much() {
    let of = |limit: &str, found, allowed| Some((limit.to_owned(), found, allowed));
    assert_eq!(exceeded("{ node { id } }").await, None);
    let long = format!("{{ node {{ id }} }} #{}", "x".repeat(2_000));
    assert_eq!(exceeded(&long).await, of("length", 2_017, 1_500));
    assert_eq!(
        exceeded(&format!("{{ node {{ {} }} }}", "id ".repeat(200))).await,
        of("tokens", 201, 200)
    );
    assert_eq!(
        exceeded("{ node { node { node { node { node { id } } } } } }").await,
        of("depth", 6, 5)
    );
    let spread = "{ node { ...F } } fragment F on Node { node { node { node { node { id } } } } }";
    assert_eq!(exceeded(spread).await, of("depth", 6, 5));
    assert_eq!(exceeded("{ node { a: id b: id c: id d: id } }").await, of("aliases", 4, 3));
    let spread = "{ node { ...F node { ...F } } } fragment F on Node { a: id b: id }";
    assert_eq!(exceeded(spread).await, of("aliases", 4, 3));
    let roots = "{ node { id } a: node { id } b: node { id } c: node { id } __typename }";
    assert_eq!(exceeded(roots).await, of("root-fields", 5, 4));
    let directives =
        "{ node { id @skip(if: false) node @include(if: true) { id @skip(if: false) } } }";
    assert_eq!(exceeded(directives).await, of("directives", 3, 2));
    // 1 + 1 + 10 * (1 + 10 * (1 + 10 * 1))
    assert_eq!(exceeded("{ node { ten { ten { ten { id } } } } }").await, of("cost", 1112, 1000));
    // 1 + 5 + 20 * (5 + 20 * 3)
    assert_eq!(
        exceeded("{ node { list { list { id a: id b: id } } } }").await,
        of("cost", 1306, 1000)
    );
    assert_eq!(
        exceeded("{ node { page(first: 400) { id node { id } } } }").await,
        of("cost", 1202, 1000)
    );
    let variable = "query($n: Int) { node { page(first: $n) { id node { id } } } }";
    assert_eq!(exceeded(variable).await, of("cost", 1502, 1000));
    assert_eq!(exceeded(&variable.replace("$n", "$few")).await, None);
    let huge = "{ node { page(first: 2000000000) { page(first: 2000000000) { page(first: 2000000000) { id } } } } }";
    assert_eq!(exceeded(huge).await.unwrap().0, "cost");
}

#[tokio::test]
async fn the_anonymous_learn_nothing_of_the_schema_where_it_is_not_public() {
    let sets = [declarations(
        "t",
        vec![input("By", vec![arg("identity", "ID")])],
        vec![constant("secretField", "Int", Value::Null).arg(arg("by", "By"))],
        vec![],
    )];
    let options = SchemaOptions { is_public: false, ..Default::default() };
    let schema = Schema::build_with(&sets, options).unwrap();
    let ask = async |query: &str, user| {
        let request = Request {
            query: query.into(),
            operation_name: None,
            variables: match json(r#"{"by": {"identitx": 1}}"#) {
                Value::Map(map) => map,
                _ => Map::new(),
            },
        };
        schema.execute(&request, Mode::AnyOperation, &context(user)).await
    };
    for query in [
        "{ __schema { types { name } } }",
        "{ __type(name: \"By\") { name fields { name } } }",
        "{ __type(name: \"By\") { ...F } } fragment F on __Type { inputFields { name } }",
        "query { ...F } fragment F on Query { __schema @skip(if: true) { types { name } } }",
    ] {
        let refused = ask(query, None).await;
        assert_eq!(refused.errors[0].code(), "graphql_introspection_disabled", "{query}");
        assert_eq!(refused.data, None);
        assert!(ask(query, Some(user(Role::Regular))).await.errors.is_empty(), "{query}");
    }
    assert!(ask("{ __typename }", None).await.errors.is_empty());
    // That a type is there can be told from what is valid, too.
    assert!(ask("{ __type(name: \"By\") { name kind } }", None).await.errors.is_empty());
    for query in [
        "{ secretFiel }",
        "query($by: By) { secretField(by: $by) }",
        "{ secretField(by: { identitx: 1 }) }",
        "query($b: Bu) { secretField }",
    ] {
        let anonymous = format!("{:?}", ask(query, None).await);
        assert!(!anonymous.contains("Did you mean"), "{anonymous}");
        let signed_in = format!("{:?}", ask(query, Some(user(Role::Regular))).await);
        assert!(signed_in.contains("id you mean"), "{signed_in}");
    }
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_given_up() {
    let slow = FieldDef::new("slow", ty("Int")).resolver(for_fn(|_, _, _| {
        async {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            Ok(Value::Int(1))
        }
        .boxed()
    }));
    let limits =
        QueryLimits { timeout: std::time::Duration::from_millis(20), ..QueryLimits::default() };
    let sets =
        [declarations("t", vec![], vec![slow, constant("soon", "Int", Value::Int(1))], vec![])];
    let schema = Schema::build_with(&sets, SchemaOptions { limits, ..Default::default() }).unwrap();
    assert_eq!(run(&schema, "{ soon }").await, r#"{"data":{"soon":1}}"#);
    let response = execute(&schema, "{ soon slow }", "{}").await;
    assert_eq!(data(&response), "null");
    assert_eq!(response.errors[0].code(), "graphql_timeout");
    assert_eq!(response.errors[0].message, "The operation was given up after 20ms.");
}
