//! The payments that ship, against a provider on loopback.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use parking_lot::Mutex;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::admin_client::code;
use crate::databases::On;
use crate::support::{ADA, ADMIN, BOB, TestHost};

const KEY: &str = "sk_test_0123456789";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// What the provider knows.
#[derive(Default)]
struct Books {
    /// By idempotency key.
    answers: HashMap<String, Value>,
    calls: usize,
    /// Answers that it gives before it works.
    failures: Vec<u16>,
}

#[derive(Clone)]
struct Provider {
    url: String,
    books: Arc<Mutex<Books>>,
}

impl Provider {
    async fn start() -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Provider { url, books: Arc::default() };
        let app = Router::new()
            .route("/v1/orders", post(order))
            .route("/v1/payments/{id}/refunds", post(refund))
            .with_state(Arc::clone(&provider.books));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        provider
    }

    fn fails_with(&self, statuses: &[u16]) {
        self.books.lock().failures = statuses.to_vec();
    }
}

type Shared = State<Arc<Mutex<Books>>>;

async fn order(State(books): Shared, headers: HeaderMap, body: Bytes) -> Response {
    answer(&books, &headers, &body, |body, n| {
        json!({ "id": format!("ord_{n}"), "checkoutUrl": format!("https://pay.example.com/{n}"),
                "amount": body["amount"] })
    })
}

async fn refund(
    State(books): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(
        &books,
        &headers,
        &body,
        |_, n| json!({ "id": format!("re_{n}_{id}"), "status": "pending" }),
    )
}

fn answer(
    books: &Mutex<Books>,
    headers: &HeaderMap,
    body: &Bytes,
    make: impl Fn(&Value, usize) -> Value,
) -> Response {
    let json = |status: u16, value: &Value| {
        let status = StatusCode::from_u16(status).unwrap();
        (status, [("content-type", "application/json")], value.to_string()).into_response()
    };
    let mut books = books.lock();
    books.calls += 1;
    if headers["authorization"] != format!("Bearer {KEY}") {
        return json(401, &json!({ "message": "wrong key" }));
    }
    if let Some(status) = books.failures.pop() {
        return json(status, &json!({ "message": "the card says no" }));
    }
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let number = books.answers.len() + 1;
    let body: Value = serde_json::from_slice(body).unwrap();
    let made = books.answers.entry(key).or_insert_with(|| make(&body, number)).clone();
    json(201, &made)
}

async fn started(on: On) -> (TestHost, Provider) {
    let provider = Provider::start().await;
    let host = TestHost::start_with(on.settings().await).await;
    host.ship("payments");
    host.admin("installPlugin", json!({ "pluginId": "payments" })).await;
    let id = host.seen("payments").await["id"].clone();
    // As an administrator goes about it: what is missing is named, one after the other.
    let activate = json!({ "id": id, "isActivated": true });
    let error = host.refused("updatePlugin", activate.clone()).await;
    assert!(error["message"].as_str().unwrap().contains("http config.apiUrl"), "{error}");
    let permissions = json!({ "http": ["config.apiUrl"] });
    host.admin("grantPlugin", json!({ "pluginId": "payments", "permissions": permissions })).await;
    let error = host.refused("updatePlugin", activate.clone()).await;
    assert!(error["message"].as_str().unwrap().contains("apiKey"), "{error}");
    configure(&host, &provider, json!(SECRET)).await;
    assert_eq!(host.admin("updatePlugin", activate).await["status"], "ACTIVE");
    (host, provider)
}

async fn configure(host: &TestHost, provider: &Provider, secret: Value) {
    let config = json!({ "apiUrl": provider.url, "apiKey": KEY, "webhookSecret": secret });
    let set =
        host.admin("setPluginConfig", json!({ "pluginId": "payments", "config": config })).await;
    assert_eq!(set["config"], json!({ "apiUrl": provider.url }));
}

/// The provider tells something.
async fn tell(host: &TestHost, secret: &str, id: &str, event: &Value) -> (u16, Value) {
    let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let body = event.to_string();
    let key = STANDARD.decode(&secret[6..]).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let response = host
        .client
        .post(format!("{}/api/plugins/payments/webhook/provider", host.url))
        .header("webhook-id", id)
        .header("webhook-timestamp", at.to_string())
        .header("webhook-signature", signature)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

const ORDER: &str =
    "id organizationId userId amount currency state checkoutUrl failure paidAt refunded";

fn create() -> String {
    format!("mutation($i: PaymentOrderInput!) {{ payments_createOrder(input: $i) {{ {ORDER} }} }}")
}

async fn ordered(host: &TestHost, user: &str, organization: &str, amount: i64) -> Value {
    let input = json!({ "organizationId": organization, "amount": amount });
    host.data(user, &create(), json!({ "i": input })).await["payments_createOrder"].clone()
}

async fn order_of(host: &TestHost, id: &Value) -> Value {
    let query = format!("query($id: UUID!) {{ payments_order(id: $id) {{ {ORDER} }} }}");
    host.data(ADMIN, &query, json!({ "id": id })).await["payments_order"].clone()
}

fn captured(order: usize, amount: i64) -> Value {
    json!({ "type": "payment.captured", "data": { "orderId": format!("ord_{order}"),
            "paymentId": format!("pay_{order}"), "amount": amount } })
}

#[rstest]
#[tokio::test]
async fn orders_are_paid_and_given_back(#[values(On::Sqlite, On::Postgres)] on: On) {
    let (host, provider) = started(on).await;
    let order = ordered(&host, ADA, "library", 500).await;
    assert_eq!((&order["state"], &order["currency"]), (&json!("OPEN"), &json!("EUR")));
    assert_eq!(order["checkoutUrl"], "https://pay.example.com/1");
    let id = &order["id"];
    // Paid, once, whatever the provider says how often.
    let first = tell(&host, SECRET, "msg_1", &captured(1, 500)).await;
    assert_eq!(first, (200, json!({ "received": true, "handled": true })));
    let again = tell(&host, SECRET, "msg_1", &captured(1, 500)).await;
    assert_eq!(again, (200, json!({ "duplicate": true })));
    assert_eq!(tell(&host, SECRET, "msg_2", &captured(1, 500)).await.0, 200);
    let paid = order_of(&host, id).await;
    assert_eq!((&paid["state"], paid["paidAt"].is_string()), (&json!("PAID"), true));
    // Part of it goes back, then the rest; never more.
    let refund = format!(
        "mutation($id: UUID!, $a: Int) {{ payments_refund(id: $id, amount: $a) {{ {ORDER} }} }}"
    );
    let back = host.data(ADMIN, &refund, json!({ "id": id, "a": 200 })).await;
    assert_eq!(back["payments_refund"]["refunded"], 200);
    let error = host.error(Some(ADMIN), &refund, json!({ "id": id, "a": 301 })).await;
    assert_eq!(error["extensions"]["issues"][0]["message"], "There is 300 left to give back");
    let error = host.error(Some(ADA), &refund, json!({ "id": id })).await;
    assert_eq!(code(&error), "unauthorized_action");
    provider.fails_with(&[402]);
    let error = host.error(Some(ADMIN), &refund, json!({ "id": id })).await;
    assert_eq!((code(&error), &error["message"]), ("payment_refused", &json!("the card says no")));
    let back = host.data(ADMIN, &refund, json!({ "id": id })).await;
    assert_eq!(back["payments_refund"]["refunded"], 500);
    for (n, refund) in ["re_2_pay_1", "re_3_pay_1"].into_iter().enumerate() {
        assert_ne!(order_of(&host, id).await["state"], "REFUNDED");
        let event = json!({ "type": "refund.processed", "data": { "refundId": refund } });
        assert_eq!(tell(&host, SECRET, &format!("msg_r{n}"), &event).await.0, 200);
    }
    assert_eq!(order_of(&host, id).await["state"], "REFUNDED");
    // One that is not known yet is to be told again.
    let event = json!({ "type": "refund.processed", "data": { "refundId": "re_9" } });
    assert_eq!(tell(&host, SECRET, "msg_r9", &event).await.0, 409);
    assert_eq!(tell(&host, SECRET, "msg_r9", &event).await.0, 409);
    host.stop().await;
}

#[tokio::test]
async fn what_is_wrong_changes_nothing() {
    let (host, provider) = started(On::Sqlite).await;
    let order = ordered(&host, ADA, "library", 500).await;
    for (secret, event, expected) in [
        (NEXT_SECRET, captured(1, 500), 401),
        (SECRET, captured(1, 1), 200),
        (SECRET, captured(7, 500), 200),
        (SECRET, json!({ "type": "something.else", "data": {} }), 200),
        (SECRET, json!({ "type": 7, "data": {} }), 400),
        (SECRET, json!([]), 400),
    ] {
        let id = uuid::Uuid::new_v4().to_string();
        assert_eq!(tell(&host, secret, &id, &event).await.0, expected, "{event}");
        assert_eq!(order_of(&host, &order["id"]).await["state"], "OPEN");
    }
    let failed =
        json!({ "type": "payment.failed", "data": { "orderId": "ord_1", "reason": "no funds" } });
    assert_eq!(tell(&host, SECRET, "m", &failed).await.0, 200);
    let order = order_of(&host, &order["id"]).await;
    assert_eq!((&order["state"], &order["failure"]), (&json!("FAILED"), &json!("no funds")));
    // Who tries again may succeed.
    assert_eq!(tell(&host, SECRET, "m2", &captured(1, 500)).await.0, 200);
    assert_eq!(order_of(&host, &order["id"]).await["state"], "PAID");

    let bad = json!({ "i": { "organizationId": "library", "amount": 10 } });
    let error = host.error(Some(ADA), &create(), bad).await;
    assert_eq!(error["extensions"]["issues"][0]["message"], "It must be from 50 to 1000000");
    let fine = json!({ "i": { "organizationId": "library", "amount": 100 } });
    assert_eq!(code(&host.error(None, &create(), fine.clone()).await), "unauthenticated");
    // What fails for a moment is tried again, with the same key.
    provider.fails_with(&[503, 502]);
    host.data(ADA, &create(), fine.clone()).await;
    let before = provider.books.lock().calls;
    provider.fails_with(&[400]);
    let error = host.error(Some(ADA), &create(), fine.clone()).await;
    assert_eq!(code(&error), "payment_refused");
    assert_eq!(provider.books.lock().calls, before + 1);
    provider.fails_with(&[500, 500, 500]);
    let error = host.error(Some(ADA), &create(), fine).await;
    assert_eq!(code(&error), "payment_provider_unavailable");
    assert!(!error.to_string().contains(KEY) && !error.to_string().contains(&provider.url));
    host.stop().await;
}

#[tokio::test]
async fn everybody_sees_their_own_and_secrets_can_change() {
    let (host, provider) = started(On::Sqlite).await;
    for (n, (user, organization, amount)) in
        [(ADA, "library", 500), (ADA, "choir", 700), (BOB, "library", 900)].into_iter().enumerate()
    {
        ordered(&host, user, organization, amount).await;
        if n < 2 {
            tell(&host, SECRET, &format!("m{n}"), &captured(n + 1, amount)).await;
        }
    }
    // While the provider changes over, both secrets will do.
    configure(&host, &provider, json!([NEXT_SECRET, SECRET])).await;
    assert_eq!(tell(&host, SECRET, "old", &captured(9, 1)).await.0, 200);
    assert_eq!(tell(&host, NEXT_SECRET, "new", &captured(9, 1)).await.0, 200);
    configure(&host, &provider, json!(NEXT_SECRET)).await;
    assert_eq!(tell(&host, SECRET, "old2", &captured(9, 1)).await.0, 401);

    let mine = host.data(ADA, "{ payments_myOrders { amount } }", json!({})).await;
    assert_eq!(mine["payments_myOrders"], json!([{ "amount": 700 }, { "amount": 500 }]));
    let statistics = "orders paid paidAmount refundedOrders";
    let query = format!("{{ payments_myStatistics {{ {statistics} }} }}");
    let expected = json!({ "orders": 2, "paid": 2, "paidAmount": 1200, "refundedOrders": 0 });
    assert_eq!(host.data(ADA, &query, json!({})).await["payments_myStatistics"], expected);
    let query = format!(
        "{{ payments_organizationStatistics(organizationId: \"library\") {{ {statistics} }} }}"
    );
    let library =
        host.data(ADMIN, &query, json!({})).await["payments_organizationStatistics"].clone();
    let expected = json!({ "orders": 2, "paid": 1, "paidAmount": 500, "refundedOrders": 0 });
    assert_eq!(library, expected);
    for query in [
        &*query,
        "{ payments_orders { id } }",
        "{ payments_userStatistics(userId: \"x\") { paid } }",
    ] {
        assert_eq!(code(&host.error(Some(BOB), query, json!({})).await), "unauthorized_action");
    }
    let order = ordered(&host, ADA, "library", 500).await;
    let query = "query($id: UUID!) { payments_order(id: $id) { id } }";
    let error = host.error(Some(BOB), query, json!({ "id": order["id"] })).await;
    assert_eq!(code(&error), "arguments_associated_resources_not_found");
    let paid = host
        .data(
            ADMIN,
            "{ payments_orders(state: PAID, organizationId: \"choir\") { amount } }",
            json!({}),
        )
        .await;
    assert_eq!(paid["payments_orders"], json!([{ "amount": 700 }]));
    host.stop().await;
}
