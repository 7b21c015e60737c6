//! The first administrator.

use serde_json::json;

use super::{host_with, sign_in};
use crate::databases::On;

#[tokio::test]
async fn the_link_makes_one_administrator_and_is_over() {
    let _ = On::Sqlite;
    let host = host_with(|settings| settings.admin_token = None).await;
    let link = host.host.setup_link().await.unwrap().expect("there is no administrator");
    let token = link.strip_prefix("/setup?token=").unwrap().to_owned();
    let page = host.client.get(format!("{}{link}", host.url)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    for (header, expected) in [
        ("content-security-policy", "default-src 'none'"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        let value = page.headers()[header].to_str().unwrap();
        assert!(value.contains(expected), "{header}: {value}");
    }
    assert!(page.text().await.unwrap().contains("Become administrator"));
    let submit = async |token: &str, name: &str, email: &str, password: &str| {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("name", name)
            .append_pair("email", email)
            .append_pair("password", password)
            .finish();
        let request = host.client.post(format!("{}/setup", host.url)).body(form);
        let answer = request
            .header("content-type", "application/x-www-form-urlencoded")
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for wrong in ["", "x", &token[1..], &format!("{token}x")] {
        assert_eq!(
            submit(wrong, "Root", "root@example.com", "a long password").await.0,
            404,
            "{wrong}"
        );
        let page =
            host.client.get(format!("{}/setup?token={wrong}", host.url)).send().await.unwrap();
        assert_eq!(page.status(), 404);
    }
    let (status, text) = submit(&token, "<b>", "nobody", "short").await;
    assert_eq!(status, 422);
    assert!(
        text.contains("Email: It must be an email address.")
            && text.contains("value=\"&lt;b&gt;\""),
        "{text}"
    );
    assert!(!text.contains("<b>"), "{text}");
    assert_eq!(submit(&token, "x", "x@example.com", &"x".repeat(20_000)).await.0, 413);
    // Of two at the same time one is made.
    let (first, second) = tokio::join!(
        submit(&token, "Root", "root@example.com", "a long password"),
        submit(&token, "Toor", "toor@example.com", "a long password"),
    );
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 404]);
    assert_eq!(submit(&token, "Late", "late@example.com", "a long password").await.0, 404);
    assert_eq!(host.host.setup_link().await.unwrap(), None);
    let email = if first.0 == 200 { "root@example.com" } else { "toor@example.com" };
    let signed_in = sign_in(&host, email, "a long password").await;
    let token = signed_in["data"]["signIn"]["authenticationToken"].as_str().unwrap();
    assert_eq!(
        host.data(token, "{ getPlugins { id } }", json!({})).await,
        json!({ "getPlugins": [] })
    );
    host.stop().await;
}

#[tokio::test]
async fn there_is_no_link_for_a_host_that_can_be_administered() {
    let host = host_with(|_| ()).await;
    assert_eq!(host.host.setup_link().await.unwrap(), None);
    let page = host.client.get(format!("{}/setup?token=", host.url)).send().await.unwrap();
    assert_eq!(page.status(), 404);
    host.stop().await;
}
