//! Files in requests.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{ADA, REGISTER, TestHost, manifest, registering};

const FILES: &str = r#"
builder:objectType("Kept", { fields = { name = "String", mime = "String", size = "Int!", sum = "String!" } })
local crypto = require("@std/crypto")
local function kept(file)
  return { name = file.filename, mime = file.contentType, size = file.size, sum = crypto.sha256(file.content) }
end
builder:mutationField("keep", { type = "Kept!", auth = "public", args = { file = "Upload!" },
  resolve = function(_, args) return kept(args.file) end })
builder:mutationField("keepAll", { type = "[Kept!]!", auth = "public", args = { files = "[Upload!]!" },
  resolve = function(_, args)
    local all = {}
    for i, file in args.files do all[i] = kept(file) end
    return all
  end })
"#;

async fn files() -> TestHost {
    let host = TestHost::start().await;
    let (text, code) = (manifest("f", REGISTER), registering(FILES));
    host.plugin("f", &[("manifest.json", &text), ("init.lua", &code)]).await;
    host
}

fn form(query: &str, variables: Value, map: Value) -> Form {
    let operations = json!({ "query": query, "variables": variables });
    Form::new().text("operations", operations.to_string()).text("map", map.to_string())
}

async fn send(host: &TestHost, form: Form) -> (u16, Value) {
    let request = host.client.post(format!("{}/graphql", host.url)).multipart(form);
    let response = request.bearer_auth(ADA).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

const KEEP: &str = "mutation($file: Upload!) { f_keep(file: $file) { name mime size sum } }";
const KEEP_ALL: &str = "mutation($files: [Upload!]!) { f_keepAll(files: $files) { name size } }";

#[tokio::test]
async fn files_reach_the_resolver() {
    let host = files().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let part =
        Part::bytes(bytes).file_name("all.bin").mime_str("application/octet-stream").unwrap();
    let form =
        form(KEEP, json!({ "file": null }), json!({ "0": ["variables.file"] })).part("0", part);
    assert_eq!(
        send(&host, form).await,
        (
            200,
            json!({ "data": { "f_keep": {
            "name": "all.bin", "mime": "application/octet-stream", "size": 256,
            "sum": "40aff2e9d2d8922e47afd4648e6967497158785fbd1da870e7110266bf944880",
        } } })
        )
    );
    let all = super::uploads::form(
        KEEP_ALL,
        json!({ "files": [null, null] }),
        json!({ "a": ["variables.files.0"], "b": ["variables.files.1"] }),
    );
    let all = all.part("a", Part::text("one").file_name("a.txt"));
    let all = all.part("b", Part::text("three").file_name("b.txt"));
    assert_eq!(
        send(&host, all).await.1["data"]["f_keepAll"],
        json!([{ "name": "a.txt", "size": 3 }, { "name": "b.txt", "size": 5 }])
    );
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_the_reason() {
    let host = files().await;
    let one = || json!({ "0": ["variables.file"] });
    let null = || json!({ "file": null });
    let text = |content: &'static str| Part::text(content).file_name("x");
    let cases = [
        (Form::new().text("map", "{}"), "\"operations\" is missing"),
        (Form::new().text("operations", "{}").part("0", text("x")), "\"map\" is missing"),
        (Form::new().text("operations", "{").text("map", "{}"), "is not JSON"),
        (Form::new().text("operations", "{}").text("map", "[]"), "must be lists of paths"),
        (form(KEEP, null(), one()), "The file \"0\" is missing"),
        (form(KEEP, null(), json!({})).part("0", text("x")), "is not in \"map\""),
        (
            form(KEEP, null(), json!({ "0": ["variables.other"] })).part("0", text("x")),
            "no null variable",
        ),
        (form(KEEP, null(), json!({ "0": ["query"] })).part("0", text("x")), "no null variable"),
        (form(KEEP, json!({ "file": 5 }), one()).part("0", text("x")), "no null variable"),
        (form(KEEP, null(), one()).part("0", text("x")).part("0", text("y")), "comes twice"),
        (
            form(KEEP, null(), json!({ "0": vec!["variables.file"; 30] })).part("0", text("x")),
            "at most 20 files",
        ),
    ];
    for (form, expected) in cases {
        let (status, answer) = send(&host, form).await;
        assert_eq!(status, 400, "{expected}: {answer}");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // An upload cannot be made of JSON.
    let forged = json!({ "file": { "filename": "x", "content": "x", "size": 1 } });
    let error = host.error(Some(ADA), KEEP, forged).await;
    assert!(error["message"].as_str().unwrap().contains("multipart request"), "{error}");
}

#[tokio::test]
async fn limits_hold_however_the_bytes_come() {
    let host = TestHost::start_with(|settings| settings.graphql.upload_limit = 10_000).await;
    let (text, code) = (manifest("f", REGISTER), registering(FILES));
    host.plugin("f", &[("manifest.json", &text), ("init.lua", &code)]).await;
    let large = |size: usize| Part::bytes(vec![b'x'; size]).file_name("x");
    let one = form(KEEP, json!({ "file": null }), json!({ "0": ["variables.file"] }));
    assert_eq!(send(&host, one.part("0", large(20_000))).await.0, 413);
    // Streamed, so that nothing is announced.
    let chunks = (0..50).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1_000]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let one = form(KEEP, json!({ "file": null }), json!({ "0": ["variables.file"] }));
    assert_eq!(send(&host, one.part("0", Part::stream(body).file_name("x"))).await.0, 413);
    // One file in many places counts as often.
    let paths: Vec<String> = (0..10).map(|i| format!("variables.files.{i}")).collect();
    let many = form(KEEP_ALL, json!({ "files": vec![Value::Null; 10] }), json!({ "0": paths }));
    assert_eq!(send(&host, many.part("0", large(2_000))).await.0, 413);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_send_a_form() {
    let host = files().await;
    let ask = |origin: String, token: Option<&'static str>| {
        let one = form(KEEP, json!({ "file": null }), json!({ "0": ["variables.file"] }));
        let form = one.part("0", Part::text("x").file_name("x"));
        let mut request = host.client.post(format!("{}/graphql", host.url)).multipart(form);
        request = request.header("origin", origin);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(ask("https://evil.example".into(), None).await, 403);
    assert_eq!(ask("null".into(), None).await, 403);
    assert_eq!(ask(host.url.clone(), None).await, 200);
    assert_eq!(ask("https://app.example".into(), Some(ADA)).await, 200);
}
