use serde_json::json;

use super::*;

fn schema(json: Json) -> ConfigSchema {
    ConfigSchema::compile(&json).unwrap()
}

fn value(json: Json) -> Value {
    Value::from(&json)
}

fn problems(schema: Json) -> Vec<String> {
    let wrong = ConfigSchema::compile(&schema).unwrap_err();
    wrong.into_iter().map(|(path, message)| format!("{path}: {message}")).collect()
}

#[test]
fn issues_say_where_and_do_not_quote() {
    let schema = schema(json!({
        "type": "object",
        "required": ["key", "url"],
        "additionalProperties": false,
        "properties": {
            "key": { "type": "string", "maxLength": 3, "writeOnly": true },
            "url": { "type": "string", "format": "uri" },
            "list": { "items": { "type": "integer" } },
            "region": { "enum": ["eu", "us"], "default": "eu" },
        },
    }));
    let config = json!({ "key": "hunter2", "list": [1, "hunter2"], "other": "hunter2",
                         "region": "hunter2" });
    let mut issues: Vec<String> =
        schema.issues(&value(config)).iter().map(ConfigIssue::to_string).collect();
    issues.sort();
    assert!(issues.iter().all(|issue| !issue.contains("hunter2")), "{issues:?}");
    let places: Vec<&str> = issues.iter().filter_map(|i| Some(i.split_once(": ")?.0)).collect();
    assert_eq!(
        places,
        ["config.key", "config.list[1]", "config.region", "config.url", "config"],
        "{issues:?}"
    );
    assert!(schema.issues(&value(json!({ "key": "abc", "url": "https://x" }))).is_empty());
    assert_eq!(schema.issues(&value(json!([])))[0].to_string(), {
        "config: the configuration must be an object"
    });
    let wrong = schema.issues(&value(json!({ "key": "abc", "url": "no" })));
    assert_eq!(wrong[0].path, [Value::from("url")], "formats are checked");
}

#[test]
fn defaults_fill_what_is_not_there() {
    let schema = schema(json!({
        "$defs": { "retry": {
            "type": "object",
            "properties": { "times": { "default": 3 }, "delay": { "default": 1.5 } },
        } },
        "properties": {
            "region": { "type": "string", "default": "eu" },
            "retry": { "$ref": "#/$defs/retry" },
            "given": { "allOf": [{ "$ref": "#/$defs/retry" }], "default": { "times": 1 } },
            "hooks": { "items": { "properties": { "on": { "default": true } } } },
            "plain": { "type": "object", "properties": { "x": {} } },
            "needy": { "type": "object", "required": ["x"],
                       "properties": { "x": {}, "y": { "default": 1 } } },
            "either": { "anyOf": [{ "default": 1 }] },
        },
    }));
    assert_eq!(
        schema.complete(&value(json!({}))),
        value(json!({
            "region": "eu",
            "retry": { "times": 3, "delay": 1.5 },
            "given": { "times": 1, "delay": 1.5 },
        }))
    );
    let config = json!({ "region": null, "retry": { "times": 9 }, "hooks": [{}, { "on": false }],
                         "needy": {} });
    assert_eq!(
        schema.complete(&value(config)),
        value(json!({
            "region": null,
            "retry": { "times": 9, "delay": 1.5 },
            "hooks": [{ "on": true }, { "on": false }],
            "needy": { "y": 1 },
            "given": { "times": 1, "delay": 1.5 },
        }))
    );
}

#[test]
fn a_schema_within_itself_has_an_end() {
    let tree = schema(json!({
        "type": "object",
        "properties": { "name": { "default": "x" }, "child": { "$ref": "#", "default": {} } },
    }));
    let full = tree.complete(&value(json!({})));
    assert_eq!(full, value(json!({ "name": "x", "child": { "name": "x" } })));
    assert!(tree.issues(&full).is_empty());
    // Each of the levels doubles what defaults make.
    let mut defs = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
        let properties = json!({ "a": next, "b": next });
        let level_schema = json!({ "type": "object", "default": {}, "properties": properties });
        defs.insert(format!("l{level}"), level_schema);
    }
    defs.insert("l30".into(), json!({ "default": 1 }));
    let wide = schema(json!({ "$defs": defs, "properties": { "a": { "$ref": "#/$defs/l0" } } }));
    let text = serde_json::to_string(&wide.complete(&value(json!({})))).unwrap();
    assert!(text.len() < 100_000);
}

#[test]
fn what_is_write_only_is_not_visible_wherever_it_is() {
    let secret = json!({ "writeOnly": true });
    let schema = schema(json!({
        "$defs": { "secret": secret, "named": { "$anchor": "hidden", "writeOnly": true } },
        "properties": {
            "open": { "properties": { "key": secret, "id": {} } },
            "list": { "items": { "properties": { "key": secret } } },
            "pair": { "prefixItems": [{}, secret] },
            "ref": { "$ref": "#/$defs/secret" },
            "anchor": { "$ref": "#hidden" },
            "any": { "anyOf": [{ "type": "string", "writeOnly": true }, { "type": "integer" }] },
            "all": { "allOf": [{ "oneOf": [secret] }] },
            "map": { "additionalProperties": secret, "properties": { "shown": {} } },
            "pattern": { "patternProperties": { "^s_": secret } },
        },
        "if": { "required": ["mode"] },
        "then": { "properties": { "conditional": secret } },
    }));
    let config = json!({
        "open": { "key": "hunter2", "id": 1 },
        "list": [{ "key": "hunter2", "x": 1 }, {}],
        "pair": [1, "hunter2"],
        "ref": "hunter2", "anchor": "hunter2", "any": 5, "all": "hunter2",
        "map": { "a": "hunter2", "shown": 1 },
        "pattern": { "s_a": "hunter2", "t": 1 },
        "conditional": "hunter2",
        "free": "seen",
    });
    assert_eq!(
        schema.visible(&value(config)),
        value(json!({
            "open": { "id": 1 }, "list": [{ "x": 1 }, {}], "pair": [1], "map": { "shown": 1 },
            "pattern": { "t": 1 }, "free": "seen",
        }))
    );
}

#[test]
fn a_schema_that_is_none_is_a_problem_with_its_path() {
    for (schema, expected) in [
        (json!({ "properties": { "a": { "minLength": -1 } } }), "configSchema.properties.a.minLe"),
        (json!({ "properties": { "a b": { "items": 5 } } }), "configSchema.properties[\"a b\"].it"),
        (json!({ "allOf": [{}, { "type": "text" }] }), "configSchema.allOf[1].type: "),
        (
            json!({ "properties": { "a": { "$ref": "https://example.com/schema.json" } } }),
            "configSchema.properties.a[\"$ref\"]: expected a reference within the schema",
        ),
        (
            json!({ "allOf": [{ "$ref": "#/$defs/none" }] }),
            "configSchema.allOf[0][\"$ref\"]: expected a reference within the schema",
        ),
        (
            json!({ "$defs": { "a": { "$id": "http://x/y" } } }),
            "configSchema[\"$defs\"].a[\"$id\"]: a schema within the schema cannot have an",
        ),
    ] {
        let found = problems(schema.clone());
        assert_eq!(found.len(), 1, "{schema}: {found:?}");
        assert!(found[0].starts_with(expected), "{schema}: {found:?}");
    }
    // Look-around needs a backtracking engine, which a hostile value could keep busy.
    let found = problems(json!({ "properties": { "a": { "pattern": "(?=x)" } } }));
    assert!(found[0].starts_with("configSchema.properties.a.pattern: "), "{found:?}");
    let found = problems(json!({ "patternProperties": { "(": {} } }));
    assert!(found[0].starts_with("configSchema.patternProperties"), "{found:?}");
}
