//! `ctx.http` and `ctx.env`, against servers on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use serde_json::{Value, json};

use crate::support::{ADA, ADMIN, REGISTER, TestHost, getting, manifest_with};

/// Somewhere else.
struct Elsewhere {
    port: u16,
    hits: Arc<AtomicUsize>,
}

impl Elsewhere {
    async fn start() -> Elsewhere {
        let hits = Arc::new(AtomicUsize::new(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new()
            .route("/echo", any(echo))
            .route("/status/{status}", any(status))
            .route("/to", any(redirect))
            .route("/large/{bytes}", any(large))
            .route("/slow", any(slow))
            .route("/flaky/{times}", any(flaky))
            .with_state(Arc::clone(&hits));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Elsewhere { port, hits }
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

type Hits = State<Arc<AtomicUsize>>;

async fn echo(
    State(hits): Hits,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    hits.fetch_add(1, Ordering::SeqCst);
    let header = |name| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let seen = json!({
        "method": method.as_str(), "path": uri.path(), "query": uri.query(), "type": header("content-type"),
        "auth": header("authorization"), "x": header("x-a"), "agent": header("user-agent"),
        "body": String::from_utf8_lossy(&body),
    });
    ([("content-type", "application/json")], seen.to_string()).into_response()
}

async fn status(State(hits): Hits, Path(status): Path<u16>) -> Response {
    hits.fetch_add(1, Ordering::SeqCst);
    (
        StatusCode::from_u16(status).unwrap(),
        axum::response::AppendHeaders([("x-multi", "a"), ("x-multi", "b")]),
        "body",
    )
        .into_response()
}

/// To the rest of the query.
async fn redirect(State(hits): Hits, uri: Uri) -> Response {
    hits.fetch_add(1, Ordering::SeqCst);
    let (status, to) = uri.query().unwrap().split_once(':').unwrap();
    let status = StatusCode::from_u16(status.parse().unwrap()).unwrap();
    (status, [("location", to.to_owned())]).into_response()
}

async fn large(Path(bytes): Path<usize>) -> Response {
    let parts = (0..bytes / 65_536).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
    axum::body::Body::from_stream(futures_util::stream::iter(parts)).into_response()
}

async fn slow() -> Response {
    tokio::time::sleep(Duration::from_secs(30)).await;
    "late".into_response()
}

async fn flaky(State(hits): Hits, Path(times): Path<usize>) -> Response {
    let hit = hits.fetch_add(1, Ordering::SeqCst) + 1;
    match hit <= times {
        true => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "").into_response(),
        false => "at last".into_response(),
    }
}

const GET: &str = r#"
local ok, result = pcall(function()
    local given = args.options or {}
    if given.verb then
        local verb, url = given.verb, given.url
        given.verb, given.url = nil, nil
        return ctx.http[verb](ctx.http, url, given)
    end
    return ctx.http:request(given)
end)
if not ok then
    return { kind = result.kind, code = result.code, message = tostring(result) }
end
local decoded, value = pcall(function() return result:json() end)
return { status = result.status, headers = result.headers, body = if decoded then value else #result.body,
    url = result.url }
"#;

async fn asking(http: &[String], config: Value) -> TestHost {
    let host = TestHost::start().await;
    let more = format!(
        r#", "permissions": {{ "http": {}, "env": ["PATH", "MOONDOCK_TEST_UNSET"] }},
            "runtime": {{ "timeoutMs": 3000 }},
            "configSchema": {{ "type": "object", "properties": {{ "api": {{ "type": "string" }} }} }}"#,
        json!(http)
    );
    let code = getting(GET)
        .replace("auth = \"public\",", "auth = \"public\", args = { options = \"JSON\" },");
    let code = code.replace(
        "end\nreturn M",
        "builder:queryField(\"env\", { type = \"JSON\", auth = \"public\", resolve = function(_, _, ctx)\n\
         return { path = ctx.env.PATH, unset = ctx.env.MOONDOCK_TEST_UNSET, home = ctx.env.HOME } end })\n\
         end\nreturn M",
    );
    let manifest = manifest_with("asker", REGISTER, &more);
    host.plugin("asker", &[("manifest.json", &manifest), ("init.lua", &code)]).await;
    if !config.is_null() {
        let set = "mutation($i: SetPluginConfigInput!) { setPluginConfig(input: $i) { pluginId } }";
        host.data(ADMIN, set, json!({ "i": { "pluginId": "asker", "config": config } })).await;
    }
    host
}

async fn ask(host: &TestHost, options: Value) -> Value {
    let query = "query($o: JSON) { asker_get(options: $o) }";
    host.data(ADA, query, json!({ "o": options })).await["asker_get"].clone()
}

#[tokio::test]
async fn requests_are_sent_as_they_are_meant() {
    let there = Elsewhere::start().await;
    let base = format!("http://127.0.0.1:{}", there.port);
    let host = asking(std::slice::from_ref(&base), Value::Null).await;
    let url = format!("{base}/echo?a=1");
    let got = ask(
        &host,
        json!({ "verb": "get", "url": url, "query": { "b": [2, "x y"] },
                                 "headers": { "X-A": "1", "authorization": "Bearer t" } }),
    )
    .await;
    assert_eq!(got["status"], 200);
    assert_eq!(got["headers"]["content-type"], "application/json");
    let body = &got["body"];
    assert_eq!((&body["method"], &body["query"]), (&json!("GET"), &json!("a=1&b=2&b=x+y")));
    assert_eq!((&body["x"], &body["auth"]), (&json!("1"), &json!("Bearer t")));
    assert!(body["agent"].as_str().unwrap().starts_with("moondock/"));
    for (options, kind, sent) in [
        (json!({ "json": { "l": [null, 1] } }), "application/json", r#"{"l":[null,1]}"#),
        (
            json!({ "form": { "a": "1 2", "b": true } }),
            "application/x-www-form-urlencoded",
            "a=1+2&b=true",
        ),
        (json!({ "body": "é", "headers": { "content-type": "text/x" } }), "text/x", "é"),
    ] {
        for verb in ["post", "put", "patch", "delete"] {
            let mut options = options.clone();
            options["verb"] = json!(verb);
            options["url"] = json!(format!("{base}/echo"));
            let body = &ask(&host, options).await["body"];
            assert_eq!(body["method"], verb.to_uppercase());
            assert_eq!((&body["type"], &body["body"]), (&json!(kind), &json!(sent)));
        }
    }
    let parts = json!([{ "name": "f", "value": "text", "filename": "a.txt" }]);
    let got =
        ask(&host, json!({ "method": "post", "url": format!("{base}/echo"), "multipart": parts }))
            .await;
    assert!(got["body"]["type"].as_str().unwrap().starts_with("multipart/form-data; boundary="));
    assert!(got["body"]["body"].as_str().unwrap().contains("filename=\"a.txt\""));
    // Any status is a response.
    for status in [204, 404, 500] {
        let got = ask(&host, json!({ "url": format!("{base}/status/{status}") })).await;
        assert_eq!(got["status"], status);
        assert_eq!(got["headers"]["x-multi"], "a, b");
    }
    host.stop().await;
}

#[tokio::test]
async fn wrong_requests_say_what_is_wrong() {
    let host = asking(&["http://127.0.0.1:1".to_owned()], Value::Null).await;
    for (options, expected) in [
        (json!({}), "url is missing"),
        (json!({ "url": "nowhere" }), "the url \"nowhere\""),
        (json!({ "url": "http://127.0.0.1:1", "querry": {} }), "did you mean \"query\"?"),
        (json!({ "url": "http://127.0.0.1:1", "method": "a b" }), "method is no HTTP method"),
        (json!({ "url": "http://127.0.0.1:1", "json": 1, "body": "x" }), "there is one body"),
        (json!({ "url": "http://127.0.0.1:1", "body": 7 }), "body is a string"),
        (
            json!({ "url": "http://127.0.0.1:1", "headers": { "host": "x" } }),
            "set by the host itself",
        ),
        (json!({ "url": "http://127.0.0.1:1", "headers": { "x": "a\r\nb: c" } }), "characters"),
        (json!({ "url": "http://127.0.0.1:1", "form": { "a": { "b": 1 } } }), "\"a\" is a object"),
        (json!({ "url": "http://127.0.0.1:1", "timeoutMs": 0 }), "timeoutMs"),
        (json!({ "url": "http://127.0.0.1:1", "retries": 99 }), "retries"),
    ] {
        let got = ask(&host, options.clone()).await;
        assert!(got["message"].as_str().is_some_and(|m| m.contains(expected)), "{options}: {got}");
    }
    host.stop().await;
}

#[tokio::test]
async fn what_gives_no_response_has_a_kind() {
    let there = Elsewhere::start().await;
    let base = format!("http://127.0.0.1:{}", there.port);
    let tls = format!("https://127.0.0.1:{}", there.port);
    let host = asking(&[base.clone(), tls.clone(), "http://127.0.0.1:1".into()], Value::Null).await;
    for (url, kind) in [
        (format!("{base}/slow"), "timeout"),
        (format!("{base}/large/9000000"), "tooLarge"),
        ("http://127.0.0.1:1/".to_owned(), "connect"),
        (format!("{tls}/"), "tls"),
        ("ftp://127.0.0.1/".to_owned(), "denied"),
    ] {
        let got = ask(&host, json!({ "url": url, "timeoutMs": 400 })).await;
        assert_eq!(got["kind"], kind, "{url}: {got}");
    }
    // A request that would take longer than the call ends in time to be caught.
    let got = ask(&host, json!({ "url": format!("{base}/slow") })).await;
    assert_eq!(got["kind"], "timeout");
    let got = ask(&host, json!({ "url": format!("{base}/large/4000000") })).await;
    assert_eq!(got["status"], 200);
    host.stop().await;
}

#[tokio::test]
async fn retries_are_made_when_asked_for() {
    let there = Elsewhere::start().await;
    let base = format!("http://127.0.0.1:{}", there.port);
    let host = asking(std::slice::from_ref(&base), Value::Null).await;
    let url = format!("{base}/flaky/2");
    assert_eq!(ask(&host, json!({ "url": url })).await["status"], 503);
    assert_eq!(there.hits(), 1);
    assert_eq!(ask(&host, json!({ "url": url, "retries": 3 })).await["status"], 200);
    assert_eq!(there.hits(), 3);
    there.hits.store(0, Ordering::SeqCst);
    let url = format!("{base}/flaky/9");
    assert_eq!(ask(&host, json!({ "url": url, "retries": 2 })).await["status"], 503);
    assert_eq!(there.hits(), 3);
    host.stop().await;
}

#[tokio::test]
async fn redirects_are_followed_to_where_it_is_granted() {
    let (there, other) = (Elsewhere::start().await, Elsewhere::start().await);
    let base = format!("http://127.0.0.1:{}", there.port);
    let next = format!("http://localhost:{}", other.port);
    let host = asking(&[base.clone(), next.clone()], Value::Null).await;
    let to = |status: u16, url: &str| format!("{base}/to?{status}:{url}");
    let auth = json!({ "authorization": "Bearer t" });
    let got = ask(&host, json!({ "url": to(302, "/echo"), "headers": auth })).await;
    assert_eq!(
        (&got["body"]["auth"], &got["url"]),
        (&json!("Bearer t"), &json!(format!("{base}/echo")))
    );
    let got = ask(&host, json!({ "url": to(302, &format!("{next}/echo")), "headers": auth })).await;
    assert_eq!((&got["status"], &got["body"]["auth"]), (&json!(200), &Value::Null));
    for (status, method, body) in
        [(303, "GET", ""), (302, "GET", ""), (307, "POST", "x"), (308, "POST", "x")]
    {
        let got =
            ask(&host, json!({ "url": to(status, "/echo"), "method": "POST", "body": "x" })).await;
        let seen = (&got["body"]["method"], &got["body"]["body"]);
        assert_eq!(seen, (&json!(method), &json!(body)), "{status}");
    }
    let before = other.hits();
    for url in [
        format!("http://127.0.0.1:{}/echo", other.port),
        format!("http://[::ffff:127.0.0.1]:{}/echo", other.port),
        format!("http://0x7f.1:{}/echo", other.port),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        let got = ask(&host, json!({ "url": to(302, &url) })).await;
        assert_eq!(got["kind"], "denied", "{url}: {got}");
    }
    assert_eq!(other.hits(), before);
    let endless =
        ask(&host, json!({ "url": to(302, &format!("{base}/to?302:{base}/to?302:/x")) })).await;
    assert!(endless["status"] == 404 || endless["kind"] == "connect", "{endless}");
    host.stop().await;
}

#[tokio::test]
async fn nothing_private_is_reached_without_being_named() {
    let there = Elsewhere::start().await;
    let port = there.port;
    // Any host is granted, but none that is on this machine, or in its network.
    let host = asking(&["https://*".into(), "http://*".into()], Value::Null).await;
    for url in [
        format!("http://127.0.0.1:{port}/echo"),
        format!("http://127.1:{port}/echo"),
        format!("http://2130706433:{port}/echo"),
        format!("http://0x7f000001:{port}/echo"),
        format!("http://0177.0.0.1:{port}/echo"),
        format!("http://0.0.0.0:{port}/echo"),
        format!("http://[::1]:{port}/echo"),
        format!("http://[::ffff:127.0.0.1]:{port}/echo"),
        format!("http://[::ffff:7f00:1]:{port}/echo"),
        format!("http://[64:ff9b::7f00:1]:{port}/echo"),
        format!("http://[2002:7f00:1::]:{port}/echo"),
        // Names, which lead here only when they are resolved.
        format!("http://localhost:{port}/echo"),
        format!("http://localhost.:{port}/echo"),
        format!("http://LOCALHOST:{port}/echo"),
        format!("http://１２７.０.０.１:{port}/echo"),
        format!("http://example.com@127.0.0.1:{port}/echo"),
        format!("http://127.0.0.1:{port}\\@example.com/echo"),
        format!("http://127.0.0.1:{port}#@example.com/echo"),
        format!("http:127.0.0.1:{port}/echo"),
        format!("http:\\\\127.0.0.1:{port}\\echo"),
        format!("http://\t127.0.0.1:{port}/echo"),
        "http://10.0.0.1/".into(),
        "http://192.168.1.1/".into(),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[fd00:ec2::254]/".into(),
        "http://100.100.100.200/".into(),
        "file:///etc/passwd".into(),
        "gopher://127.0.0.1:6379/_x".into(),
        "unix:/var/run/docker.sock".into(),
    ] {
        let got = ask(&host, json!({ "url": url, "timeoutMs": 1000 })).await;
        assert!(got.get("status").is_none(), "{url}: {got}");
        // Some systems do not know this name.
        let is_unknown = url.contains("localhost.:") && got["kind"] == "connect";
        assert!(got["kind"] == "denied" || is_unknown, "{url}: {got}");
    }
    assert_eq!(there.hits(), 0);
    host.stop().await;
}

#[tokio::test]
async fn a_refusal_names_the_grant_and_the_command() {
    let there = Elsewhere::start().await;
    let base = format!("http://127.0.0.1:{}", there.port);
    let host = asking(&["config.api".to_owned()], json!({ "api": format!("{base}/v1") })).await;
    // The origin of what is configured, whatever comes after it.
    assert_eq!(ask(&host, json!({ "url": format!("{base}/echo") })).await["status"], 200);
    let got = ask(&host, json!({ "url": "https://api.example.com/x" })).await;
    assert_eq!((&got["kind"], &got["code"]), (&json!("denied"), &json!("forbidden")));
    let message = got["message"].as_str().unwrap();
    assert!(
        message.contains("moondock plugin grant asker --http https://api.example.com"),
        "{message}"
    );
    let env = host.data(ADA, "{ asker_env }", Value::Null).await["asker_env"].clone();
    assert_eq!(env, json!({ "path": std::env::var("PATH").unwrap() }));
    host.stop().await;
}
