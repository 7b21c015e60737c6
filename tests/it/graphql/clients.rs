//! The clients that people use, from npm, against a running host; and the audits of GraphQL over HTTP.

use std::path::{Path, PathBuf};

use rstest::rstest;

use crate::support::{ADA, REGISTER, TestHost, manifest, registering};

const PLUGIN: &str = r#"
builder:objectType("Note", { fields = { id = "ID!", text = "String!" } })
builder:objectType("KeptFile", { fields = { name = "String", size = "Int!", text = "String!" } })
builder:queryField("greet", { type = "String!", args = { name = "String!" },
  resolve = function(_, args) return "Hello, " .. args.name end })
local count = 0
builder:mutationField("add", { type = "Note!", args = { text = "String!" },
  resolve = function(_, args, ctx)
    count += 1
    local note = { id = tostring(count), text = args.text }
    ctx.pubsub:publish("notes", note)
    return note
  end })
builder:mutationField("keep", { type = "KeptFile!", args = { file = "Upload!" },
  resolve = function(_, args)
    return { name = args.file.filename, size = args.file.size, text = args.file.content }
  end })
builder:subscriptionField("added", { type = "Note!",
  subscribe = function(_, ctx) return ctx.pubsub:subscribe("notes") end })
"#;

/// Where `./scripts/test` has installed the clients; `None` where that is not possible.
fn clients() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    if dir.join("node_modules").is_dir() {
        return Some(dir);
    }
    let reason = "the clients are not installed: ./scripts/test installs them, with npm";
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
    None
}

async fn run(script: &str, url: &str) {
    let Some(dir) = clients() else { return };
    let run = tokio::process::Command::new("node")
        .current_dir(dir)
        .args([script, &format!("{url}/graphql"), ADA])
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), run).await;
    let output = output.expect("the client ends in time").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}: {out}{err}");
}

#[rstest]
#[tokio::test]
async fn clients_query_mutate_upload_and_subscribe(
    #[values("graphql-ws.mjs", "graphql-sse.mjs", "apollo.mjs", "urql.mjs")] script: &str,
) {
    let host = TestHost::start().await;
    let (text, code) = (manifest("c", REGISTER), registering(PLUGIN));
    host.plugin("c", &[("manifest.json", &text), ("init.lua", &code)]).await;
    run(script, &host.url).await;
}

#[tokio::test]
async fn all_audits_of_graphql_over_http_pass() {
    let host = TestHost::start().await;
    run("audit.mjs", &host.url).await;
}
