//! What administrators do with accounts.

use rstest::rstest;
use serde_json::{Value, json};

use super::{ADMIN_TOKEN, host_on, host_with, sign_in, somebody, who};
use crate::binary::{Server, moondock, outcome, run};
use crate::databases::On;
use crate::support::TestHost;

const CREATE: &str =
    "mutation($i: CreateUserInput!) { createUser(input: $i) { id role updatedAt } }";
const UPDATE: &str = "mutation($i: UpdateUserInput!) { updateUser(input: $i) { id name emailAddress role updatedAt } }";
const DELETE: &str = "mutation($i: DeleteUserInput!) { deleteUser(input: $i) { id name } }";

async fn create(host: &TestHost, token: &str, email: &str, role: &str) -> Value {
    let input = json!({ "name": "New", "emailAddress": email, "password": "a long password", "role": role });
    host.graphql(Some(token), CREATE, json!({ "i": input })).await
}

async fn token_of(host: &TestHost, email: &str) -> String {
    let answer = sign_in(host, email, "a long password").await;
    answer["data"]["signIn"]["authenticationToken"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .into()
}

#[rstest]
#[tokio::test]
async fn accounts_are_created_changed_and_removed(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    let made = create(&host, ADMIN_TOKEN, "eve@example.com", "administrator").await;
    let id =
        made["data"]["createUser"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    let eve = token_of(&host, "eve@example.com").await;
    // She is an administrator, by her own token.
    let (ada_token, ada) = somebody(&host, "ada").await;
    let input =
        json!({ "id": ada.to_uppercase(), "name": "Ada L", "emailAddress": "ada.l@example.com" });
    let changed = host.data(&eve, UPDATE, json!({ "i": input })).await["updateUser"].clone();
    assert_eq!(
        (&changed["name"], &changed["emailAddress"]),
        (&json!("Ada L"), &json!("ada.l@example.com"))
    );
    assert!(changed["updatedAt"].is_string());
    // Her token goes on: neither role nor password is another.
    assert_eq!(who(&host, &ada_token).await, "Ada L");
    let taken = host
        .graphql(
            Some(&eve),
            UPDATE,
            json!({ "i": { "id": ada, "emailAddress": "EVE@example.com" } }),
        )
        .await;
    assert_eq!(
        taken["errors"][0]["extensions"]["code"],
        "forbidden_action_on_arguments_associated_resources"
    );
    // Another password ends her tokens.
    host.data(&eve, UPDATE, json!({ "i": { "id": ada, "password": "another password" } })).await;
    assert_eq!(who(&host, &ada_token).await, 401);
    assert!(
        sign_in(&host, "ada.l@example.com", "another password").await["data"]["signIn"].is_object()
    );
    // So does another role.
    host.data(ADMIN_TOKEN, UPDATE, json!({ "i": { "id": id, "role": "regular" } })).await;
    assert_eq!(who(&host, &eve).await, 401);
    let eve = token_of(&host, "eve@example.com").await;
    let refused = create(&host, &eve, "x@example.com", "administrator").await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "unauthorized_action");
    // Nor can she make herself one.
    let refused = host
        .graphql(Some(&eve), UPDATE, json!({ "i": { "id": id, "role": "administrator" } }))
        .await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "unauthorized_action");
    let gone = host.data(ADMIN_TOKEN, DELETE, json!({ "i": { "id": id } })).await;
    assert_eq!(gone["deleteUser"], json!({ "id": id, "name": "New" }));
    assert_eq!(who(&host, &eve).await, 401);
    for (query, input) in
        [(UPDATE, json!({ "id": id, "name": "x" })), (DELETE, json!({ "id": id }))]
    {
        let missing = host.graphql(Some(ADMIN_TOKEN), query, json!({ "i": input })).await;
        assert_eq!(
            missing["errors"][0]["extensions"]["code"],
            "arguments_associated_resources_not_found"
        );
    }
    let wrong = host.graphql(Some(ADMIN_TOKEN), DELETE, json!({ "i": { "id": "x" } })).await;
    assert_eq!(
        wrong["errors"][0]["extensions"]["issues"][0]["argumentPath"],
        json!(["input", "id"])
    );
    // The automation token is a user of its own.
    let me = host.data(ADMIN_TOKEN, "{ currentUser { id role } }", json!({})).await;
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(me["currentUser"], json!({ "id": nil, "role": "administrator" }));
    assert_eq!(
        host.graphql(None, "{ currentUser { id } }", json!({})).await["data"],
        json!({ "currentUser": null })
    );
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn the_last_administrator_stays(#[values(On::Sqlite, On::Postgres)] on: On) {
    let database = on.settings().await;
    let host = host_with(|settings| {
        database(settings);
        settings.admin_token = None;
    })
    .await;
    let new = |email: &str| moondock::accounts::NewUser {
        name: "Root".into(),
        email_address: email.into(),
        password: "a long password".into(),
        role: moondock::request::Role::Administrator,
    };
    let first = host.host.accounts().create(new("root@example.com"), None).await.unwrap().id;
    let token = token_of(&host, "root@example.com").await;
    for (query, input) in
        [(DELETE, json!({ "id": first })), (UPDATE, json!({ "id": first, "role": "regular" }))]
    {
        let refused = host.graphql(Some(&token), query, json!({ "i": input })).await;
        assert_eq!(refused["errors"][0]["message"], "This is the last administrator", "{refused}");
    }
    assert_eq!(who(&host, &token).await, "Root");
    host.host.accounts().create(new("toor@example.com"), None).await.unwrap();
    host.data(&token, DELETE, json!({ "i": { "id": first } })).await;
    host.stop().await;
}

#[tokio::test]
async fn the_command_line_makes_accounts_with_and_without_a_server() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let create = |args: &[&str], password: &str| {
        let mut command = moondock(dir.path(), &[&["user", "create"], args].concat());
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended before it reads.
        let _ = child.stdin.take().unwrap().write_all(password.as_bytes());
        outcome(&child.wait_with_output().unwrap())
    };
    let root = ["--email", "root@example.com", "--name", "Root", "--role", "administrator"];
    let (code, out, err) = create(&root, "a long password\n");
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("administrator root@example.com created, with the id "), "{out}");
    let (code, _, err) = create(&root, "a long password\n");
    assert_eq!((code, err.contains("has an account already")), (1, true), "{err}");
    let server = Server::start(&dir, &[]);
    let (code, _, err) = create(&["--email", "no", "--name", ""], "short");
    assert_eq!(code, 1);
    for expected in
        ["emailAddress: It must be an email address", "password: It must have", "name: "]
    {
        assert!(err.contains(expected), "{err}");
    }
    let (code, out, err) =
        create(&["--email", "ada@example.com", "--name", "Ada"], "a long password");
    assert_eq!((code, out.starts_with("regular ada@example.com created")), (0, true), "{err}");
    let answer = server.graphql(
        "mutation { signIn(input: { emailAddress: \"root@example.com\", password: \"a long password\" }) { user { role } } }",
    ).await;
    assert_eq!(answer["data"]["signIn"]["user"]["role"], "administrator");
    let (code, _, err) = outcome(&run(dir.path(), &["user", "create", "--email", "x@example.com"]));
    assert_eq!((code, err.contains("--name")), (2, true), "{err}");
    let (_, log) = server.terminate();
    assert!(!log.contains("a long password"), "{log}");
}
