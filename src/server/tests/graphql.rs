//! GraphQL over HTTP: media types, statuses, parameters.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::*;
use crate::value::Value;

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";

#[tokio::test]
async fn the_accept_header_decides_the_content_type() {
    let server = server().await;
    for (accept, content_type) in [
        (JSON, "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
        (GRAPHQL, "application/graphql-response+json; charset=utf-8"),
    ] {
        let reply = server.post(accept, r#"{"query":"{ __typename }"}"#).await;
        assert_eq!(reply.status, 200, "{accept}");
        assert_eq!(reply.header("content-type"), content_type);
        assert_eq!(reply.text, r#"{"data":{"__typename":"Query"}}"#);
    }
    let reply = server.post("text/plain", r#"{"query":"{ __typename }"}"#).await;
    assert_eq!(reply.status, 406);
    assert_eq!(reply.json()["error"], "not_acceptable");
}

#[tokio::test]
async fn statuses_say_how_far_a_request_got() {
    let server = server().await;
    let unknown = r#"{"query":"{ nope }"}"#;
    let variable = r#"{"query":"query Q($id: ID!) { __typename }","variables":{"id":null}}"#;
    let operation = r#"{"query":"query Q { __typename }","operationName":"R"}"#;
    for body in [r#"{"query":"{"}"#, r#"{"query":""}"#, unknown, variable, operation] {
        for (accept, status) in [(JSON, 200), (GRAPHQL, 400)] {
            let reply = server.post(accept, body).await;
            assert_eq!(reply.status, status, "{accept} {body}");
            assert!(reply.header("content-type").starts_with(accept));
            let json = reply.json();
            assert!(json.get("data").is_none() && json["errors"][0]["message"].is_string());
        }
    }
    for accept in [JSON, GRAPHQL] {
        let reply = server.post(accept, r#"{"query":"{ fails }"}"#).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["data"], Json::Null);
        assert_eq!(reply.json()["errors"][0]["extensions"]["code"], "oops");
    }
}

#[tokio::test]
async fn parameters_may_be_null_and_must_have_their_types() {
    let server = server().await;
    for accept in [JSON, GRAPHQL] {
        for good in [
            json!({ "operationName": null, "variables": null, "extensions": null }),
            json!({ "operationName": "Q", "variables": { "a": 1 }, "extensions": { "b": [1] } }),
            json!({ "operationName": "", "unknown": { "key": [null] } }),
        ] {
            let mut body = good;
            body["query"] = "query Q { __typename }".into();
            let reply = server.post(accept, body.to_string()).await;
            assert_eq!(reply.text, r#"{"data":{"__typename":"Query"}}"#, "{body}");
        }
        let texts = [json!({ "o": 1 }), json!(0), json!(false), json!(["a"])];
        let objects = [json!("s"), json!(0), json!(1.5), json!(true), json!(["a"])];
        let wrong = texts
            .iter()
            .flat_map(|value| [("query", value), ("operationName", value)])
            .chain(objects.iter().flat_map(|v| [("variables", v), ("extensions", v)]));
        for (name, value) in wrong {
            let mut body = json!({ "query": "{ __typename }" });
            body[name] = value.clone();
            let reply = server.post(accept, body.to_string()).await;
            assert_eq!(reply.status, 400, "{body}");
            assert!(reply.header("content-type").starts_with(accept));
            let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(&format!("{name:?}")), "{message}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused() {
    let server = server().await;
    let deep = format!(r#"{{"query":"{{a}}","variables":{{"a":{}"#, "[".repeat(5_000));
    for (body, part) in [
        ("", "is empty"),
        ("{ \"not a JSON", "is not JSON"),
        ("{}", "\"query\" is missing"),
        (r#"{"qeury":"{ __typename }"}"#, "\"query\" is missing"),
        (r#"{"query":null}"#, "\"query\" is missing"),
        ("null", "expected a JSON object"),
        ("\"{ __typename }\"", "expected a JSON object"),
        (r#"[{"query":"{ __typename }"}]"#, "batches are not supported"),
        ("[]", "batches are not supported"),
        (r#"{"query":"{ __typename }"} x"#, "is not JSON"),
        (r#"{"query":"{ __typename }","query":"{ __typename }"}"#, "duplicate field `query`"),
        (r#"{"query":"{ __typename }","variables":{"n":1e999}}"#, "is not JSON"),
        (r#"{"query":"\ud800"}"#, "is not JSON"),
        (deep.as_str(), "is not JSON"),
    ] {
        for accept in [JSON, GRAPHQL] {
            let reply = server.post(accept, body.to_owned()).await;
            assert_eq!(reply.status, 400, "{body}");
            assert!(reply.header("content-type").starts_with(accept));
            let error = &reply.json()["errors"][0];
            assert_eq!(error["extensions"]["code"], "bad_request");
            assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        }
    }
    let reply = server.post(JSON, &b"{\"query\":\"\xff\"}"[..]).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test]
async fn only_json_in_utf8_is_read() {
    let server = server().await;
    let post = async |content_type: Option<&str>| {
        let mut request = Request::post("/graphql");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        server.ask(request.body(Body::from(r#"{"query":"{ __typename }"}"#)).unwrap()).await
    };
    assert_eq!(post(Some("application/json; charset=utf-8")).await.status, 200);
    for refused in [None, Some("text/plain"), Some("application/json; charset=utf-16")] {
        let reply = post(refused).await;
        assert_eq!(reply.status, 415, "{refused:?}");
        assert_eq!(reply.json()["errors"][0]["extensions"]["code"], "unsupported_media_type");
    }
    let query = r#"{"query":"query G($n: String!) { greet(name: $n) }","variables":{"n":"🏃é"}}"#;
    let reply = server.post(JSON, query).await;
    assert_eq!(reply.text, r#"{"data":{"greet":"Hello, 🏃é!"}}"#);
}

#[tokio::test]
async fn large_bodies_are_refused_announced_or_not() {
    let server = server().await;
    let body = |length: usize| {
        let json = r#"{"query":"{ __typename }"}"#;
        format!("{json}{}", " ".repeat(length - json.len()))
    };
    assert_eq!(server.post(JSON, body(BODY_LIMIT)).await.status, 200);
    let large = body(BODY_LIMIT + 1);
    let pieces: Vec<_> =
        large.as_bytes().chunks(100).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
    let stream = Body::from_stream(futures_util::stream::iter(pieces));
    for body in [Body::from(large), stream] {
        let reply = server.post(GRAPHQL, body).await;
        assert_eq!(reply.status, 413);
        assert!(reply.header("content-type").starts_with(GRAPHQL));
        assert_eq!(reply.json()["errors"][0]["extensions"]["code"], "payload_too_large");
    }
    let broken = futures_util::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("gone"))]);
    assert_eq!(server.post(JSON, Body::from_stream(broken)).await.status, 400);
}

#[tokio::test]
async fn queries_can_be_got() {
    let server = server().await;
    for accept in [JSON, GRAPHQL] {
        for uri in [
            "/graphql?query=%7B+__typename%20%7D",
            "/graphql?query={__typename}&operationName=&variables=&extensions=",
            "/graphql?query={__typename}&variables=null&extensions=%7B%22a%22:1%7D&other=1&other=2",
            "/graphql?query=query%20A{__typename}%20query%20B{a:__typename}&operationName=A",
        ] {
            let reply = server.get(accept, uri).await;
            assert_eq!(reply.status, 200, "{uri} {}", reply.text);
            assert!(reply.header("content-type").starts_with(accept));
            assert_eq!(reply.text, r#"{"data":{"__typename":"Query"}}"#);
        }
        let uri =
            "/graphql?query=query($n:String!){greet(name:$n)}&variables=%7B%22n%22:%22A%26B%22%7D";
        assert_eq!(server.get(accept, uri).await.text, r#"{"data":{"greet":"Hello, A&B!"}}"#);
        for (uri, part) in [
            ("/graphql", "\"query\" is missing"),
            ("/graphql?query=", "\"query\" is missing"),
            ("/graphql?query={a}&query={b}", "\"query\" is repeated"),
            ("/graphql?query={a}&variables=[1]", "\"variables\" to be an object"),
            ("/graphql?query={a}&variables=x", "\"variables\" is wrong"),
            ("/graphql?query={a}&extensions=1", "\"extensions\" to be an object"),
        ] {
            let reply = server.get(accept, uri).await;
            assert_eq!(reply.status, 400, "{uri}");
            let message = reply.json()["errors"][0]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(part), "{message}");
        }
    }
}

#[tokio::test]
async fn only_post_changes_anything() {
    let server = server().await;
    assert_eq!(
        server.post(JSON, r#"{"query":"mutation { touch }"}"#).await.text,
        r#"{"data":{"touch":true}}"#
    );
    for accept in [JSON, GRAPHQL] {
        let reply = server.get(accept, "/graphql?query=mutation{touch}").await;
        assert_eq!(reply.status, 405);
        assert_eq!(reply.header("allow"), "POST");
        assert!(reply.json().get("data").is_none());
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
        let request = Request::builder().method(method).uri("/graphql?query={__typename}");
        let reply = server.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), "GET, POST");
    }
}

#[tokio::test]
async fn browsers_get_graphiql_unless_they_send_a_query() {
    let server = server().await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let reply = server.get(browser, "/graphql").await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").starts_with("text/html"));
    assert!(reply.text.contains("graphiql"));
    let reply = server.get(browser, "/graphql?query={__typename}").await;
    assert_eq!(reply.header("content-type"), "application/json; charset=utf-8");
}

#[tokio::test]
async fn resolvers_see_the_request_but_no_credentials() {
    let server = server().await;
    let request = Request::post("/graphql")
        .header("content-type", "application/json")
        .header("Authorization", format!("Bearer {TOKEN}"))
        .header("Proxy-Authorization", "x")
        .header("x-request-id", "r-1")
        .header("X-Thing", "a")
        .header("x-other", "o")
        .header("x-thing", "b")
        .body(Body::from(r#"{"query":"{ request }"}"#))
        .unwrap();
    let reply = server.ask(request).await;
    let expected = json!({
        "id": "r-1", "method": "POST", "path": "/graphql", "ip": null, "user": "automation",
        "headers": {
            "content-type": "application/json", "x-request-id": "r-1",
            "x-thing": "a, b", "x-other": "o",
        },
    });
    assert_eq!(reply.json()["data"]["request"], expected);
    let reply = server.get(JSON, "/graphql?query={request}").await;
    assert_eq!(reply.json()["data"]["request"]["user"], Json::Null);
}

#[tokio::test]
async fn a_wrong_token_is_never_anonymous() {
    let server = server().await;
    for method in ["GET", "POST", "PUT"] {
        let request = Request::builder()
            .method(method)
            .uri("/graphql?query={__typename}")
            .header("authorization", "Bearer wrong")
            .body(Body::empty())
            .unwrap();
        let reply = server.ask(request).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("www-authenticate"), "Bearer");
        assert_eq!(reply.json()["error"], "unauthenticated");
    }
}

#[tokio::test]
async fn without_a_schema_the_endpoint_is_unavailable() {
    let server = server().await;
    server.services.replace_world(Arc::default());
    let reply = server.post(GRAPHQL, r#"{"query":"{ __typename }"}"#).await;
    assert_eq!(reply.status, 503);
    assert!(reply.json()["errors"][0]["message"].is_string());
}

#[tokio::test]
async fn a_value_that_is_no_json_is_an_error_response() {
    let bytes = crate::extension::graphql::Output::Json(Value::Bytes(vec![0xff]));
    let answer = crate::extension::graphql::Response {
        data: Some(bytes),
        errors: Vec::new(),
        outcome: crate::extension::graphql::Outcome::Executed,
    };
    let response = super::super::graphql::encode(
        &answer,
        super::super::media_type::MediaType::Json,
        "r-1",
        1_000,
    );
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
    let body: Json = serde_json::from_slice(&body).unwrap();
    let expected = json!({ "code": "unexpected", "requestId": "r-1" });
    assert_eq!(body["errors"][0]["extensions"], expected);
}
