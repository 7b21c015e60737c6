//! Selections, resolvers and their order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::*;

fn library() -> Schema {
    let author = vec![property("name", "String!"), property("id", "ID!")];
    let book = vec![
        property("id", "ID!"),
        property("title", "String"),
        property("tags", "[String!]!"),
        property("pages", "Int"),
        property("author", "Author"),
        field("shout", "String", |parent, args| {
            let title = parent.get("title").and_then(Value::as_str).unwrap_or("?").to_uppercase();
            let end = args.get("end").and_then(Value::as_str).unwrap_or("");
            Ok(format!("{title}{end}").into())
        })
        .arg(arg("end", "String").default("!")),
        field("next", "Book", |_, _| Ok(json(r#"{"id":2,"title":"next","tags":{}}"#))),
        property("related", "[Book!]"),
    ];
    let one = r#"{"id":1,"title":"one","tags":["a"],"author":{"name":"n","id":"x"},
        "related":[{"id":7,"title":"r","tags":[]}]}"#;
    schema(
        vec![object("Author", author), object("Book", book)],
        vec![
            constant("book", "Book", json(one)),
            field("echo", "Int", |_, args| Ok(args.get("n").cloned().unwrap_or_default()))
                .arg(arg("n", "Int")),
            constant("nothing", "Book", Value::Null),
        ],
    )
}

#[tokio::test]
async fn keys_are_in_selection_order_with_aliases_and_type_names() {
    assert_eq!(
        run(
            &library(),
            "{ __typename b: book { tags title, t: __typename id x: title pages } nothing { id } }"
        )
        .await,
        r#"{"data":{"__typename":"Query","b":{"tags":["a"],"title":"one","t":"Book","id":"1","x":"one","pages":null},"nothing":null}}"#
    );
}

#[tokio::test]
async fn fragments_and_repeated_fields_merge() {
    let query = "
        query { book { ...A author { name } ... on Book { title next { id } } ... { id } } ...R }
        fragment A on Book { author { id } id ...B }
        fragment B on Book { next { title } }
        fragment R on Query { book { pages } echo(n: 3) }";
    assert_eq!(
        run(&library(), query).await,
        r#"{"data":{"book":{"author":{"id":"x","name":"n"},"id":"1","next":{"title":"next","id":"2"},"title":"one","pages":null},"echo":3}}"#
    );
}

#[tokio::test]
async fn skip_and_include_decide_by_constants_and_variables() {
    let schema = library();
    let query = "query($a: Boolean!, $b: Boolean = true) {
        echo(n: 1) @skip(if: $a)
        book { id title @include(if: $a) ... @include(if: $b) { pages } }
        no: echo @skip(if: true)
        ...F @include(if: $a)
        e2: echo(n: 2) @include(if: true)
        echo(n: 1)
    }
    fragment F on Query { f: echo(n: 3) }";
    let on = r#"{"data":{"book":{"id":"1","title":"one","pages":null},"f":3,"e2":2,"echo":1}}"#;
    let off = r#"{"data":{"echo":1,"book":{"id":"1"},"e2":2}}"#;
    for _ in 0..2 {
        assert_eq!(run_with(&schema, query, r#"{"a":true}"#).await, on);
        assert_eq!(run_with(&schema, query, r#"{"a":false,"b":false}"#).await, off);
    }
    assert_eq!(
        run(&schema, "{ echo @skip(if: true) __typename @include(if: false) }").await,
        r#"{"data":{}}"#
    );
}

#[tokio::test]
async fn resolvers_see_their_parent_and_properties_below_them_are_kept() {
    assert_eq!(
        run(
            &library(),
            r#"{ book { title shout s2: shout(end: "?") t2: title
                 related { shout id } r2: related { title } next { shout(end: null) tags } } }"#
        )
        .await,
        r#"{"data":{"book":{"title":"one","shout":"ONE!","s2":"ONE?","t2":"one","related":[{"shout":"R!","id":"7"}],"r2":[{"title":"r"}],"next":{"shout":"NEXT","tags":[]}}}}"#
    );
    assert_eq!(
        run(&library(), "{ book { related { shout } } }").await,
        r#"{"data":{"book":{"related":[{"shout":"R!"}]}}}"#
    );
}

/// A field that is done after 50 ms.
fn slow(name: &str, of: &str, value: Value) -> FieldDef {
    FieldDef::new(name, ty(of)).resolver(for_fn(move |_, _, _| {
        let value = value.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(value)
        }
        .boxed()
    }))
}

#[tokio::test]
async fn siblings_and_list_items_run_side_by_side_at_every_level() {
    let node = vec![slow("x", "Int", Value::Int(1)), slow("node", "Node", json("{}"))];
    let schema = schema(
        vec![object("Node", node)],
        vec![
            slow("a", "Node", json("{}")),
            slow("b", "[Node!]!", json("[{},{},{},{}]")),
            constant("wrapped", "Node", json("{}")),
        ],
    );
    let start = Instant::now();
    let query = "{ a { x y: x node { x } } b { x z: x node { x } } wrapped { x } }";
    let response = execute(&schema, query, "{}").await;
    assert_eq!(response.errors, []);
    let spent = start.elapsed();
    // Three levels; one after another the 23 fields would take more than a second.
    assert!(spent < Duration::from_millis(600), "{spent:?}");
}

#[tokio::test]
async fn mutations_run_one_after_another_even_after_errors() {
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let step = |name: &'static str, wait: u64| {
        let log = log.clone();
        FieldDef::new(name, ty("Int!")).resolver(for_fn(move |_, _, _| {
            let log = log.clone();
            async move {
                log.lock().push(format!("{name} starts"));
                tokio::time::sleep(Duration::from_millis(wait)).await;
                log.lock().push(format!("{name} ends"));
                if name == "second" { Err(Error::new("oops", "no")) } else { Ok(Value::Int(1)) }
            }
            .boxed()
        }))
    };
    let mutations = vec![step("first", 50), step("second", 20), step("third", 1)];
    let queries = vec![constant("q", "Int", Value::Null)];
    let schema = Schema::build(&[declarations("test", vec![], queries, mutations)]).unwrap();
    let response = execute(&schema, "mutation { first second third }", "{}").await;
    assert_eq!(data(&response), "null");
    assert_eq!(errors(&response), ["second: no"]);
    assert_eq!(
        *log.lock(),
        [
            "first starts",
            "first ends",
            "second starts",
            "second ends",
            "third starts",
            "third ends"
        ]
    );
}

#[tokio::test]
async fn a_mutation_is_refused_where_only_queries_are_allowed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let mutation = field("m", "Int", move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(Value::Int(1))
    });
    let queries = vec![constant("q", "Int", Value::Int(2))];
    let schema = Schema::build(&[declarations("test", vec![], queries, vec![mutation])]).unwrap();
    let mut request = Request::new("query Q { q } mutation M { m }");
    request.operation_name = Some("M".into());
    let response = schema.execute(&request, Mode::QueryOnly, &context(None)).await;
    assert_eq!(response.outcome, Outcome::OperationNotAllowed);
    assert_eq!((response.data, calls.load(Ordering::Relaxed)), (None, 0));
    request.operation_name = Some("Q".into());
    let response = schema.execute(&request, Mode::QueryOnly, &context(None)).await;
    assert_eq!(data(&response), r#"{"q":2}"#);
}

#[tokio::test]
async fn output_is_coerced() {
    let schema = schema(
        vec![
            enumeration("State", &["OPEN", "CLOSED"]),
            object("Empty", vec![property("x", "Int")]),
        ],
        vec![
            constant("state", "State", "OPEN".into()),
            constant("badState", "State", "ajar".into()),
            constant("emptyList", "[Int!]!", json("{}")),
            constant("emptyObject", "Empty!", json("[]")),
            constant("notAList", "[Int]", json("{\"a\":1}")),
            constant("notAnObject", "Empty", json("7")),
            constant("bytes", "String", Value::Bytes(vec![0xff])),
            constant("whole", "Float", Value::Float(2.0)),
            constant("json", "JSON", json(r#"{"b":[1,{"a":null}],"a":2.5}"#)),
            constant("nan", "JSON", Value::List(vec![Value::Float(f64::NAN)])),
            constant("big", "BigInt", json("\"123456789012345678901\"")),
        ],
    );
    assert_eq!(
        run(&schema, "{ state emptyList emptyObject { x } whole json big }").await,
        r#"{"data":{"state":"OPEN","emptyList":[],"emptyObject":{"x":null},"whole":2,"json":{"b":[1,{"a":null}],"a":2.5},"big":"123456789012345678901"}}"#
    );
    let response =
        execute(&schema, "{ badState notAList notAnObject { x } bytes nan }", "{}").await;
    assert_eq!(
        data(&response),
        r#"{"badState":null,"notAList":null,"notAnObject":null,"bytes":null,"nan":null}"#
    );
    let resolved = |field: &str, of: &str, what: &str| {
        format!(
            "{field}: The field Query.{field} of the type \"{of}\" resolved to a wrong value: {what}."
        )
    };
    assert_eq!(
        errors(&response),
        [
            resolved("badState", "State", "expected a value of the enum \"State\", found a string"),
            resolved(
                "bytes",
                "String",
                "expected a string in valid UTF-8 (String), found a binary string"
            ),
            resolved(
                "nan",
                "JSON",
                "expected what JSON can hold: finite numbers and valid UTF-8 (JSON), found a list"
            ),
            resolved("notAList", "[Int]", "expected a list, found an object"),
            resolved(
                "notAnObject",
                "Empty",
                "expected an object of the type \"Empty\", found an integer"
            ),
        ]
    );
}

#[test]
fn execution_may_move_between_threads() {
    fn assert_send<T: Send>(_: T) {}
    let (schema, cx, request) = (library(), context(None), Request::new("{ echo }"));
    assert_send(schema.execute(&request, Mode::AnyOperation, &cx));
}

#[tokio::test]
async fn a_cached_document_is_fast() {
    let hello = field("hello", "Hello", |_, args| {
        let mut map = Map::new();
        map.insert("id".into(), args.get("id").cloned().unwrap_or_default());
        map.insert("title".into(), "a title".into());
        map.insert("n".into(), Value::Int(7));
        map.insert("tags".into(), Value::List(vec!["a".into(), "b".into()]));
        Ok(Value::Map(map))
    })
    .arg(arg("id", "ID!"));
    let fields = vec![
        property("id", "ID!"),
        property("title", "String!"),
        property("n", "Int!"),
        property("tags", "[String!]!"),
    ];
    let schema = schema(vec![object("Hello", fields)], vec![hello]);
    let cx = context(None);
    let request = Request::new(r#"{ hello(id:"x"){ id title n tags } }"#);
    let count: u32 = 2_000;
    let start = Instant::now();
    for _ in 0..count {
        let response = schema.execute(&request, Mode::AnyOperation, &cx).await;
        assert!(response.errors.is_empty());
    }
    println!("cached request: {:?}", start.elapsed() / count);
}
