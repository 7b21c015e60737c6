//! Signatures, as senders make them.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use rstest::rstest;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{ask, count, hooks, read};
use crate::databases::On;
use crate::support::{ADMIN, TestHost};

const WEBHOOKS: &str = r#"
    { "path": "/standard", "handler": "take", "verify": { "scheme": "standard-webhooks", "secret": "config.standard" } },
    { "path": "/standard/again", "handler": "take", "verify": { "scheme": "standard-webhooks", "secret": "config.standard" } },
    { "path": "/stripe", "handler": "take", "verify": { "scheme": "stripe", "secret": "config.stripe" } },
    { "path": "/github", "handler": "take", "verify": { "scheme": "github", "secret": "config.github" } },
    { "path": "/razorpay", "handler": "take", "verify": { "scheme": "hmac-sha256", "secret": "config.hmac", "header": "X-Razorpay-Signature" } },
    { "path": "/base64", "handler": "take", "verify": { "scheme": "hmac-sha256", "secret": "config.hmac", "header": "x-sig", "encoding": "base64", "prefix": "v0=" } },
    { "path": "/tenants/:tenant", "handler": "take", "verify": { "scheme": "github", "secretHandler": "secretOf" } },
    { "path": "/unset", "handler": "take", "verify": { "scheme": "github", "secret": "config.unset" } }"#;

const CONFIG: &str = r#", "configSchema": { "type": "object", "properties": {
    "standard": { "type": "string", "writeOnly": true },
    "stripe": { "type": "array", "items": { "type": "string" }, "writeOnly": true },
    "github": { "type": "string", "writeOnly": true },
    "hmac": { "type": "string", "writeOnly": true },
    "unset": { "type": "string", "writeOnly": true } } }"#;

const CODE: &str = r#"
function M.take(request, ctx)
    table.insert(log, request.path)
    if request.body and request.body.fail then
        ctx:fail("not_now")
    elseif request.body and request.body.slow then
        ctx.db:query("select 1")
    end
    return { got = request.body, id = #log }
end
function M.secretOf(request, ctx)
    if request.params.tenant == "none" then
        return nil
    elseif request.params.tenant == "broken" then
        error("a secret of the plugin")
    end
    return { "old", "key of " .. request.params.tenant }
end
"#;

/// Of the documentation of Standard Webhooks.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn started(on: On) -> TestHost {
    let settings = on.settings().await;
    let host = TestHost::start_with(settings).await;
    hooks(&host, WEBHOOKS, CONFIG, CODE).await;
    let config = json!({
        "standard": STANDARD_SECRET, "stripe": ["whsec_old", "whsec_new"],
        "github": "It's a Secret to Everybody", "hmac": "key",
    });
    let set = "mutation($i: SetPluginConfigInput!) { setPluginConfig(input: $i) { pluginId } }";
    host.data(ADMIN, set, json!({ "i": { "pluginId": "hooks", "config": config } })).await;
    host
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn now(shift: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (now.as_secs() as i64 + shift).to_string()
}

fn standard(id: &str, at: &str, body: &str) -> String {
    let key = STANDARD.decode(&STANDARD_SECRET[6..]).unwrap();
    format!("v1,{}", STANDARD.encode(mac(&key, &format!("{id}.{at}.{body}"))))
}

async fn send_standard(
    host: &TestHost,
    path: &str,
    id: &str,
    at: &str,
    body: &str,
) -> (u16, Value) {
    let signature = standard(id, at, body);
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", at),
        ("webhook-signature", &signature),
        ("content-type", "application/json"),
    ];
    read(ask(host, "POST", path, &headers, body.to_owned()).await).await
}

#[rstest]
#[tokio::test]
async fn standard_webhooks(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = started(on).await;
    let at = now(0);
    let (status, got) = send_standard(&host, "/standard", "msg_1", &at, "{\"n\":1}").await;
    assert_eq!((status, &got["got"]), (200, &json!({ "n": 1 })));
    // The same message again, later too, is not handled again.
    for at in [at.clone(), now(1)] {
        let again = send_standard(&host, "/standard", "msg_1", &at, "{\"n\":1}").await;
        assert_eq!(again, (200, json!({ "duplicate": true })));
    }
    // To another webhook it is another message.
    let (status, _) = send_standard(&host, "/standard/again", "msg_1", &at, "{\"n\":1}").await;
    assert_eq!((status, count(&host).await), (200, 2));
    // What the handler refuses may come again.
    for _ in 0..2 {
        let (status, _) = send_standard(&host, "/standard", "msg_2", &at, "{\"fail\":true}").await;
        assert_eq!(status, 400);
    }
    assert_eq!(count(&host).await, 4);
    // Too old, too new, not a time.
    for at in [now(-301), now(302), "".into(), "1e9".into(), "99999999999999".into(), "-1".into()] {
        let (status, got) = send_standard(&host, "/standard", "msg_3", &at, "{}").await;
        let expected = if at.is_empty() { 400 } else { 401 };
        assert_eq!(status, expected, "{at}: {got}");
    }
    for at in [now(-295), now(295)] {
        let (status, _) = send_standard(&host, "/standard", &format!("at{at}"), &at, "{}").await;
        assert_eq!(status, 200, "{at}");
    }
    // One of several signatures is enough; another message's is none.
    let right = standard("msg_4", &at, "{}");
    let several = format!("v1a,xx v1,AAAA {right}");
    let wrong = standard("msg_5", &at, "{}");
    for (signature, expected) in [
        (&*several, 200),
        (&*wrong, 401),
        (&right[3..], 401),
        ("v1,", 401),
        ("v1", 401),
        ("v1,%%%", 401),
        ("", 400),
    ] {
        let headers =
            [("webhook-id", "msg_4"), ("webhook-timestamp", &at), ("webhook-signature", signature)];
        let response = ask(&host, "POST", "/standard", &headers, "{}").await;
        assert_eq!(response.status(), expected, "{signature}");
    }
    for missing in 0..3 {
        let mut headers = vec![
            ("webhook-id", "msg_6"),
            ("webhook-timestamp", &at),
            ("webhook-signature", &right),
        ];
        headers.remove(missing);
        let (status, got) = read(ask(&host, "POST", "/standard", &headers, "{}").await).await;
        assert_eq!((status, &got["error"]), (400, &json!("signature_missing")));
    }
    assert_eq!(count(&host).await, 7);
    host.stop().await;
}

#[tokio::test]
async fn one_message_at_a_time() {
    let host = started(On::Sqlite).await;
    let at = now(0);
    let sent = (0..20).map(|_| send_standard(&host, "/standard", "msg_1", &at, "{\"n\":1}"));
    let answers = futures_util::future::join_all(sent).await;
    assert_eq!(count(&host).await, 1, "{answers:?}");
    let handled = answers.iter().filter(|(_, got)| got["id"] == 1).count();
    assert_eq!(handled, 1);
    assert!(answers.iter().all(|(status, _)| [200, 409].contains(status)), "{answers:?}");
    host.stop().await;
}

#[tokio::test]
async fn stripe() {
    let host = started(On::Sqlite).await;
    let body = r#"{"id":"evt_1","type":"charge"}"#;
    let sign = |key: &str, at: &str| hex::encode(mac(key.as_bytes(), &format!("{at}.{body}")));
    let at = now(0);
    let send = async |header: String| {
        let headers = [("stripe-signature", &*header), ("content-type", "application/json")];
        read(ask(&host, "POST", "/stripe", &headers, body).await).await
    };
    for (header, expected) in [
        (format!("v1={}", sign("whsec_new", &at)), 400),
        (format!("t={at}"), 400),
        (format!("t={at},v0={}", sign("whsec_new", &at)), 400),
        (format!("t={at},v1={}", sign("whsec_other", &at)), 401),
        (format!("t={},v1={}", now(-400), sign("whsec_new", &at)), 401),
        (format!("t={0},v1={1}", now(-400), sign("whsec_new", &now(-400))), 401),
        (format!("t={at},v1=zz,v1={}", sign("whsec_new", &at)), 200),
    ] {
        assert_eq!(send(header.clone()).await.0, expected, "{header}");
    }
    // Sent again, an event has another signature, but is the same.
    let later = now(2);
    let again = send(format!("t={later},v1={}", sign("whsec_old", &later))).await;
    assert_eq!(again, (200, json!({ "duplicate": true })));
    assert_eq!(count(&host).await, 1);
    host.stop().await;
}

#[tokio::test]
async fn github_and_other_hashes() {
    let host = started(On::Sqlite).await;
    // Of GitHub's documentation.
    let known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    for (signature, expected) in [
        (known, 200),
        (&known[7..], 401),
        ("sha256=", 401),
        ("sha256=7", 401),
        ("sha1=757107ea0eb2509fc211221cce984b8a37570b6d", 401),
        (&known.replace('7', "8"), 401),
    ] {
        let headers = [("x-hub-signature-256", signature), ("x-github-delivery", "d-1")];
        let response = ask(&host, "POST", "/github", &headers, "Hello, World!").await;
        assert_eq!(response.status(), expected, "{signature}");
    }
    let headers = [("x-hub-signature-256", known), ("x-github-delivery", "d-1")];
    let again = read(ask(&host, "POST", "/github", &headers, "Hello, World!").await).await;
    assert_eq!(again, (200, json!({ "duplicate": true })));
    assert_eq!(ask(&host, "POST", "/github", &[], "Hello, World!").await.status(), 400);

    let hash = mac(b"key", "x");
    let (lower, upper) = (hex::encode(&hash), hex::encode_upper(&hash));
    let base64 = format!("v0={}", STANDARD.encode(&hash));
    for (path, header, signature, expected) in [
        ("/razorpay", "x-razorpay-signature", &*lower, 200),
        ("/razorpay", "x-razorpay-signature", &*upper, 200),
        ("/razorpay", "x-razorpay-signature", &lower[2..], 401),
        ("/razorpay", "x-other", &*lower, 400),
        ("/base64", "x-sig", &*base64, 200),
        ("/base64", "x-sig", &base64[3..], 401),
        ("/base64", "x-sig", &lower, 401),
    ] {
        let response = ask(&host, "POST", path, &[(header, signature)], "x").await;
        assert_eq!(response.status(), expected, "{path} {signature}");
    }
    assert_eq!(count(&host).await, 4);
    host.stop().await;
}

#[tokio::test]
async fn a_plugin_may_know_the_secrets_itself() {
    let host = started(On::Sqlite).await;
    for (tenant, key, expected) in [
        ("a", "key of a", 200),
        ("a", "old", 200),
        ("a", "key of b", 401),
        ("none", "", 401),
        ("none", "key of none", 401),
        ("broken", "key of broken", 500),
    ] {
        let signature = format!("sha256={}", hex::encode(mac(key.as_bytes(), "x")));
        let headers = [("x-hub-signature-256", &*signature)];
        let response = ask(&host, "POST", &format!("/tenants/{tenant}"), &headers, "x").await;
        let (status, body) = read(response).await;
        assert_eq!(status, expected, "{tenant} {key}: {body}");
        assert!(!body.to_string().contains("a secret of"), "{body}");
    }
    assert_eq!(count(&host).await, 2);
    host.stop().await;
}

#[tokio::test]
async fn without_a_secret_nobody_gets_in() {
    let host = started(On::Sqlite).await;
    for key in ["", "undefined", "null"] {
        let signature = format!("sha256={}", hex::encode(mac(key.as_bytes(), "x")));
        let headers = [("x-hub-signature-256", &*signature)];
        let (status, got) = read(ask(&host, "POST", "/unset", &headers, "x").await).await;
        assert_eq!((status, &got["error"]), (500, &json!("unexpected")));
    }
    assert_eq!(count(&host).await, 0);
    let query = r#"{ getPlugins(input: { pluginId: "hooks" }) { errors { message } } }"#;
    let told = host.data(ADMIN, query, Value::Null).await.to_string();
    assert!(told.contains("config.unset"), "{told}");
    host.stop().await;
}

#[tokio::test]
async fn a_refusal_takes_as_long_as_any_other() {
    // Not a measurement of a machine: it must not depend on how much of the signature is right.
    let host = started(On::Sqlite).await;
    let right = hex::encode(mac(b"key", "x"));
    let mut wrong_at_end = right.clone();
    wrong_at_end.replace_range(62.., if right.ends_with("00") { "01" } else { "00" });
    for signature in [&*wrong_at_end, &"0".repeat(64)] {
        let headers = [("x-razorpay-signature", signature)];
        let (status, got) = read(ask(&host, "POST", "/razorpay", &headers, "x").await).await;
        let expected =
            json!({ "error": "signature_refused", "message": "The signature is not valid." });
        assert_eq!((status, got), (401, expected));
    }
    assert_eq!(Duration::from_secs(300), moondock::extension::webhooks::verify::TOLERANCE);
    host.stop().await;
}
