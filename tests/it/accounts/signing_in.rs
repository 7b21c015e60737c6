//! Signing up, in and out.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{ADMIN_TOKEN, host_on, sign_in, sign_up, somebody, who};
use crate::databases::On;
use crate::support::TestHost;

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[rstest]
#[tokio::test]
async fn people_sign_up_in_and_out(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    let made = sign_up(&host, " Ada ", "Ada@Example.com", "a long password").await;
    let user = &made["data"]["signUp"]["user"];
    assert_eq!(
        (&user["name"], &user["emailAddress"], &user["role"], &user["updatedAt"]),
        (&json!("Ada"), &json!("Ada@Example.com"), &json!("regular"), &Value::Null),
        "{made}"
    );
    uuid::Uuid::try_parse(user["id"].as_str().unwrap()).unwrap();
    let first = made["data"]["signUp"]["authenticationToken"].as_str().unwrap().to_owned();
    assert_eq!(who(&host, &first).await, "Ada");
    // In whatever case the address is written.
    let again = sign_in(&host, " ada@example.COM ", "a long password").await;
    assert_eq!(again["data"]["signIn"]["user"]["id"], user["id"], "{again}");
    let second = again["data"]["signIn"]["authenticationToken"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    // Signing out ends one token, and for good.
    let out = host.data(&first, "mutation { signOut }", json!({})).await;
    assert_eq!(out, json!({ "signOut": true }));
    assert_eq!(who(&host, &first).await, 401);
    assert_eq!(who(&host, &second).await, "Ada");
    // One token for another.
    let query = "mutation { rotateToken { authenticationToken user { name } } }";
    let rotated = host.data(&second, query, json!({})).await["rotateToken"].clone();
    assert_eq!(rotated["user"]["name"], "Ada");
    assert_eq!(who(&host, &second).await, 401);
    assert_eq!(who(&host, rotated["authenticationToken"].as_str().unwrap()).await, "Ada");
    host.stop().await;
}

/// What this process has had of the processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the time to where it is told to.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[rstest]
#[tokio::test]
async fn a_wrong_password_and_no_account_look_alike(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    somebody(&host, "ada").await;
    // What the processor has done, which other processes do not add to.
    let mut least = [Duration::MAX; 2];
    for _ in 0..4 {
        for (email, least) in ["ada@example.com", "nobody@example.com"].iter().zip(&mut least) {
            let before = processor_time();
            let answer = sign_in(&host, email, "not the password").await;
            *least = (processor_time() - before).min(*least);
            assert_eq!(code(&answer), "unauthenticated");
            assert_eq!(
                answer["errors"][0]["message"],
                "The email address or the password is wrong"
            );
            assert_eq!(answer["data"], json!({ "signIn": null }));
        }
    }
    let [wrong, nobody] = least;
    assert!(nobody > wrong / 2 && wrong > nobody / 2, "{wrong:?} {nobody:?}");
    host.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_for_each_field() {
    let host = host_on(On::Sqlite).await;
    let long = "x".repeat(201);
    let all = sign_up(&host, "", "no address", "short").await;
    assert_eq!(code(&all), "invalid_arguments");
    let issues = all["errors"][0]["extensions"]["issues"].as_array().unwrap().clone();
    let paths: Vec<_> =
        issues.iter().map(|issue| issue["argumentPath"][1].as_str().unwrap()).collect();
    assert_eq!(paths, ["name", "emailAddress", "password"]);
    for (name, email, password) in [
        (&*long, "a@example.com", "a long password"),
        ("a\u{0}b", "a@example.com", "a long password"),
        ("a\nb", "a@example.com", "a long password"),
        ("a", &format!("{}@example.com", "x".repeat(260)), "a long password"),
        ("a", "a@example.com\u{0}", "a long password"),
        ("a", "a@exa mple.com", "a long password"),
        ("a", "<script>@example.com", "a long password"),
        ("a", "a@example.com", "1234567"),
        ("a", "a@example.com", &"x".repeat(1025)),
    ] {
        let refused = sign_up(&host, name, email, password).await;
        assert_eq!(code(&refused), "invalid_arguments", "{name:?} {email:?}: {refused}");
    }
    // A password may be anything else.
    let odd = "pass\u{0}wörd \u{1F600} '\"";
    assert!(sign_up(&host, "Odd", "odd@example.com", odd).await["data"]["signUp"].is_object());
    assert!(sign_in(&host, "odd@example.com", odd).await["data"]["signIn"].is_object());
    assert_eq!(code(&sign_in(&host, "odd@example.com", "pass").await), "unauthenticated");
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn one_address_has_one_account(#[values(On::Sqlite, On::Postgres)] on: On) {
    let host = host_on(on).await;
    let addresses = ["ada@example.com", "ADA@example.com", "Ada@Example.Com", "ada@EXAMPLE.com"];
    let all = addresses.map(|email| sign_up(&host, "Ada", email, "a long password"));
    let answers = futures_util::future::join_all(all).await;
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer["data"]["signUp"].is_object());
    assert_eq!((made.len(), refused.len()), (1, 3), "{answers:?}");
    for answer in refused {
        assert_eq!(code(answer), "forbidden_action_on_arguments_associated_resources");
        let path = &answer["errors"][0]["extensions"]["issues"][0]["argumentPath"];
        assert_eq!(path, &json!(["input", "emailAddress"]));
    }
    host.stop().await;
}

#[tokio::test]
async fn guessing_is_throttled_whatever_is_varied() {
    let host = host_on(On::Sqlite).await;
    somebody(&host, "ada").await;
    somebody(&host, "bob").await;
    let cases = ["ada@example.com", "ADA@example.com", " Ada@Example.com"];
    let mut refused = 0;
    for n in 0..15 {
        let query = "mutation($i: SignInInput!) { signIn(input: $i) { authenticationToken } }";
        let input = json!({ "emailAddress": cases[n % 3], "password": format!("guess {n}") });
        let request = host.client.post(format!("{}/graphql", host.url));
        // Nobody is believed to come from elsewhere.
        let request = request.header("x-forwarded-for", format!("10.0.0.{n}"));
        let request = request.json(&json!({ "query": query, "variables": { "i": input } }));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        match code(&answer) {
            "unauthenticated" => assert!(n < 10, "{n} guesses were looked at"),
            "too_many_requests" => {
                refused += 1;
                let wait = answer["errors"][0]["extensions"]["retryAfter"].as_i64().unwrap();
                assert!((1..=31).contains(&wait), "{answer}");
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(refused, 5);
    // Not even with the right password; and nobody else is held up.
    assert_eq!(
        code(&sign_in(&host, "ada@example.com", "a long password").await),
        "too_many_requests"
    );
    let bob = sign_in(&host, "bob@example.com", "a long password").await;
    assert!(bob["data"]["signIn"].is_object(), "{bob}");
    host.stop().await;
}

#[rstest]
#[tokio::test]
async fn tokens_expire_and_cannot_be_made_up(#[values(On::Sqlite, On::Postgres)] on: On) {
    let url = on.url().await;
    let with_url = |settings: &mut moondock::settings::Settings| {
        settings.database_url = url.clone().map(moondock::settings::Secret::new);
    };
    let host = super::host_with(with_url).await;
    let (token, _) = somebody(&host, "ada").await;
    let mut longer = token.clone();
    longer.push('A');
    let digest = moondock_digest(&token);
    for wrong in [
        &longer,
        &token[1..],
        &token.to_uppercase(),
        &digest,
        "a.b.c",
        ADMIN_TOKEN.trim_end_matches('n'),
    ] {
        assert_eq!(who(&host, wrong).await, 401, "{wrong}");
    }
    assert_eq!(who(&host, &token).await, "ada");
    // What is in the database is no token.
    let everything = execute(&host, url.as_deref(), "SELECT digest FROM tokens").await;
    assert_eq!(everything, digest);
    execute(&host, url.as_deref(), "UPDATE tokens SET expires_at = 1000").await;
    assert_eq!(who(&host, &token).await, 401);
    // Expired ones are removed in time.
    somebody(&host, "bob").await;
    let left = execute(&host, url.as_deref(), "SELECT CAST(count(*) AS text) FROM tokens").await;
    assert_eq!(left, "1");
    host.stop().await;
}

fn moondock_digest(token: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a statement behind the host's back and gives the text that it gives, if any.
async fn execute(host: &TestHost, url: Option<&str>, sql: &str) -> String {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    use sqlx::Row as _;
    match url {
        Some(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
            let row = connection.fetch_optional(sql).await.unwrap();
            row.map(|row| row.get::<String, _>(0)).unwrap_or_default()
        }
        None => {
            let file = format!("sqlite://{}", host.dir.path().join("data/moondock.db").display());
            let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
            let row = connection.fetch_optional(sql).await.unwrap();
            connection.close().await.unwrap();
            row.map(|row| row.get::<String, _>(0)).unwrap_or_default()
        }
    }
}

#[tokio::test]
async fn passwords_and_tokens_are_nowhere_in_the_files() {
    let host = host_on(On::Sqlite).await;
    let made = sign_up(&host, "Ada", "ada@example.com", "Sesame-open-7351").await;
    let token = made["data"]["signUp"]["authenticationToken"].as_str().unwrap().to_owned();
    sign_in(&host, "ada@example.com", "Sesame-open-7351").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let dir = host.stop().await;
    let mut seen = 0;
    for entry in std::fs::read_dir(dir.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        seen += bytes.len();
        for secret in ["Sesame-open-7351", &token] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} in {}", secret, path.display());
        }
    }
    assert!(seen > 10_000);
}

#[tokio::test]
async fn new_accounts_can_be_left_to_administrators() {
    let host = super::host_with(|settings| settings.sign_up = false).await;
    let refused = sign_up(&host, "Ada", "ada@example.com", "a long password").await;
    assert_eq!(code(&refused), "sign_up_closed");
    let query = "mutation($i: CreateUserInput!) { createUser(input: $i) { name } }";
    let input = json!({ "name": "Ada", "emailAddress": "ada@example.com", "password": "a long password", "role": "regular" });
    host.data(ADMIN_TOKEN, query, json!({ "i": input })).await;
    assert!(
        sign_in(&host, "ada@example.com", "a long password").await["data"]["signIn"].is_object()
    );
    host.stop().await;
}

#[tokio::test]
async fn who_knows_the_password_signs_in_as_often_as_need_be() {
    let host = host_on(On::Sqlite).await;
    somebody(&host, "ada").await;
    for n in 0..15 {
        let answer = sign_in(&host, "ada@example.com", "a long password").await;
        assert!(answer["data"]["signIn"].is_object(), "{n}: {answer}");
    }
    host.stop().await;
}
