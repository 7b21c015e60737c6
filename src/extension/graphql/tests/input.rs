//! Variables, arguments and input types.

use super::*;

/// `echo` answers its arguments as JSON.
fn echo() -> Schema {
    let echo = field("echo", "JSON", |_, args| Ok(Value::Map(args)))
        .arg(arg("n", "Int"))
        .arg(arg("filter", "Filter"))
        .arg(arg("ids", "[ID!]"))
        .arg(arg("grid", "[[Int]]"))
        .arg(arg("state", "State"))
        .arg(arg("any", "JSON"))
        .arg(arg("at", "DateTime"))
        .arg(arg("big", "BigInt"));
    let must = field("must", "JSON", |_, args| Ok(Value::Map(args)))
        .arg(arg("n", "Int!"))
        .arg(arg("m", "Int!").default(5));
    let filter = input(
        "Filter",
        vec![
            arg("text", "String"),
            arg("limit", "Int").default(20),
            arg("state", "State").default("OPEN"),
            arg("inner", "Inner"),
        ],
    );
    let inner = input("Inner", vec![arg("x", "Int!"), arg("more", "Filter")]);
    schema(vec![filter, inner, enumeration("State", &["OPEN", "CLOSED"])], vec![echo, must])
}

async fn echoed(query: &str, variables: &str) -> String {
    let text = run_with(&echo(), query, variables).await;
    let inner = text.strip_prefix(r#"{"data":{"echo":"#).and_then(|text| text.strip_suffix("}}"));
    inner.map(str::to_owned).unwrap_or(text)
}

#[tokio::test]
async fn omitted_and_null_are_different() {
    assert_eq!(echoed("{ echo }", "{}").await, "{}");
    assert_eq!(echoed("{ echo(n: null) }", "{}").await, r#"{"n":null}"#);
    let query = "query($n: Int) { echo(n: $n) }";
    assert_eq!(echoed(query, "{}").await, "{}");
    assert_eq!(echoed(query, r#"{"n":null}"#).await, r#"{"n":null}"#);
    assert_eq!(echoed(query, r#"{"n":2.0}"#).await, r#"{"n":2}"#);
    let query = "query($n: Int = 3) { echo(n: $n) }";
    assert_eq!(echoed(query, "{}").await, r#"{"n":3}"#);
    assert_eq!(echoed(query, r#"{"n":null}"#).await, r#"{"n":null}"#);
}

#[tokio::test]
async fn input_objects_fill_their_defaults_and_keep_absence() {
    assert_eq!(
        echoed("{ echo(filter: {text: null}) }", "{}").await,
        r#"{"filter":{"text":null,"limit":20,"state":"OPEN"}}"#
    );
    let query =
        "query($f: Filter, $t: String) { echo(filter: {text: $t, inner: {x: 1, more: $f}}) }";
    assert_eq!(
        echoed(query, r#"{"f":{"limit":null}}"#).await,
        r#"{"filter":{"limit":20,"state":"OPEN","inner":{"x":1,"more":{"limit":null,"state":"OPEN"}}}}"#
    );
}

#[tokio::test]
async fn single_values_become_lists() {
    assert_eq!(echoed("{ echo(ids: 1, grid: 2) }", "{}").await, r#"{"ids":["1"],"grid":[[2]]}"#);
    assert_eq!(
        echoed("{ echo(grid: [1, [2, null], null]) }", "{}").await,
        r#"{"grid":[[1],[2,null],null]}"#
    );
    let query = "query($i: [ID!], $g: [[Int]]) { echo(ids: $i, grid: $g) }";
    assert_eq!(
        echoed(query, r#"{"i":"a","g":[1,[2]]}"#).await,
        r#"{"ids":["a"],"grid":[[1],[2]]}"#
    );
    assert_eq!(
        echoed("query($i: ID!) { echo(ids: [$i, 2]) }", r#"{"i":7}"#).await,
        r#"{"ids":["7","2"]}"#
    );
}

#[tokio::test]
async fn enums_and_custom_scalars() {
    assert_eq!(echoed("{ echo(state: CLOSED) }", "{}").await, r#"{"state":"CLOSED"}"#);
    assert_eq!(
        echoed("query($s: State) { echo(state: $s) }", r#"{"s":"OPEN"}"#).await,
        r#"{"state":"OPEN"}"#
    );
    assert_eq!(
        echoed(
            r#"query($v: Int) { echo(any: {a: [1, E, $v], b: "x"}, at: "2026-01-02T03:04:05+01:00") }"#,
            r#"{"v":3}"#
        )
        .await,
        r#"{"any":{"a":[1,"E",3],"b":"x"},"at":"2026-01-02T02:04:05.000Z"}"#
    );
    assert_eq!(
        echoed("{ echo(big: 9007199254740993) }", "{}").await,
        r#"{"big":"9007199254740993"}"#
    );
}

#[tokio::test]
async fn wrong_variables_are_all_reported_and_nothing_is_executed() {
    let query = "query($n: Int!, $f: Filter, $s: State, $o: Int!) {
        must(n: $n) echo(filter: $f, state: $s, n: $o) }";
    let variables = r#"{"n":null,"f":{"limit":"abc","inner":{},"txt":1},"s":"OPN"}"#;
    let response = execute(&echo(), query, variables).await;
    assert_eq!(response.outcome, Outcome::InvalidVariables);
    assert_eq!(response.data, None);
    assert_eq!(
        messages(&response),
        [
            "Variable \"$n\" of non-null type \"Int!\" must not be null.",
            "Variable \"$f\" got invalid value \"abc\" at \"f.limit\"; Int cannot represent \
             non-integer value: \"abc\"",
            "Variable \"$f\" got invalid value {} at \"f.inner\"; Field \"x\" of required type \
             \"Int!\" was not provided.",
            "Variable \"$f\" got invalid value {\"limit\":\"abc\",\"inner\":{},\"txt\":1}; Field \
             \"txt\" is not defined by type \"Filter\". Did you mean \"text\"?",
            "Variable \"$s\" got invalid value \"OPN\"; Value \"OPN\" does not exist in \"State\" \
             enum. Did you mean \"OPEN\"?",
            "Variable \"$o\" of required type \"Int!\" was not provided.",
        ]
    );
    let error = &response.errors[1];
    assert_eq!(error.code(), "invalid_arguments");
    assert_eq!(
        serde_json::to_string(&error.extensions["issues"]).unwrap(),
        r#"[{"argumentPath":["f","limit"],"message":"Variable \"$f\" got invalid value \"abc\" at \"f.limit\"; Int cannot represent non-integer value: \"abc\""}]"#
    );
}

#[tokio::test]
async fn null_for_a_non_null_argument_is_a_field_error() {
    let query = "query($m: Int = 1) { must(n: 1, m: $m) }";
    assert_eq!(run(&echo(), query).await, r#"{"data":{"must":{"n":1,"m":1}}}"#);
    let response = execute(&echo(), query, r#"{"m":null}"#).await;
    assert_eq!(response.outcome, Outcome::Executed);
    assert_eq!(data(&response), r#"{"must":null}"#);
    assert_eq!(
        errors(&response),
        ["must: Argument \"m\": Expected non-nullable type \"Int!\" not to be null."]
    );
    assert_eq!(response.errors[0].code(), "invalid_arguments");
}

#[tokio::test]
async fn a_required_argument_with_a_default_may_be_omitted_or_come_from_a_nullable_variable() {
    let filled = r#"{"data":{"must":{"n":1,"m":5}}}"#;
    assert_eq!(run(&echo(), "{ must(n: 1) }").await, filled);
    assert_eq!(run(&echo(), "query($m: Int) { must(n: 1, m: $m) }").await, filled);
}
