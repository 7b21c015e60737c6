//! What handlers get, and what becomes of what they return.

use reqwest::Response;
use serde_json::{Value, json};

use super::{ask, count, hooks, read};
use crate::support::{ADMIN, TestHost};

const WEBHOOKS: &str = r#"
    { "path": "/", "handler": "echo" },
    { "path": "/echo", "handler": "echo" },
    { "path": "/echo", "method": "GET", "handler": "echo" },
    { "path": "/orders/:id/items/:item", "method": "PUT", "handler": "echo" },
    { "path": "/orders/:order", "method": "DELETE", "handler": "echo" },
    { "path": "/orders/:id", "method": "PATCH", "handler": "echo" },
    { "path": "/own", "method": "OPTIONS", "handler": "echo" },
    { "path": "/do/:what", "handler": "act" }"#;

const CODE: &str = r#"
function M.echo(request, ctx)
    table.insert(log, request.method)
    return { method = request.method, path = request.path, params = request.params,
        query = request.query, headers = request.headers, body = request.body,
        raw = #request.rawBody, ip = request.ip, user = ctx.user and ctx.user.name,
        full = ctx.request.path, id = ctx.request.id }
end
local acts = {
    table = function() return { 1, 2 } end,
    empty = function() return {} end,
    text = function() return "hello" end,
    bytes = function() return "\255\0" end,
    nothing = function() end,
    reply = function(ctx) return ctx:reply(418, "<p>", { ["Content-Type"] = "text/html", ["x-a"] = { "1", "2" } }) end,
    moved = function(ctx) return ctx:reply(302, nil, { location = "/elsewhere" }) end,
    json = function(ctx) return ctx:reply(201, { id = 7 }) end,
    number = function() return 7 end,
    raises = function() error("a secret of the plugin") end,
    fails = function(ctx) ctx:fail("forbidden", "not you", { hint = "ask" }) end,
    odd = function(ctx) ctx:fail("odd_one") end,
    invalid = function(ctx) ctx:invalid{ { path = { "amount" }, message = "too much" } } end,
    loops = function() while true do end end,
    hogs = function() local t = {} while true do table.insert(t, string.rep("x", 1e6) .. #t) end end,
    split = function(ctx) return ctx:reply(200, nil, { a = "1\r\nset-cookie: x=1" }) end,
}
function M.act(request, ctx)
    return acts[request.params.what](ctx)
end
"#;

async fn started() -> TestHost {
    let host = TestHost::start_with(|settings| settings.body_limit = 100_000).await;
    hooks(&host, WEBHOOKS, r#", "runtime": { "timeoutMs": 300 }"#, CODE).await;
    host
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn handlers_get_the_request() {
    let host = started().await;
    let headers = [
        ("content-type", "application/json"),
        ("Authorization", "Bearer of the sender"),
        ("cookie", "a=1"),
        ("X-Twice", "1"),
        ("x-request-id", "req-7"),
    ];
    let body = r#"{ "a": [1, null], "b": "é" }"#;
    let (status, got) = read(ask(&host, "POST", "/echo?q=1&q=2&r=%20", &headers, body).await).await;
    assert_eq!(status, 200, "{got}");
    assert_eq!(got["method"], "POST");
    assert_eq!(got["path"], "/echo");
    assert_eq!(got["full"], "/api/plugins/hooks/webhook/echo");
    assert_eq!(got["query"], json!({ "q": "1", "r": " " }));
    assert_eq!(got["body"], json!({ "a": [1, null], "b": "é" }));
    assert_eq!(got["raw"], body.len());
    assert_eq!(got["headers"]["authorization"], "Bearer of the sender");
    assert_eq!(got["headers"]["cookie"], "a=1");
    assert_eq!(got["ip"], "127.0.0.1");
    assert_eq!(got["id"], "req-7");
    // The sender's credentials are no user's.
    assert_eq!(got.get("user"), None);

    for (method, path, params, seen) in [
        (
            "PUT",
            "/orders/7/items/a%2Fb/",
            json!({ "id": "7", "item": "a/b" }),
            "/orders/7/items/a%2Fb",
        ),
        ("DELETE", "/orders/x", json!({ "order": "x" }), "/orders/x"),
        ("PATCH", "/orders/x", json!({ "id": "x" }), "/orders/x"),
        ("POST", "", json!({}), "/"),
        ("POST", "/", json!({}), "/"),
        ("POST", "/echo/", json!({}), "/echo"),
    ] {
        let (status, got) = read(ask(&host, method, path, &[], "").await).await;
        assert_eq!((status, &got["params"], &got["path"]), (200, &params, &json!(seen)), "{path}");
        assert_eq!(got.get("body"), None);
    }
    for (media, sent, body) in [
        (
            "application/x-www-form-urlencoded",
            "a=1+2&b=%C3%A9&a=3",
            json!({ "a": "1 2", "b": "é" }),
        ),
        ("text/plain", "{}", json!("{}")),
        ("application/vnd.hook+json", "[1]", json!([1])),
        ("", "x", json!("x")),
    ] {
        let headers = if media.is_empty() { vec![] } else { vec![("content-type", media)] };
        let (_, got) = read(ask(&host, "POST", "/echo", &headers, sent).await).await;
        assert_eq!(got["body"], body, "{media}");
    }
    host.stop().await;
}

#[tokio::test]
async fn results_are_responses() {
    let host = started().await;
    for (what, status, media, body) in [
        ("table", 200, "application/json", json!([1, 2])),
        ("empty", 200, "application/json", json!({})),
        ("text", 200, "text/plain; charset=utf-8", json!("hello")),
        ("nothing", 204, "", json!("")),
        ("reply", 418, "text/html", json!("<p>")),
        ("json", 201, "application/json", json!({ "id": 7 })),
    ] {
        let response = ask(&host, "POST", &format!("/do/{what}"), &[], "").await;
        assert_eq!(header(&response, "content-type"), media, "{what}");
        assert!(!header(&response, "x-request-id").is_empty());
        assert_eq!(read(response).await, (status, body), "{what}");
    }
    let response = ask(&host, "POST", "/do/bytes", &[], "").await;
    assert_eq!(header(&response, "content-type"), "application/octet-stream");
    assert_eq!(response.bytes().await.unwrap(), &b"\xff\0"[..]);
    let response = ask(&host, "POST", "/do/reply", &[], "").await;
    assert_eq!(response.headers().get_all("x-a").iter().count(), 2);
    host.stop().await;
}

#[tokio::test]
async fn methods_are_as_http_has_them() {
    let host = started().await;
    let get = ask(&host, "GET", "/echo", &[], "").await;
    let head = ask(&host, "HEAD", "/echo", &[], "").await;
    assert_eq!((head.status().as_u16(), header(&head, "content-type")), (200, "application/json"));
    assert!(!header(&head, "content-length").is_empty());
    assert!(get.text().await.unwrap().contains("GET"));
    assert_eq!(head.text().await.unwrap(), "");
    let options = ask(&host, "OPTIONS", "/echo", &[], "").await;
    assert_eq!(header(&options, "allow"), "GET, HEAD, OPTIONS, POST");
    assert_eq!(read(options).await, (204, json!("")));
    let (status, own) = read(ask(&host, "OPTIONS", "/own", &[], "").await).await;
    assert_eq!((status, &own["method"]), (200, &json!("OPTIONS")));
    for (method, path, allow) in [
        ("DELETE", "/echo", "GET, HEAD, OPTIONS, POST"),
        ("HEAD", "/", "OPTIONS, POST"),
        ("POST", "/orders/7", "DELETE, OPTIONS, PATCH"),
        ("BREW", "/", "OPTIONS, POST"),
    ] {
        let response = ask(&host, method, path, &[], "").await;
        assert_eq!(response.status(), 405, "{method} {path}");
        assert_eq!(header(&response, "allow"), allow, "{method} {path}");
    }
    host.stop().await;
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let host = started().await;
    for path in ["/none", "/orders", "/orders//items/7", "/orders/7/items/8/9", "//"] {
        let (status, got) = read(ask(&host, "POST", path, &[], "").await).await;
        assert_eq!((status, &got["error"]), (404, &json!("not_found")), "{path}");
        assert!(got["message"].is_string());
    }
    for path in ["other/webhook/echo", "hooks/webhooks", "hooks", "hooks/", "Hooks/webhook/echo"] {
        let url = format!("{}/api/plugins/{path}", host.url);
        let response = host.client.post(url).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(read(response).await.1["error"], "not_found", "{path}");
    }
    assert_eq!(count(&host).await, 0);
    // It goes and comes with the plugin.
    host.host.manager().deactivate("hooks", false).await.unwrap();
    assert_eq!(ask(&host, "POST", "/echo", &[], "").await.status(), 404);
    host.host.manager().activate("hooks").await.unwrap();
    assert_eq!(ask(&host, "POST", "/echo", &[], "").await.status(), 200);
    host.stop().await;
}

#[tokio::test]
async fn errors_tell_senders_what_is_for_them_only() {
    let host = started().await;
    for (what, status, code) in [
        ("fails", 403, "forbidden"),
        ("odd", 400, "odd_one"),
        ("invalid", 400, "invalid_arguments"),
    ] {
        let (got, body) = read(ask(&host, "POST", &format!("/do/{what}"), &[], "").await).await;
        assert_eq!((got, &body["error"]), (status, &json!(code)), "{what}: {body}");
    }
    let (_, body) = read(ask(&host, "POST", "/do/fails", &[], "").await).await;
    let expected =
        json!({ "error": "forbidden", "message": "not you", "extensions": { "hint": "ask" } });
    assert_eq!(body, expected);
    for (what, status, recorded) in [
        ("raises", 500, "a secret of the plugin"),
        ("none", 500, "attempt to call a nil value"),
        ("number", 500, "it returned a"),
        ("split", 500, "characters that no header may have"),
        ("loops", 504, "time limit"),
        ("hogs", 500, "memory limit"),
    ] {
        let path = format!("/do/{what}");
        let response = ask(&host, "POST", &path, &[("x-request-id", "r-7")], "").await;
        assert!(response.headers().get("set-cookie").is_none());
        let (got, body) = read(response).await;
        assert_eq!(
            (got, &body["error"], &body["requestId"]),
            (status, &json!("unexpected"), &json!("r-7")),
            "{what}: {body}"
        );
        assert!(!body.to_string().contains("secret") && !body.to_string().contains("init.lua"));
        let query =
            r#"{ getPlugins(input: { pluginId: "hooks" }) { status errors { phase message } } }"#;
        let plugin = host.data(ADMIN, query, Value::Null).await["getPlugins"][0].clone();
        assert_eq!(plugin["status"], "ACTIVE");
        let message = plugin["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(recorded), "{what}: {plugin}");
    }
    // And all of that does no harm.
    assert_eq!(ask(&host, "POST", "/echo", &[], "").await.status(), 200);
    host.stop().await;
}

#[tokio::test]
async fn bodies_have_a_limit_and_must_be_what_they_say() {
    let host = started().await;
    let json = [("content-type", "application/json")];
    for (body, status, code) in [
        ("{\"a\":", 400, "malformed_body"),
        ("[1,]", 400, "malformed_body"),
        (&"[".repeat(1_000), 400, "malformed_body"),
        ("\"\\ud800\"", 400, "malformed_body"),
        (&"x".repeat(100_001), 413, "payload_too_large"),
    ] {
        let (got, answer) = read(ask(&host, "POST", "/echo", &json, body.to_owned()).await).await;
        assert_eq!((got, &answer["error"]), (status, &json!(code)), "{answer}");
    }
    assert_eq!(count(&host).await, 0);
    let all = "x".repeat(100_000);
    let (status, got) = read(ask(&host, "POST", "/echo", &[], all).await).await;
    assert_eq!((status, &got["raw"]), (200, &json!(100_000)));
    host.stop().await;
}
