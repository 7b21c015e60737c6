//! Who may call what: every field of the host's schema, by every role.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::multipart::Form;
use serde_json::{Value, json};

use super::{ADMIN_TOKEN, host_with, somebody};
use crate::support::TestHost;

/// Every root field of a host without plugins, and the least that its caller has to be.
const FIELDS: &[(&str, &str, Least)] = &[
    ("query", "auditLog", Least::Administrator),
    ("query", "currentUser", Least::Anybody),
    ("query", "deliveries", Least::Administrator),
    ("query", "getPluginById", Least::Administrator),
    ("query", "getPlugins", Least::Administrator),
    ("mutation", "createPlugin", Least::Administrator),
    ("mutation", "createUser", Least::Administrator),
    ("mutation", "deletePlugin", Least::Administrator),
    ("mutation", "deleteUser", Least::Administrator),
    ("mutation", "discardDelivery", Least::Administrator),
    ("mutation", "grantPlugin", Least::Administrator),
    ("mutation", "installPlugin", Least::Administrator),
    ("mutation", "reloadPlugin", Least::Administrator),
    ("mutation", "retryDelivery", Least::Administrator),
    ("mutation", "rotateToken", Least::User),
    ("mutation", "setPluginConfig", Least::Administrator),
    ("mutation", "signIn", Least::Anybody),
    ("mutation", "signOut", Least::User),
    ("mutation", "signUp", Least::Anybody),
    ("mutation", "updatePlugin", Least::Administrator),
    ("mutation", "updateUser", Least::Administrator),
    ("mutation", "uploadPluginZip", Least::Administrator),
    ("subscription", "pluginEvents", Least::Administrator),
    ("subscription", "pluginLogs", Least::Administrator),
];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Least {
    Anybody,
    User,
    Administrator,
}

/// The variable of a file.
const FILE: &str = "$file";

/// What a call is answered with at first; null for a subscription that has begun.
async fn ask(host: &TestHost, token: Option<&str>, query: &str) -> Value {
    let mut request = host.client.post(format!("{}/graphql", host.url));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if query.contains(FILE) {
        let operations = json!({ "query": query, "variables": { "file": null } }).to_string();
        let form = Form::new().text("operations", operations);
        let form = form.text("map", r#"{"0": ["variables.file"]}"#).text("0", "no zip");
        return request.multipart(form).send().await.unwrap().json().await.unwrap();
    }
    let request = request.json(&json!({ "query": query }));
    if !query.starts_with("subscription") {
        return request.send().await.unwrap().json().await.unwrap();
    }
    let mut response = request.header("accept", "text/event-stream").send().await.unwrap();
    let first = tokio::time::timeout(Duration::from_millis(300), response.chunk()).await;
    let Ok(Ok(Some(first))) = first else { return Value::Null };
    let text = std::str::from_utf8(&first).unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str(data).unwrap()
}

/// The types of the schema by name.
struct Schema(BTreeMap<String, Value>);

impl Schema {
    async fn of(host: &TestHost) -> Schema {
        let of_type = "kind name ofType { kind name ofType { kind name ofType { kind name } } }";
        let query = format!(
            "{{ __schema {{ types {{ kind name enumValues {{ name }} inputFields {{ name type {{ {of_type} }} }} \
             fields {{ name args {{ name type {{ {of_type} }} }} type {{ {of_type} }} }} }} }} }}"
        );
        let data = host.data(ADMIN_TOKEN, &query, json!({})).await;
        let types = data["__schema"]["types"].as_array().unwrap().clone();
        Schema(types.into_iter().map(|t| (t["name"].as_str().unwrap().to_owned(), t)).collect())
    }

    fn root(&self, operation: &str) -> Vec<Value> {
        let name = match operation {
            "query" => "Query",
            "mutation" => "Mutation",
            _ => "Subscription",
        };
        self.0[name]["fields"].as_array().unwrap().clone()
    }

    /// A value of a type, as it is written in a query.
    fn value(&self, ty: &Value) -> String {
        let inner = || self.value(&ty["ofType"]);
        match ty["kind"].as_str().unwrap() {
            "NON_NULL" => inner(),
            "LIST" => format!("[{}]", inner()),
            "ENUM" => self.0[ty["name"].as_str().unwrap()]["enumValues"][0]["name"]
                .as_str()
                .unwrap()
                .to_owned(),
            "INPUT_OBJECT" => {
                let fields =
                    self.0[ty["name"].as_str().unwrap()]["inputFields"].as_array().unwrap();
                let fields = fields.iter().map(|field| {
                    format!("{}: {}", field["name"].as_str().unwrap(), self.value(&field["type"]))
                });
                format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
            }
            _ => match ty["name"].as_str().unwrap() {
                "Int" | "Float" => "1".into(),
                "Boolean" => "true".into(),
                "JSON" => "{}".into(),
                "Upload" => FILE.into(),
                _ => "\"00000000-0000-4000-8000-00000000000f\"".into(),
            },
        }
    }

    /// A call of a root field.
    fn call(&self, operation: &str, field: &Value) -> String {
        let args: Vec<String> = field["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arg| format!("{}: {}", arg["name"].as_str().unwrap(), self.value(&arg["type"])))
            .collect();
        let args = if args.is_empty() { String::new() } else { format!("({})", args.join(", ")) };
        let mut ty = &field["type"];
        while !ty["ofType"].is_null() {
            ty = &ty["ofType"];
        }
        let selection = if ty["kind"] == "OBJECT" { " { __typename }" } else { "" };
        let variables = if args.contains(FILE) { "($file: Upload!)" } else { "" };
        let name = field["name"].as_str().unwrap();
        format!("{operation}{variables} {{ {name}{args}{selection} }}")
    }
}

#[tokio::test]
async fn every_field_is_for_its_roles_and_no_others() {
    let host = host_with(|_| ()).await;
    let schema = Schema::of(&host).await;
    let mut all: Vec<(&str, String)> = Vec::new();
    for operation in ["query", "mutation", "subscription"] {
        let fields = schema.root(operation);
        all.extend(fields.iter().map(|f| (operation, f["name"].as_str().unwrap().to_owned())));
    }
    let place = |operation: &str| {
        ["query", "mutation", "subscription"].iter().position(|o| *o == operation)
    };
    all.sort_by_key(|(operation, name)| (place(operation), name.clone()));
    let known: Vec<(&str, String)> =
        FIELDS.iter().map(|(operation, name, _)| (*operation, (*name).to_owned())).collect();
    assert_eq!(all, known, "a field without a row here, or a row without a field");

    for (operation, name, least) in FIELDS {
        let fields = schema.root(operation);
        let field = fields.iter().find(|field| field["name"] == *name).unwrap();
        let query = schema.call(operation, field);
        for (caller, role) in [
            ("anonymous", Least::Anybody),
            ("regular", Least::User),
            ("administrator", Least::Administrator),
        ] {
            // A token of its own for each call: some end it.
            let token = match role {
                Least::Anybody => None,
                Least::User => Some(fresh(&host).await),
                Least::Administrator => Some(ADMIN_TOKEN.to_owned()),
            };
            let answer = ask(&host, token.as_deref(), &query).await;
            let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none");
            let refusal = match role {
                Least::Anybody => "unauthenticated",
                _ => "unauthorized_action",
            };
            // Of what may be called the arguments are wrong or name nothing.
            let may = role >= *least;
            let said = *name == "signIn" && code == "unauthenticated";
            let is_refused = code == refusal && !said;
            assert_eq!(!may, is_refused, "{caller} {query}: {answer}");
            assert_ne!(code, "graphql_validation_failed", "{query}: {answer}");
            assert_ne!(code, "unexpected", "{caller} {query}: {answer}");
        }
    }
    host.stop().await;
}

/// The token of somebody regular who has just come.
async fn fresh(host: &TestHost) -> String {
    let name = format!("u{}", uuid::Uuid::new_v4().simple());
    somebody(host, &name).await.0
}
