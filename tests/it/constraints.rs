//! Constraints that plugins declare on arguments and input fields.

use serde_json::{Value, json};

use crate::support::{ADA, REGISTER, TestHost, manifest, registering};

const INIT: &str = r#"
    builder:inputType("PollInput", { fields = {
        title = { type = "String!", minLength = 3, maxLength = 10 },
        options = { type = "[String!]!", minLength = 2, maxLength = 3, pattern = "^[A-Z]" },
        mail = { type = "String", format = "email" },
    } })
    builder:mutationField("create", {
        type = "Int", args = { input = "PollInput!", size = { type = "Int", min = 1, max = 5 } },
        resolve = function(_, args, ctx)
            calls = (calls or 0) + 1
            return calls
        end,
    })
"#;

fn issues(error: &Value) -> Vec<String> {
    assert_eq!(error["extensions"]["code"], "invalid_arguments", "{error}");
    let issues = error["extensions"]["issues"].as_array().unwrap();
    issues
        .iter()
        .map(|issue| format!("{} {}", issue["argumentPath"], issue["message"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn they_are_checked_after_auth_and_before_the_resolver() {
    let host = TestHost::start().await;
    let init = format!("local calls\n{}", registering(INIT));
    let manifest = manifest("polls", REGISTER);
    host.plugin("polls", &[("manifest.json", &manifest), ("init.lua", &init)]).await;

    let query = "mutation($input: PollInput!, $size: Int) { \
                 polls_create(input: $input, size: $size) }";
    let wrong = json!({
        "input": { "title": "ab", "options": ["Soup", "salad"], "mail": "ada" },
        "size": 6,
    });
    let expected = [
        r#"["input","mail"] It must be an email address."#,
        r#"["input","options",1] It must match the pattern "^[A-Z]"."#,
        r#"["input","title"] It must have at least 3 characters."#,
        r#"["size"] It must be at most 5."#,
    ];
    assert_eq!(issues(&host.error(Some(ADA), query, wrong.clone()).await), expected);
    let literals = r#"mutation { polls_create(input: { title: "ab", options: ["Soup", "salad"],
        mail: "ada" }, size: 6) }"#;
    assert_eq!(issues(&host.error(Some(ADA), literals, json!({})).await), expected);
    // A document that was used before is answered from the cache of plans.
    assert_eq!(issues(&host.error(Some(ADA), literals, json!({})).await), expected);

    let anonymous = host.error(None, query, wrong).await;
    assert_eq!(anonymous["extensions"]["code"], "unauthenticated");
    let anonymous = host.error(None, literals, json!({})).await;
    assert_eq!(anonymous["extensions"]["code"], "unauthenticated");

    let right = json!({ "input": { "title": "Lunch", "options": ["Soup", "Salad"] } });
    assert_eq!(host.data(ADA, query, right).await["polls_create"], 1, "the resolver's first call");
    host.stop().await;
}

#[tokio::test]
async fn mistakes_in_them_are_found_when_the_plugin_loads() {
    let host = TestHost::start().await;
    let init = registering(
        r#"builder:queryField("get", { type = "Int", resolve = function() end, args = {
            a = { type = "String", min = 1 },
            b = { type = "String", pattern = "(" },
            c = { type = "Int", min = 3, max = 2 },
            d = { type = "String", format = "emial" },
            e = { type = "String", minLength = -1, maxLength = "x" },
        } })"#,
    );
    let manifest = manifest("wrong", REGISTER);
    let files = [("manifest.json", manifest.as_str()), ("init.lua", &init)];
    host.write_plugin("wrong", &files);
    let error = host.host.manager().install("wrong", false).await.unwrap_err();
    assert!(error.problems.iter().all(|p| p.line == Some(3)), "{:?}", error.problems);
    for expected in [
        "Query.wrong_get.b: \"pattern\": regex parse error",
        "Did you mean \"email\"?",
        "\"minLength\" must be a whole number from 0; it is -1",
        "\"maxLength\" must be a number; it is a string",
    ] {
        assert!(error.message.contains(expected), "{expected}: {}", error.message);
    }
    // What needs the whole schema to be seen comes once the declarations themselves can be read.
    let init = registering(
        r#"builder:queryField("get", { type = "Int", resolve = function() end, args = {
            a = { type = "String", min = 1 },
            c = { type = "Int", min = 3, max = 2 },
        } })"#,
    );
    host.write_plugin("wrong", &[("init.lua", &init)]);
    let error = host.host.manager().install("wrong", false).await.unwrap_err();
    assert_eq!(error.problems.len(), 2, "{}", error.message);
    assert!(error.message.contains("\"min\" is for numbers"), "{}", error.message);
    assert!(error.message.contains("\"min\" (3) is greater than \"max\" (2)"), "{}", error.message);
    assert!(error.problems.iter().all(|p| p.file.as_deref() == Some("init.lua")));
    host.stop().await;
}
