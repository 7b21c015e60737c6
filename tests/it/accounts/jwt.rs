//! Users of another identity provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use moondock::settings::Secret;
use serde_json::{Value, json};

use super::{host_with, who};
use crate::support::TestHost;

const SECRET: &str = "a secret of at least 32 characters";

/// A key pair of P-256, made for these tests.
const EC_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6aRvq1KvvYCr1wpS
TOs0PB7XDPjcnw1i+ZgJ0meI85OhRANCAATn7Zm0ihLorQAoWjmWgkiIcH0tk6GU
seuwmK9VoKmW3FM2pxIqLOb0SamKGFb0O+lDpBcZng5kKtZ+epzm6bTb
-----END PRIVATE KEY-----
";

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({
        "sub": "ada-7", "name": "Ada", "email": "ada@example.com", "iss": "https://id.example.com",
        "aud": "moondock", "exp": now() + 600, "roles": ["staff"],
    })
}

fn with(changes: Value) -> Value {
    let mut all = claims();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(key);
        } else {
            all[key] = value.clone();
        }
    }
    all
}

fn hs(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn es(claims: &Value, kid: Option<&str>) -> String {
    let key = EncodingKey::from_ec_pem(EC_KEY.as_bytes()).unwrap();
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
    encode(&header, claims, &key).unwrap()
}

fn key_set(kid: &str) -> JwkSet {
    let key = EncodingKey::from_ec_pem(EC_KEY.as_bytes()).unwrap();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some(kid.to_owned());
    JwkSet { keys: vec![jwk] }
}

async fn host(jwks: Option<String>) -> TestHost {
    host_with(|settings| {
        settings.jwt.secret = jwks.is_none().then(|| Secret::new(SECRET));
        settings.jwt.jwks = jwks;
        settings.jwt.issuer = Some("https://id.example.com".into());
        settings.jwt.audience = Some("moondock".into());
        settings.jwt.role_claim = Some("roles".into());
        settings.jwt.administrator = Some("boss".into());
    })
    .await
}

#[tokio::test]
async fn a_signed_token_is_a_user() {
    let host = host(None).await;
    let query = "{ currentUser { id name emailAddress role } }";
    let me = host.data(&hs(&claims()), query, json!({})).await["currentUser"].clone();
    assert_eq!(
        (&me["name"], &me["emailAddress"], &me["role"]),
        (&json!("Ada"), &json!("ada@example.com"), &json!("regular"))
    );
    uuid::Uuid::try_parse(me["id"].as_str().unwrap()).unwrap();
    // The same person has the same id; a UUID stays what it is.
    let again = host.data(&hs(&with(json!({ "name": "A" }))), query, json!({})).await;
    assert_eq!(again["currentUser"]["id"], me["id"]);
    let id = "2f1a9c9e-0000-4000-8000-000000000000";
    let own = host.data(&hs(&with(json!({ "sub": id }))), query, json!({})).await;
    assert_eq!(own["currentUser"]["id"], id);
    for roles in [json!("boss"), json!(["staff", "boss"])] {
        let boss = hs(&with(json!({ "roles": roles })));
        assert_eq!(
            host.data(&boss, "{ getPlugins { id } }", json!({})).await,
            json!({ "getPlugins": [] })
        );
    }
    for roles in [json!("bossy"), json!({ "boss": true }), json!(true), json!("administrator")] {
        let token = hs(&with(json!({ "roles": roles })));
        let refused = host.error(Some(&token), "{ getPlugins { id } }", json!({})).await;
        assert_eq!(refused["extensions"]["code"], "unauthorized_action");
    }
    host.stop().await;
}

#[tokio::test]
async fn what_is_not_right_in_every_way_is_refused() {
    use base64::Engine as _;
    let host = host(None).await;
    let encoded = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let good = hs(&claims());
    assert_eq!(who(&host, &good).await, "Ada");
    let parts: Vec<&str> = good.split('.').collect();
    let other_secret = EncodingKey::from_secret(b"another secret of 32 characters!!");
    let signed =
        |algorithm, key: &EncodingKey| encode(&Header::new(algorithm), &claims(), key).unwrap();
    let own = EncodingKey::from_secret(SECRET.as_bytes());
    let none = encoded(r#"{"alg":"none","typ":"JWT"}"#);
    let admin = encoded(&with(json!({ "roles": "boss" })).to_string());
    let wrong = [
        ("another secret", signed(Algorithm::HS256, &other_secret)),
        ("another algorithm", signed(Algorithm::HS512, &own)),
        ("a key pair", es(&claims(), None)),
        ("no algorithm", format!("{none}.{}.", parts[1])),
        ("no algorithm, a signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("other claims", format!("{}.{admin}.{}", parts[0], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("expired", hs(&with(json!({ "exp": now() - 3600 })))),
        ("without an end", hs(&with(json!({ "exp": null })))),
        ("not yet valid", hs(&with(json!({ "nbf": now() + 3600 })))),
        ("another issuer", hs(&with(json!({ "iss": "https://evil.example.com" })))),
        ("no issuer", hs(&with(json!({ "iss": null })))),
        ("another audience", hs(&with(json!({ "aud": ["other"] })))),
        ("no audience", hs(&with(json!({ "aud": null })))),
        ("nobody", hs(&with(json!({ "sub": null })))),
        ("an empty name", hs(&with(json!({ "sub": "" })))),
        ("the automation user", hs(&with(json!({ "sub": uuid::Uuid::nil().to_string() })))),
        ("no token", "a.b.c".into()),
        ("dots", "..".into()),
    ];
    for (what, token) in wrong {
        assert_eq!(who(&host, &token).await, 401, "{what}");
    }
    host.stop().await;
    // Without settings no such token is taken.
    let plain = host_with(|_| ()).await;
    assert_eq!(who(&plain, &good).await, 401);
    plain.stop().await;
}

#[tokio::test]
async fn keys_come_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    std::fs::write(&file, serde_json::to_string(&key_set("one")).unwrap()).unwrap();
    let host = host(Some(file.display().to_string())).await;
    assert_eq!(who(&host, &es(&claims(), Some("one"))).await, "Ada");
    assert_eq!(who(&host, &es(&claims(), None)).await, "Ada");
    assert_eq!(who(&host, &es(&claims(), Some("two"))).await, 401);
    // The public key is known to everybody: it is no secret to sign with.
    let public = serde_json::to_string(&key_set("one").keys[0]).unwrap();
    for secret in [public.as_bytes(), SECRET.as_bytes()] {
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::HS256) };
        let forged = encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(who(&host, &forged).await, 401);
    }
    host.stop().await;
}

#[tokio::test]
async fn keys_come_from_a_url_and_are_not_asked_for_at_will() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let keys = axum::Router::new().route(
        "/keys",
        axum::routing::get(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            async { serde_json::to_string(&key_set("one")).unwrap() }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, keys).await.unwrap() });
    let host = host(Some(url)).await;
    for _ in 0..5 {
        assert_eq!(who(&host, &es(&claims(), Some("one"))).await, "Ada");
    }
    for n in 0..20 {
        assert_eq!(who(&host, &es(&claims(), Some(&format!("made up {n}")))).await, 401);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // The keys that are known do while nobody answers.
    serving.abort();
    assert_eq!(who(&host, &es(&claims(), Some("one"))).await, "Ada");
    host.stop().await;
    // Without any it is no fault of the token.
    let dead = super::jwt::host(Some("http://127.0.0.1:9/keys".into())).await;
    assert_eq!(who(&dead, &es(&claims(), Some("one"))).await, 503);
    dead.stop().await;
}
