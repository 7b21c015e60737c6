//! Constraints on arguments and input fields.

use super::*;

fn bounds(min: f64, max: f64) -> Constraints {
    Constraints { min: Some(min), max: Some(max), ..Default::default() }
}

fn lengths(min: u64, max: u64) -> Constraints {
    Constraints { min_length: Some(min), max_length: Some(max), ..Default::default() }
}

fn pattern(text: &str) -> Constraints {
    Constraints { pattern: Some(Pattern::new(text).unwrap()), ..Default::default() }
}

fn email() -> Constraints {
    Constraints { format: Some(Format::Email), ..Default::default() }
}

/// `echo` answers its arguments as JSON.
fn echo() -> Schema {
    let echo = field("echo", "JSON", |_, args| Ok(Value::Map(args)))
        .arg(arg("n", "Int").constraints(bounds(1.0, 10.0)))
        .arg(arg("x", "Float").constraints(bounds(-0.5, 0.5)))
        .arg(arg("big", "BigInt").constraints(bounds(0.0, 1e18)))
        .arg(arg("text", "String").constraints(lengths(2, 3)))
        .arg(arg("code", "ID").constraints(pattern("^[a-z]+$")))
        .arg(arg("part", "String").constraints(pattern("b")))
        .arg(arg("list", "[[Int!]]").constraints(Constraints {
            min_length: Some(1),
            max_length: Some(2),
            ..bounds(0.0, 9.0)
        }))
        .arg(arg("poll", "Poll"));
    let poll = input(
        "Poll",
        vec![
            arg("title", "String!").constraints(lengths(1, 5)),
            arg("emails", "[String!]").constraints(email()),
            arg("next", "Poll"),
            arg("wrapped", "[Wrapped!]"),
        ],
    );
    let wrapped = input("Wrapped", vec![arg("poll", "Poll")]);
    let free = field("free", "JSON", |_, args| Ok(Value::Map(args))).arg(arg("any", "JSON"));
    schema(vec![wrapped, poll], vec![echo, free])
}

/// Each issue as its path and message.
fn issues(response: &Response) -> Vec<String> {
    assert_eq!(response.errors.len(), 1, "{:?}", response.errors);
    assert_eq!(response.errors[0].code(), "invalid_arguments");
    let Value::List(issues) = &response.errors[0].extensions["issues"] else { panic!("a list") };
    issues
        .iter()
        .map(|issue| {
            let path = serde_json::to_string(issue.get("argumentPath").unwrap()).unwrap();
            format!("{path} {}", issue.get("message").and_then(Value::as_str).unwrap())
        })
        .collect()
}

async fn refused(query: &str, variables: &str) -> Vec<String> {
    issues(&execute(&echo(), query, variables).await)
}

#[tokio::test]
async fn what_fits_passes_and_so_do_null_and_nothing() {
    for arguments in [
        "n: 1, x: 0.5, big: \"1000000000000000000\", text: \"äöü\", part: \"abc\"",
        "n: 10, text: \"👩‍🦰\", code: \"abc\", list: [[0, 9], null]",
        "n: null, x: null, text: null, code: null, list: null, poll: null",
        "list: 5, poll: { title: \"x\", emails: [\"a@b\"], wrapped: { poll: { title: \"y\" } } }",
    ] {
        let response = execute(&echo(), &format!("{{ echo({arguments}) }}"), "{}").await;
        assert_eq!(errors(&response), [""; 0], "{arguments}");
    }
    assert_eq!(errors(&execute(&echo(), "{ echo }", "{}").await), [""; 0]);
}

#[tokio::test]
async fn every_issue_of_a_field_is_in_one_error() {
    let expected = [
        r#"["n"] It must be at most 10."#,
        r#"["x"] It must be at least -0.5."#,
        r#"["big"] It must be at most 1000000000000000000."#,
        r#"["text"] It must have at least 2 characters."#,
        r#"["code"] It must match the pattern "^[a-z]+$"."#,
        r#"["list"] It must have at most 2 items."#,
        r#"["list",0,1] It must be at most 9."#,
        r#"["poll","title"] It must have at least 1 character."#,
        r#"["poll","emails",1] It must be an email address."#,
        r#"["poll","next","title"] It must have at most 5 characters."#,
        r#"["poll","wrapped",0,"poll","title"] It must have at most 5 characters."#,
    ];
    let literals = r#"{ echo(n: 11, x: -1, big: "99999999999999999999", text: "a", code: "A",
        list: [[1, 10], [2], []], poll: { title: "", emails: ["a@b.c", "ab"],
        next: { title: "longer" }, wrapped: [{ poll: { title: "longer" } }] }) }"#;
    assert_eq!(refused(literals, "{}").await, expected);
    let query = "query($n: Int, $x: Float, $big: BigInt, $text: String, $code: ID,
        $list: [[Int!]], $poll: Poll) { echo(n: $n, x: $x, big: $big, text: $text, code: $code,
        list: $list, poll: $poll) }";
    let variables = r#"{ "n": 11, "x": -1, "big": "99999999999999999999", "text": "a",
        "code": "A", "list": [[1, 10], [2], []], "poll": { "title": "",
        "emails": ["a@b.c", "ab"], "next": { "title": "longer" },
        "wrapped": [{ "poll": { "title": "longer" } }] } }"#;
    assert_eq!(refused(query, variables).await, expected);
    let mixed = r#"query($title: String!) { echo(poll: { title: $title, emails: "x" }) }"#;
    assert_eq!(
        refused(mixed, r#"{ "title": "longer" }"#).await,
        [
            r#"["poll","title"] It must have at most 5 characters."#,
            r#"["poll","emails",0] It must be an email address."#
        ]
    );
}

#[tokio::test]
async fn the_error_names_the_arguments_and_the_rest_of_the_request_is_answered() {
    let response = execute(&echo(), "{ echo(n: 0) free(any: {n: 0}) }", "{}").await;
    assert_eq!(data(&response), r#"{"echo":null,"free":{"any":{"n":0}}}"#);
    assert_eq!(errors(&response), [r#"echo: Argument "n": It must be at least 1."#]);
}

#[tokio::test]
async fn a_pattern_is_searched_for_and_a_long_list_has_an_end() {
    assert_eq!(
        refused(r#"{ echo(part: "acd") }"#, "{}").await,
        [r#"["part"] It must match the pattern "b"."#]
    );
    let emails = vec!["x"; 1_000];
    let variables = serde_json::json!({ "poll": { "title": "t", "emails": emails } }).to_string();
    let query = "query($poll: Poll) { echo(poll: $poll) }";
    assert_eq!(refused(query, &variables).await.len(), 100);
}

#[tokio::test]
async fn who_may_not_use_a_field_does_not_hear_of_its_constraints() {
    let field =
        constant("secret", "Int", 1.into()).arg(arg("n", "Int").constraints(bounds(1.0, 2.0)));
    let fields = vec![RootField { operation: Operation::Query, field, auth: Auth::User }];
    let declared = Declarations { owner: "test".into(), fields, ..Default::default() };
    let schema = Schema::build(&[Arc::new(declared)]).unwrap();
    for (query, variables) in
        [("{ secret(n: 5) }", "{}"), ("query($n: Int) { secret(n: $n) }", r#"{"n":5}"#)]
    {
        let response = execute(&schema, query, variables).await;
        assert_eq!(response.errors[0].code(), "unauthenticated");
    }
}

#[test]
fn constraints_that_make_no_sense_are_found() {
    let wrong = |ty: &str, constraints: Constraints| {
        let field = constant("f", "Int", 1.into()).arg(arg("a", ty).constraints(constraints));
        let problems = check(&[declarations("test", vec![], vec![field], vec![])]);
        problems
            .into_iter()
            .map(|p| p.message.replace("the argument \"a\" of \"Query.f\": ", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong("[Int!]!", bounds(1.0, 1.0)), [""; 0]);
    assert_eq!(wrong("[Int!]!", lengths(1, 1)), [""; 0]);
    assert_eq!(
        wrong("String!", bounds(2.0, 1.0)),
        [
            "\"min\" is for numbers (Int, Float, BigInt), not for \"String!\"",
            "\"max\" is for numbers (Int, Float, BigInt), not for \"String!\"",
            "\"min\" (2) is greater than \"max\" (1)",
        ]
    );
    assert_eq!(
        wrong("Int", Constraints { pattern: pattern("a").pattern, ..lengths(2, 1) }),
        [
            "\"minLength\" is for texts (String, ID) and lists, not for \"Int\"",
            "\"maxLength\" is for texts (String, ID) and lists, not for \"Int\"",
            "\"pattern\" is for texts (String, ID), not for \"Int\"",
            "\"minLength\" (2) is greater than \"maxLength\" (1)",
        ]
    );
    assert_eq!(
        wrong("[UUID]", email()),
        ["\"format\" is for texts (String, ID), not for \"[UUID]\""]
    );
    assert_eq!(
        wrong("Float", Constraints { min: Some(f64::NAN), ..Default::default() }),
        ["\"min\" must be a finite number"]
    );
    assert!(Pattern::new("(").unwrap_err().contains("unclosed group"));
    assert_eq!(Pattern::new(r"\w{999}\w{999}").unwrap_err(), "the pattern is too large");
    assert!(Pattern::new(r"^[\w ]{1,20}$").is_ok());
}

#[test]
fn a_default_must_meet_the_constraints() {
    let field = constant("f", "Int", 1.into())
        .arg(arg("a", "Int").default(0).constraints(bounds(1.0, 2.0)));
    let problems = check(&[declarations("test", vec![], vec![field], vec![])]);
    let messages: Vec<&str> = problems.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the default of the argument \"a\" of \"Query.f\" does not fit the type \"Int\": It must \
          be at least 1."
        ]
    );
}

#[test]
fn types_with_different_constraints_are_different() {
    let poll = |max| input("Poll", vec![arg("title", "String").constraints(lengths(1, max))]);
    assert!(poll(3).same_as(&poll(3)));
    assert!(!poll(3).same_as(&poll(4)));
    assert!(pattern("a") == pattern("a") && pattern("a") != pattern("b"));
}
