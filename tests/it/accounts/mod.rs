//! Accounts: signing up and in, administration, identities from elsewhere, and who may do what.

mod administration;
mod hooks;
mod jwt;
mod roles;
mod setup;
mod signing_in;

use std::sync::Arc;

use moondock::settings::{Secret, Settings};
use serde_json::{Value, json};

use crate::databases::On;
use crate::support::TestHost;

/// The administrator's token of these hosts.
pub const ADMIN_TOKEN: &str = "an-administrators-token";

pub async fn host_on(on: On) -> TestHost {
    let database = on.settings().await;
    host_with(|settings| database(settings)).await
}

pub async fn host_with(change: impl FnOnce(&mut Settings)) -> TestHost {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    TestHost::with_accounts(dir, |settings| {
        settings.admin_token = Some(Secret::new(ADMIN_TOKEN));
        change(settings);
    })
    .await
}

/// The answer to a sign-up; a token and a user if all is well.
pub async fn sign_up(host: &TestHost, name: &str, email: &str, password: &str) -> Value {
    let query = "mutation($i: SignUpInput!) { signUp(input: $i) { authenticationToken user { id name \
                 emailAddress role createdAt updatedAt } } }";
    let input = json!({ "name": name, "emailAddress": email, "password": password });
    host.graphql(None, query, json!({ "i": input })).await
}

pub async fn sign_in(host: &TestHost, email: &str, password: &str) -> Value {
    let query =
        "mutation($i: SignInInput!) { signIn(input: $i) { authenticationToken user { id } } }";
    let input = json!({ "emailAddress": email, "password": password });
    host.graphql(None, query, json!({ "i": input })).await
}

/// Somebody new who has signed up: the token and the id.
pub async fn somebody(host: &TestHost, name: &str) -> (String, String) {
    let made = sign_up(host, name, &format!("{name}@example.com"), "a long password").await;
    let payload = &made["data"]["signUp"];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    (text(&payload["authenticationToken"]), text(&payload["user"]["id"]))
}

/// Who a token stands for: the name, or the status of the refusal.
pub async fn who(host: &TestHost, token: &str) -> Value {
    let request = host.client.post(format!("{}/graphql", host.url)).bearer_auth(token);
    let query = json!({ "query": "{ currentUser { name } }" });
    let answer = request.json(&query).send().await.unwrap();
    if answer.status() != 200 {
        return json!(answer.status().as_u16());
    }
    answer.json::<Value>().await.unwrap()["data"]["currentUser"]["name"].clone()
}
