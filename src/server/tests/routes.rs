//! The routes beside GraphQL.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_process_is_up_whatever_else_is_not() {
    let server = server().await;
    server.ready.store(false, Ordering::Release);
    server.services.store.close().await;
    let reply = server.get("*/*", "/healthz").await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, r#"{"status":"ok"}"#));
}

#[tokio::test]
async fn readiness_says_which_check_failed() {
    let server = server().await;
    let reply = server.get("*/*", "/readyz").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["status"], "ok");
    server.ready.store(false, Ordering::Release);
    let reply = server.get("*/*", "/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["checks"], json!({ "database": "ok", "plugins": "loading" }));
    server.services.store.close().await;
    let reply = server.get("*/*", "/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["checks"], json!({ "database": "failed", "plugins": "loading" }));
}

#[tokio::test]
async fn health_ignores_credentials_and_answers_head() {
    let server = server().await;
    for uri in ["/healthz", "/readyz"] {
        let request = Request::head(uri).header("authorization", "Bearer wrong");
        let reply = server.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.text, "");
        let reply = server.ask(Request::post(uri).body(Body::empty()).unwrap()).await;
        assert_eq!(reply.status, 405);
        assert_eq!(reply.header("allow"), "GET,HEAD");
        assert_eq!(reply.json()["error"], "method_not_allowed");
    }
}

#[tokio::test]
async fn unknown_routes_are_json_too() {
    let server = server().await;
    for uri in ["/", "/nope", "/graphql/", "/%22"] {
        let reply = server.get("text/html", uri).await;
        assert_eq!(reply.status, 404);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.json()["error"], "not_found");
        assert!(reply.json()["message"].is_string());
    }
}
