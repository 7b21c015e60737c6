use serde_json::{Value as Json, json};

use super::*;

/// The contract's example with its alternatives decided.
const EXAMPLE: &str = r#"{
  "name": "Polls", "pluginId": "polls", "version": "1.2.0",
  "description": "Polls for members", "author": "Ada", "main": "init.lua",
  "icon": "", "homepage": "", "license": "MIT", "tags": ["a"],
  "extensionPoints": {
    "graphql":   [ { "type": "query", "name": "pollQueries", "file": "graphql/queries.lua", "builderDefinition": "registerPollQueries", "description": "" } ],
    "database":  [ { "type": "table", "name": "pollsTable", "file": "database/tables.lua" } ],
    "hooks":     [ { "type": "pre", "event": "user:create", "handler": "beforeUserCreate", "file": "hooks/user.lua", "order": 0, "timeoutMs": 1000, "onError": "reject" } ],
    "webhooks":  [ { "path": "/callback", "method": "post", "handler": "handleCallback", "file": "webhooks.lua", "description": "",
                     "verify": { "scheme": "hmac-sha256", "secret": "config.webhookSecret", "header": "X-Razorpay-Signature", "encoding": "hex", "prefix": "" } } ],
    "schedules": [ { "cron": "*/5 * * * *", "handler": "sweep", "file": "jobs.lua" } ],
    "jobs":      [ { "name": "sendReceipt", "handler": "sendReceipt", "file": "jobs.lua", "maxAttempts": 5 } ]
  },
  "dependencies": { "accounts_plus": "^1.0" }, "exports": ["./money.lua"],
  "permissions": { "http": ["https://api.example.com"], "env": ["POLLS_REGION"], "events": ["payment:*"], "sql": false },
  "configSchema": { "type": "object", "properties": { "apiKey": { "type": "string", "writeOnly": true } } },
  "runtime": { "instances": 1, "memoryMb": 64, "timeoutMs": 1000 },
  "docker": { "enabled": true, "composeFile": "docker-compose.yml", "service": "my-service", "buildOnInstall": true,
              "upOnActivate": true, "downOnDeactivate": true, "removeOnUninstall": true, "env": { "PLUGIN_VAR": "value" } }
}"#;

fn minimal() -> Json {
    json!({
        "name": "Polls", "pluginId": "polls", "version": "1.0.0",
        "description": "d", "author": "a", "main": "init.lua",
    })
}

/// The minimal manifest with one more key.
fn with(key: &str, value: Json) -> Json {
    let mut manifest = minimal();
    manifest[key] = value;
    manifest
}

fn problems(manifest: &Json) -> Vec<String> {
    match Manifest::parse(&manifest.to_string(), None) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(|p| p.message).collect(),
    }
}

#[test]
fn the_example_of_the_contract_is_read_whole() {
    let (manifest, warnings) = Manifest::parse(EXAMPLE, Some("polls")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(manifest.version, semver::Version::new(1, 2, 0));
    assert_eq!(manifest.icon, None);
    assert_eq!(manifest.exports, ["money.lua"]);
    let webhook = &manifest.extension_points.webhooks[0];
    assert_eq!(webhook.method, "POST");
    let verify = webhook.verify.as_ref().unwrap();
    assert_eq!(verify.secret, SecretSource::Config("webhookSecret".into()));
    assert_eq!(verify.header.as_deref(), Some("x-razorpay-signature"));
    assert_eq!(manifest.extension_points.hooks[0].timeout_ms, Some(1_000));
    assert_eq!(manifest.docker.unwrap().env["PLUGIN_VAR"], "value");
    assert_eq!(manifest.json["pluginId"], "polls");
}

#[test]
fn what_is_left_out_has_its_default() {
    let manifest = with(
        "extensionPoints",
        json!({
            "webhooks": [{ "path": "/", "handler": "h", "verify": {} }],
            "hooks": [{ "type": "post", "event": "*", "handler": "h" }],
            "jobs": [{ "name": "j", "handler": "h" }],
        }),
    );
    let (manifest, warnings) = Manifest::parse(&manifest.to_string(), None).unwrap();
    let points = &manifest.extension_points;
    assert_eq!(
        (points.webhooks[0].method.as_str(), &*points.webhooks[0].file),
        ("POST", "init.lua")
    );
    assert_eq!((points.hooks[0].order, points.hooks[0].on_error), (0, OnError::Reject));
    assert_eq!(points.jobs[0].max_attempts, DEFAULT_MAX_ATTEMPTS);
    assert_eq!(manifest.runtime, Runtime { instances: 1, memory_mb: 64, timeout_ms: 1_000 });
    assert!(manifest.permissions.is_empty() && manifest.docker.is_none());
    assert_eq!(warnings.len(), 1, "an empty verify is pointed out: {warnings:?}");
}

#[test]
fn everything_that_is_wrong_is_reported_at_once_with_its_line() {
    let text = "{\n \"pluginId\": \"1x\",\n \"version\": \"one\",\n \"main\": \"../init.lua\",\n \
                \"extensionPoints\": {\n  \"graphql\": [\n   { \"type\": \"querry\",\n     \
                \"builderDefinition\": \"f\" } ] } }";
    let problems = Manifest::parse(text, None).unwrap_err();
    let shown: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(
        shown,
        [
            "manifest.json:1: name: expected a non-empty string, but it is missing",
            "manifest.json:1: description: expected a non-empty string, but it is missing",
            "manifest.json:1: author: expected a non-empty string, but it is missing",
            "manifest.json:2: pluginId: expected a letter followed by letters, digits and \"_\", at \
             most 100 characters, found \"1x\"; did you mean \"plugin_1x\"?",
            "manifest.json:3: version: expected a semantic version such as \"1.0.0\", found \"one\"",
            "manifest.json:4: main: expected a path inside the plugin's folder, without \"..\", \
             found \"../init.lua\"",
            "manifest.json:7: extensionPoints.graphql[0].type: expected \"query\", \"mutation\" or \
             \"subscription\", found \"querry\"; did you mean \"query\"?",
        ]
    );
    assert_eq!(problems[3].excerpt.as_deref(), Some(" \"pluginId\": \"1x\","));
}

#[test]
fn the_id_is_that_of_the_folder() {
    let problems = Manifest::parse(&minimal().to_string(), Some("Polls")).unwrap_err();
    assert_eq!(
        problems[0].message,
        "pluginId: expected the name of the plugin's folder, \"Polls\", found \"polls\""
    );
}

#[test]
fn unknown_keys_are_warnings_with_the_nearest_known_one() {
    let mut manifest = with("runtime", json!({ "memoryMB": 3, "zzz": 1 }));
    manifest["licence"] = json!("MIT");
    let (_, warnings) = Manifest::parse(&manifest.to_string(), None).unwrap();
    let mut shown: Vec<&str> = warnings.iter().map(|w| w.message.as_str()).collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            "licence: unknown key; did you mean \"license\"?",
            "runtime.memoryMB: unknown key; did you mean \"memoryMb\"?",
            "runtime.zzz: unknown key",
        ]
    );
}

#[test]
fn what_is_not_json_is_one_problem_with_its_place() {
    let problems = Manifest::parse("{\n  \"name\": \"x\",\n}", None).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].line, problems[0].column), (Some(3), Some(1)));
    assert_eq!(problems[0].message, "not valid JSON: trailing comma");
    for text in ["", "\u{feff}", "nul", "[1,]", "\"\\ud800\"", "{\"a\":\u{1}}"] {
        assert_eq!(Manifest::parse(text, None).unwrap_err().len(), 1, "{text:?}");
    }
    let text = format!("\u{feff}{}", minimal());
    assert!(Manifest::parse(&text, None).is_ok());
}

#[test]
fn duplicates_are_problems() {
    let text = EXAMPLE.replace("\"license\": \"MIT\"", "\"license\": \"MIT\",\n\"license\": \"X\"");
    let problems = Manifest::parse(&text, None).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "manifest.json:5: license: the key is in this object twice"
    );

    let manifest = with(
        "extensionPoints",
        json!({
            "webhooks": [
                { "path": "/a/:id", "handler": "h" },
                { "path": "/a/:other/", "method": "post", "handler": "h" },
                { "path": "/a/:id", "method": "GET", "handler": "h" },
            ],
            "database": [
                { "type": "table", "name": "t", "file": "a.lua" },
                { "type": "enum", "name": "t", "file": "b.lua" },
            ],
            "jobs": [{ "name": "j", "handler": "h" }, { "name": "j", "handler": "h" }],
        }),
    );
    assert_eq!(
        self::problems(&manifest),
        [
            "extensionPoints.database[1].name: \"t\" is already declared at \
             extensionPoints.database[0]",
            "extensionPoints.webhooks[1].path: \"POST /a/:\" is already declared at \
             extensionPoints.webhooks[0]",
            "extensionPoints.jobs[1].name: \"j\" is already declared at extensionPoints.jobs[0]",
        ]
    );
    assert_eq!(self::problems(&with("exports", json!(["./a.lua", "a.lua"]))).len(), 1);
}

#[test]
fn single_values_out_of_bounds_are_named() {
    for (key, value, path) in [
        ("runtime", json!({ "instances": 0 }), "runtime.instances"),
        ("runtime", json!({ "instances": 65 }), "runtime.instances"),
        ("runtime", json!({ "memoryMb": 1025 }), "runtime.memoryMb"),
        ("runtime", json!({ "timeoutMs": 150_001 }), "runtime.timeoutMs"),
        ("runtime", json!({ "timeoutMs": 1.5 }), "runtime.timeoutMs"),
        ("name", json!("  "), "name"),
        ("main", json!("init.txt"), "main"),
        ("main", json!("/init.lua"), "main"),
        ("main", json!("a\\b.lua"), "main"),
        ("dependencies", json!({ "a b": "1" }), "dependencies[\"a b\"]"),
        ("dependencies", json!({ "polls": "1" }), "dependencies.polls"),
        ("dependencies", json!({ "other": "latest" }), "dependencies.other"),
        ("permissions", json!({ "http": ["https://a/b"] }), "permissions.http[0]"),
        ("permissions", json!({ "env": ["A", "A"] }), "permissions.env[1]"),
        ("docker", json!({ "composeFile": "../x.yml" }), "docker.composeFile"),
        ("docker", json!({ "composeFile": "x.txt" }), "docker.composeFile"),
        ("configSchema", json!({ "type": "array" }), "configSchema.type"),
    ] {
        let found = problems(&with(key, value.clone()));
        assert_eq!(found.len(), 1, "{value}: {found:?}");
        assert!(found[0].starts_with(&format!("{path}: ")), "{value}: {found:?}");
    }
    let verify = |verify: Json| {
        let webhook = json!({ "path": "/", "handler": "h", "verify": verify });
        problems(&with("extensionPoints", json!({ "webhooks": [webhook] })))
    };
    assert_eq!(verify(json!({ "scheme": "stripe", "secretHandler": "f" })), [""; 0]);
    assert!(verify(json!({ "scheme": "stripe" }))[0].ends_with("found neither"));
    assert!(verify(json!({ "scheme": "stripe", "secret": "hunter2" }))[0].contains("config."));
    let no_header = verify(json!({ "scheme": "hmac-sha256", "secret": "config.s" }));
    assert!(no_header[0].contains("verify.header"), "{no_header:?}");
}

/// Every path of a JSON value, as a JSON pointer and as manifest problems show it.
fn paths(json: &Json, pointer: String, shown: String, out: &mut Vec<(String, String)>) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                let path = document::child_path(&shown, key);
                paths(value, format!("{pointer}/{key}"), path, out);
            }
        }
        Json::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                paths(value, format!("{pointer}/{index}"), format!("{shown}[{index}]"), out);
            }
        }
        _ => {}
    }
    out.push((pointer, shown));
}

#[test]
fn a_wrong_type_at_any_path_is_a_problem_that_names_the_path() {
    let example: Json = serde_json::from_str(EXAMPLE).unwrap();
    let mut all = Vec::new();
    paths(&example, String::new(), String::new(), &mut all);
    assert!(all.len() > 60);
    for (pointer, shown) in all {
        let right = example.pointer(&pointer).unwrap();
        for wrong in [json!(null), json!(-1.5), json!("\u{7f} \t"), json!([[]]), json!({ "a": {} })]
            .into_iter()
            .chain([json!(true), json!(99_999_999_999_i64), json!("../..\\"), json!([null])])
        {
            // Any text is a good text where only the type counts, and any object a good start.
            let same_type = std::mem::discriminant(&wrong) == std::mem::discriminant(right);
            let boolean_schema = shown == "configSchema.properties.apiKey" && wrong.is_boolean();
            let mut broken = example.clone();
            *broken.pointer_mut(&pointer).unwrap() = wrong.clone();
            let text = serde_json::to_string_pretty(&broken).unwrap();
            let result = Manifest::parse(&text, Some("polls"));
            if same_type || boolean_schema {
                continue;
            }
            let problems = result.err().unwrap_or_default();
            let prefix = if shown.is_empty() { "the whole document" } else { &shown };
            assert!(
                problems.iter().any(|p| p.message.starts_with(prefix)),
                "{shown} = {wrong}: {problems:?}"
            );
            assert!(problems.iter().all(|p| p.line.is_some()), "{shown} = {wrong}");
        }
    }
}

#[test]
fn a_missing_required_key_is_a_problem() {
    for key in ["name", "pluginId", "version", "description", "author", "main"] {
        let mut manifest = minimal();
        manifest.as_object_mut().unwrap().remove(key);
        let found = problems(&manifest);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(key) && found[0].ends_with("but it is missing"), "{found:?}");
    }
}

#[test]
fn permissions_are_compared_entry_by_entry() {
    let asked = json!({ "http": ["https://a", "https://b"], "env": ["A"], "sql": true });
    let asked = Permissions::parse(&asked).unwrap();
    let granted = Permissions::parse(&json!({ "http": ["https://a"] })).unwrap();
    assert_eq!(asked.missing_from(&granted), ["http https://b", "env A", "sql"]);
    assert!(asked.missing_from(&asked).is_empty());
    assert!(Permissions::parse(&json!({ "htpp": [] })).is_err());
    assert!(Permissions::parse(&json!([])).is_err());
}
