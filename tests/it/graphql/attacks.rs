//! Requests that ask for too much. None is executed, and each is answered soon.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::socket::Socket;
use crate::support::{ADA, REGISTER, TestHost, manifest, registering};

/// How long an answer may take: 50 ms in a release build. Here nothing is optimized, and other tests run
/// beside this one; `benches/host` has the figures.
const SOON: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 50 });

/// Fields that count how often they are resolved.
const COUNTING: &str = r#"
local count = 0
local function resolve() count += 1 return { { } } end
builder:objectType("Node", { fields = {
  id = "ID", one = { type = "Node", resolve = resolve }, all = { type = "[Node]", resolve = resolve,
    args = { first = "Int" } },
} })
builder:queryField("nodes", { type = "[Node]", auth = "public", args = { first = "Int", list = "[Int]" },
  resolve = resolve })
builder:queryField("count", { type = "Int!", auth = "public", resolve = function() return count end })
"#;

fn corpus() -> Vec<(&'static str, String)> {
    let repeated = |text: &str, count: usize| text.repeat(count);
    let aliases: String = (0..20_000).map(|i| format!("a{i}: x_nodes {{ id }} ")).collect();
    let few_aliases: String = (0..200).map(|i| format!("a{i}: id ")).collect();
    let fragments = |count: usize, each: &str| -> String {
        (0..count)
            .map(|i| {
                format!("fragment F{i} on Node {{ {} }} ", each.replace('#', &(i + 1).to_string()))
            })
            .collect()
    };
    vec![
        ("alias bomb", format!("{{ {aliases} }}")),
        ("a few aliases too many", format!("{{ x_nodes {{ {few_aliases} }} }}")),
        ("deep nesting", format!("{{ x_nodes {}{} }}", repeated("{ one ", 40), repeated("}", 40))),
        ("very deep nesting", repeated("{ a ", 100_000)),
        ("deep lists", format!("{{ x_nodes(list: {}1{}) {{ id }} }}", repeated("[", 50_000), repeated("]", 50_000))),
        ("fragment cycle", "{ x_nodes { ...A } } fragment A on Node { one { ...B } } fragment B on Node { one { ...A } }".to_owned()),
        ("fragment in itself", "{ x_nodes { ...A } } fragment A on Node { ...A }".to_owned()),
        ("fragment bomb", format!("{{ x_nodes {{ ...F0 }} }} {} fragment F25 on Node {{ id }}", fragments(25, "...F# ...F#"))),
        ("fragments in depth", format!("{{ x_nodes {{ ...F0 }} }} {} fragment F900 on Node {{ id }}", fragments(900, "...F#"))),
        ("directive bomb", format!("{{ x_nodes {{ id {} }} }}", repeated("@include(if: true) ", 5_000))),
        ("unknown directives", format!("{{ x_nodes {{ id {} }} }}", repeated("@a", 2_000))),
        ("huge list", "{ x_nodes(first: 2000000000) { id one { id } } }".to_owned()),
        ("lists in lists", format!("{{ x_nodes {}id{} }}", repeated("{ all ", 15), repeated("}", 15)).replace("all id", "all { id }").replace("}}", "} }")),
        ("a list of a million", format!("{{ x_nodes(list: [{}]) {{ id }} }}", repeated("1,", 300_000))),
        ("root fields", format!("{{ {} }}", (0..90).map(|i| format!("a{i}: x_nodes {{ id }} ")).collect::<String>())),
        ("introspection bomb", format!("{{ __schema {{ types {} name {} }} }}", repeated("{ fields { type ", 10), repeated("} }", 10))),
        ("circular introspection", "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } }".to_owned()),
        ("variables", format!("query({}) {{ x_nodes {{ id }} }}", (0..3_000).map(|i| format!("$v{i}: Int ")).collect::<String>())),
        ("operations", (0..2_000).map(|i| format!("query Q{i} {{ x_nodes {{ id }} }} ")).collect()),
        ("a long string", format!("{{ x_nodes(first: \"{}\") {{ id }} }}", repeated("x", 900_000))),
        ("a long name", format!("{{ {} }}", repeated("x", 900_000))),
        ("commas", format!("{{ x_nodes {{ {} }} }}", repeated(",", 900_000))),
        ("an open block string", format!("{{ x_nodes(first: \"\"\"{}", repeated("\\\"\"\"", 200_000))),
        ("a text that is long enough", format!("{{ x_nodes(first: \"{}\") {{ id }} }}", repeated("x", 120_000))),
        ("a name that is long enough", format!("{{ {} }}", repeated("x", 120_000))),
        ("the same field", format!("{{ x_nodes {{ {} }} }}", repeated("id ", 6_000))),
        ("conflicting fields", format!("{{ {} }}", (0..600).map(|i| format!("x_nodes(first: {i}) {{ id }} ")).collect::<String>())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corpus_of_attacks_is_refused_soon_and_not_executed() {
    let host = TestHost::start().await;
    let (text, code) = (manifest("x", REGISTER), registering(COUNTING));
    host.plugin("x", &[("manifest.json", &text), ("init.lua", &code)]).await;
    // Once, so that nothing is done for the first time below.
    host.data(ADA, "{ x_count }", json!({})).await;
    for (name, query) in corpus() {
        for token in [None, Some(ADA)] {
            let started = Instant::now();
            let answer = host.graphql(token, &query, json!({})).await;
            let took = started.elapsed();
            assert!(
                answer["errors"].is_array() && answer.get("data").is_none(),
                "{name}: {answer}"
            );
            assert!(took < SOON, "{name} took {took:?}");
        }
    }
    assert_eq!(host.data(ADA, "{ x_count }", json!({})).await["x_count"], 0);
    // The same over a WebSocket.
    let mut socket = Socket::ready(&host, None).await;
    for (name, query) in corpus().into_iter().filter(|(_, query)| query.len() < 500_000) {
        socket.subscribe(name, &query).await;
        let answer = socket.next().await;
        assert_eq!((&answer["id"], &answer["type"]), (&json!(name), &json!("error")), "{answer}");
    }
    assert_eq!(host.data(ADA, "{ x_count }", json!({})).await["x_count"], 0);
}

#[tokio::test]
async fn batches_are_off_and_bounded() {
    let host = TestHost::start().await;
    let send = async |host: &TestHost, body: Value| {
        let started = Instant::now();
        let request = host.client.post(format!("{}/graphql", host.url)).json(&body);
        let response = request.send().await.unwrap();
        assert!(started.elapsed() < SOON * 2);
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let batch = |count: usize| json!(vec![json!({ "query": "{ __typename }" }); count]);
    let (status, answer) = send(&host, batch(5_000)).await;
    assert_eq!(status, 400);
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("batches are not supported"), "{message}");

    let host = TestHost::start_with(|settings| settings.graphql.batch_limit = 3).await;
    let (status, answer) = send(&host, batch(3)).await;
    assert_eq!(status, 200);
    assert_eq!(answer, json!(vec![json!({ "data": { "__typename": "Query" } }); 3]));
    let (status, answer) = send(&host, batch(4)).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer.to_string().contains("more requests than graphql-batch-limit, which is 3"));
    assert_eq!(send(&host, json!([])).await.0, 400);
    // Each is answered by itself.
    let (_, answer) =
        send(&host, json!([{ "query": "{ nothing }" }, {}, { "query": "{ __typename }" }])).await;
    assert_eq!(answer[0]["errors"][0]["extensions"]["code"], "graphql_validation_failed");
    assert!(answer[1]["errors"][0]["message"].as_str().unwrap().contains("\"query\" is missing"));
    assert_eq!(answer[2]["data"]["__typename"], "Query");
}

#[tokio::test]
async fn malformed_multipart_is_answered_soon() {
    let host = Arc::new(TestHost::start().await);
    let raw = |content_type: &'static str, body: Vec<u8>| {
        let host = Arc::clone(&host);
        async move {
            let started = Instant::now();
            let request = host.client.post(format!("{}/graphql", host.url));
            let request = request.header("content-type", content_type).body(body);
            let status = request.send().await.unwrap().status().as_u16();
            assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
            status
        }
    };
    let form = "multipart/form-data; boundary=x";
    for body in [
        b"".to_vec(),
        b"--x".to_vec(),
        b"--x\r\n\r\n".to_vec(),
        b"--x--\r\n".to_vec(),
        b"--y\r\ncontent-disposition: form-data; name=\"operations\"\r\n\r\n{}\r\n--y--".to_vec(),
        b"--x\r\ncontent-disposition: form-data; name=\"operations\"\r\n\r\n{}".to_vec(),
        b"--x\r\ncontent-disposition: form-data\r\n\r\n{}\r\n--x--\r\n".to_vec(),
        vec![b'-'; 500_000],
        b"--x\r\n".repeat(20_000),
        [b"--x\r\n".to_vec(), b"a: b\r\n".repeat(50_000)].concat(),
    ] {
        assert_eq!(raw(form, body).await, 400);
    }
    for content_type in
        ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x"]
    {
        let status = raw(content_type, b"--x--".to_vec()).await;
        assert!([400, 415].contains(&status), "{content_type}: {status}");
    }
    let bomb: Value = (0..400).fold(json!(1), |inner, _| json!([inner]));
    let operations = json!({ "query": "{ __typename }", "variables": { "x": bomb } }).to_string();
    let form =
        Form::new().text("operations", operations).text("map", "{}").part("0", Part::text(""));
    let request = host.client.post(format!("{}/graphql", host.url)).multipart(form);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 400);
}

#[tokio::test]
async fn a_response_that_is_too_large_is_an_error_wherever_it_goes() {
    let host = TestHost::start_with(|settings| {
        settings.graphql.limits.response = 2_000;
        settings.graphql.batch_limit = 5;
    })
    .await;
    let code = registering(
        "builder:queryField(\"text\", { type = \"String\", auth = \"public\", args = { n = \"Int!\" },
           resolve = function(_, args) return string.rep(\"x\", args.n) end })",
    );
    let text = manifest("x", REGISTER);
    host.plugin("x", &[("manifest.json", &text), ("init.lua", &code)]).await;
    let query = |n: usize| format!("{{ x_text(n: {n}) }}");
    let small = host.data(ADA, &query(1_900), json!({})).await;
    assert_eq!(small["x_text"].as_str().unwrap().len(), 1_900);
    let answer = host.graphql(Some(ADA), &query(2_000), json!({})).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "graphql_limit_exceeded");
    assert_eq!(
        (&error["extensions"]["limit"], &answer["data"]),
        (&json!("response"), &Value::Null)
    );
    assert!(error["message"].as_str().unwrap().contains("graphql-max-response"), "{error}");
    let mut socket = Socket::ready(&host, None).await;
    socket.subscribe("1", &query(5_000)).await;
    let answer = socket.next().await;
    assert_eq!(answer["payload"]["errors"][0]["extensions"]["limit"], "response", "{answer}");
    let batch = json!(vec![json!({ "query": query(1_500) }); 2]);
    let request = host.client.post(format!("{}/graphql", host.url)).json(&batch);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["limit"], "response", "{answer}");
}

/// A file of the only operations that may be executed, as clients use it.
#[tokio::test]
async fn only_registered_operations_are_executed_over_any_transport() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let file = dir.path().join("operations.json");
    std::fs::write(&file, r#"{"who": "query Who { __typename }"}"#).unwrap();
    let host = TestHost::start_in(dir, |settings| {
        settings.graphql.registered_operations = Some(file);
    })
    .await;
    let ask = async |body: Value| {
        let request = host.client.post(format!("{}/graphql", host.url)).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let answer = json!({ "data": { "__typename": "Query" } });
    assert_eq!(ask(json!({ "documentId": "who" })).await, (200, answer.clone()));
    assert_eq!(ask(json!({ "query": "query Who { __typename }" })).await, (200, answer));
    let (status, refused) = ask(json!({ "query": "{ __typename }" })).await;
    assert_eq!(status, 403);
    assert_eq!(refused["errors"][0]["extensions"]["code"], "operation_not_registered");
    let mut socket = Socket::ready(&host, None).await;
    socket.subscribe("1", "{ __typename }").await;
    let refused = socket.next().await;
    assert_eq!(refused["payload"][0]["extensions"]["code"], "operation_not_registered");
}
