//! Custom scalars, oneOf inputs and deprecated inputs.

use futures_util::future::BoxFuture;

use super::*;

/// Cents inside, `1.50` outside.
#[derive(Debug)]
struct Money;

impl ScalarCodec for Money {
    fn parse<'a>(
        &'a self,
        value: &'a Value,
        _: &'a RequestContext,
    ) -> BoxFuture<'a, Result<std::result::Result<Value, String>>> {
        async move {
            let amount = value.as_str().and_then(|text| text.parse::<f64>().ok());
            Ok(amount.map(|f| Value::Int((f * 100.0).round() as i64)).ok_or("no amount".to_owned()))
        }
        .boxed()
    }

    fn serialize<'a>(
        &'a self,
        value: &'a Value,
        _: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Value>> {
        async move {
            match value {
                Value::Int(cents) => Ok(format!("{:.2}", *cents as f64 / 100.0).into()),
                _ => Err(Error::unexpected("no cents")),
            }
        }
        .boxed()
    }
}

fn money() -> Vec<TypeDef> {
    vec![
        TypeDef::Scalar(ScalarDef {
            name: "Money".into(),
            description: Some("An amount.".into()),
            specified_by: Some("https://example.com/money".into()),
            codec: Arc::new(Money),
            place: None,
        }),
        input("Range", vec![arg("from", "Money").default("0.10"), arg("more", "[Money!]")]),
        object("Price", vec![property("amount", "Money!"), property("all", "[Money]")]),
    ]
}

/// Fields that give back what they were given.
fn echo() -> Schema {
    let given = |name: &str, of: &str, takes: &str| {
        let resolve = field(name, of, |_, args| Ok(args.get("v").cloned().unwrap_or_default()));
        resolve.arg(arg("v", takes))
    };
    schema(
        money(),
        vec![
            given("raw", "JSON", "Money"),
            given("list", "JSON", "[Money]"),
            given("range", "JSON", "Range"),
            given("money", "Money", "Money"),
            constant("price", "Price", json(r#"{"amount": 150, "all": [1, null, 250]}"#)),
            constant("broken", "Price", json(r#"{"amount": "x"}"#)),
        ],
    )
}

#[tokio::test]
async fn a_custom_scalar_is_read_and_written_by_its_owner() {
    let schema = echo();
    let data = |query| run(&schema, query);
    assert_eq!(data(r#"{ raw(v: "1.50") }"#).await, r#"{"data":{"raw":150}}"#);
    assert_eq!(data(r#"{ money(v: "1.5") }"#).await, r#"{"data":{"money":"1.50"}}"#);
    assert_eq!(data(r#"{ list(v: "1") }"#).await, r#"{"data":{"list":[100]}}"#);
    assert_eq!(data(r#"{ list(v: ["1", null]) }"#).await, r#"{"data":{"list":[100,null]}}"#);
    let range = data(r#"{ range(v: {more: "2"}) }"#).await;
    assert_eq!(range, r#"{"data":{"range":{"from":10,"more":[200]}}}"#);
    let query = "query($a: Money, $r: Range) { raw(v: $a) range(v: $r) list(v: [$a]) }";
    assert_eq!(
        run_with(&schema, query, r#"{"a": "3", "r": {"from": "4"}}"#).await,
        r#"{"data":{"raw":300,"range":{"from":400},"list":[300]}}"#
    );
    assert_eq!(
        data("{ price { amount all } }").await,
        r#"{"data":{"price":{"amount":"1.50","all":["0.01",null,"2.50"]}}}"#
    );
}

#[tokio::test]
async fn what_it_cannot_read_or_write_is_an_error_with_its_place() {
    let schema = echo();
    let response = execute(&schema, r#"{ range(v: {more: ["1", "x"]}) }"#, "{}").await;
    assert_eq!(
        errors(&response),
        ["range: Argument \"v.more[1]\": Expected type \"Money\"; no amount"]
    );
    assert_eq!(response.errors[0].code(), "invalid_arguments");
    let response = execute(&schema, "query($a: Money) { raw(v: $a) }", r#"{"a": "y"}"#).await;
    assert_eq!(
        messages(&response),
        ["Variable \"$a\" got invalid value \"y\"; Expected type \"Money\"; no amount"]
    );
    let response = execute(&schema, "{ broken { amount } }", "{}").await;
    assert_eq!(data(&response), r#"{"broken":null}"#);
    assert_eq!(response.errors[0].code(), "unexpected");
    assert!(schema.sdl().contains("scalar Money @specifiedBy(url: \"https://example.com/money\")"));
}

fn by() -> Schema {
    let by = TypeDef::Input(InputDef {
        name: "By".into(),
        one_of: true,
        fields: vec![arg("id", "ID"), arg("slug", "String")],
        ..Default::default()
    });
    let found = field("find", "JSON", |_, args| Ok(args.get("by").cloned().unwrap_or_default()));
    schema(vec![by], vec![found.arg(arg("by", "By!"))])
}

#[tokio::test]
async fn exactly_one_field_of_a_one_of_is_given() {
    let schema = by();
    assert_eq!(
        run(&schema, r#"{ find(by: {slug: "a"}) }"#).await,
        r#"{"data":{"find":{"slug":"a"}}}"#
    );
    let variables = |by| run_with(&schema, "query($by: By!) { find(by: $by) }", by);
    assert_eq!(variables(r#"{"by": {"id": 1}}"#).await, r#"{"data":{"find":{"id":"1"}}}"#);
    for wrong in
        ["{}", r#"{"id": 1, "slug": "a"}"#, r#"{"id": null}"#, r#"{"id": 1, "slug": null}"#]
    {
        let given = format!(r#"{{"by": {wrong}}}"#);
        let answer = run_with(&schema, "query($by: By!) { find(by: $by) }", &given).await;
        assert!(answer.contains("Exactly one key must be specified for OneOf type"), "{answer}");
    }
    for wrong in ["{}", r#"{id: 1, slug: "a"}"#, "{id: null}"] {
        let answer = run(&schema, &format!("{{ find(by: {wrong}) }}")).await;
        assert!(answer.contains("Exactly one key must be specified for OneOf type"), "{answer}");
    }
    let query = "query($id: ID) { find(by: {id: $id}) }";
    let answer = run_with(&schema, query, r#"{"id": 1}"#).await;
    assert!(answer.contains("must be non-nullable to be used for OneOf"), "{answer}");
    let query = "query($id: ID!) { find(by: {id: $id}) }";
    let answer = run_with(&schema, query, r#"{"id": 1}"#).await;
    assert_eq!(answer, r#"{"data":{"find":{"id":"1"}}}"#);
    assert!(schema.sdl().contains("input By @oneOf {"));
    let query = r#"{ __type(name: "By") { isOneOf } }"#;
    assert_eq!(run(&schema, query).await, r#"{"data":{"__type":{"isOneOf":true}}}"#);
}

#[test]
fn inputs_are_checked_when_they_are_declared() {
    let said = |def: InputDef| {
        let types = vec![TypeDef::Input(InputDef { name: "I".into(), ..def })];
        let sets = [declarations("t", types, vec![constant("x", "Int", Value::Null)], vec![])];
        check(&sets).into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("\n")
    };
    let one_of = |field| InputDef { one_of: true, fields: vec![field], ..Default::default() };
    assert!(said(one_of(arg("a", "Int!"))).contains("none can be non-null"));
    assert!(said(one_of(arg("a", "Int").default(1))).contains("none can be non-null"));
    let mut old = arg("a", "Int!");
    old.deprecated = Some("use b".into());
    let required = said(InputDef { fields: vec![old.clone()], ..Default::default() });
    assert!(required.contains("is required, so it cannot be deprecated"), "{required}");
    old.ty = ty("Int");
    assert_eq!(said(InputDef { fields: vec![old], ..Default::default() }), "");
}
