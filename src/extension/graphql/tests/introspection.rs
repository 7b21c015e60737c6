//! `__schema` and `__type`.

use super::*;

fn described() -> Schema {
    let mut name = property("name", "String!");
    name.description = Some("What it is called.".into());
    let mut old = property("old", "Int");
    old.deprecated = Some("use name".into());
    let thing = object("Thing", vec![name, old]);
    let things = constant("things", "[Thing!]!", json(r#"[{"name":"n"}]"#))
        .arg(arg("state", "State").default("ON"))
        .arg(arg("n", "Int").default(3));
    schema(vec![thing, enumeration("State", &["ON", "OFF"])], vec![things])
}

#[tokio::test]
async fn introspection_and_data_mix_in_selection_order() {
    let query = "query($deep: Boolean!, $t: String = \"Thing\") {
        t: __type(name: $t) { name fields(includeDeprecated: true) { name isDeprecated deprecationReason @include(if: $deep) } }
        things { name }
        s: __schema { ...S }
        __typename
        q: __schema { mutationType { name } }
        none: __type(name: \"Nope\") { name }
        gone: __schema @skip(if: $deep) { nothing: __typename }
    }
    fragment S on __Schema { queryType { name } }";
    assert_eq!(
        run_with(&described(), query, r#"{"deep":true}"#).await,
        r#"{"data":{"t":{"name":"Thing","fields":[{"name":"name","isDeprecated":false,"deprecationReason":null},{"name":"old","isDeprecated":true,"deprecationReason":"use name"}]},"things":[{"name":"n"}],"s":{"queryType":{"name":"Query"}},"__typename":"Query","q":{"mutationType":null},"none":null}}"#
    );
}

#[tokio::test]
async fn arguments_and_defaults_are_described() {
    let query =
        r#"{ __type(name: "Query") { fields { name args { name defaultValue type { name } } } } }"#;
    assert_eq!(
        run(&described(), query).await,
        r#"{"data":{"__type":{"fields":[{"name":"things","args":[{"name":"state","defaultValue":"ON","type":{"name":"State"}},{"name":"n","defaultValue":"3","type":{"name":"Int"}}]}]}}}"#
    );
}

#[tokio::test]
async fn merged_introspection_fields_are_both_answered() {
    let query = "{ __schema { queryType { name } } __schema { mutationType { name } } }";
    assert_eq!(
        run(&described(), query).await,
        r#"{"data":{"__schema":{"queryType":{"name":"Query"},"mutationType":null}}}"#
    );
}

#[tokio::test]
async fn the_usual_introspection_query_is_answered() {
    let query = "query IntrospectionQuery { __schema { queryType { name } types { ...FullType }
        directives { name locations args { ...InputValue } } } }
        fragment FullType on __Type { kind name description
          fields(includeDeprecated: true) { name args { ...InputValue } type { ...TypeRef } }
          inputFields { ...InputValue } interfaces { ...TypeRef }
          enumValues(includeDeprecated: true) { name } possibleTypes { ...TypeRef } }
        fragment InputValue on __InputValue { name type { ...TypeRef } defaultValue }
        fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType {
          kind name ofType { kind name ofType { kind name } } } } } }";
    let text = run(&described(), query).await;
    assert!(
        text.starts_with(r#"{"data":{"__schema":{"queryType":{"name":"Query"},"types":["#),
        "{text}"
    );
    assert!(text.contains(r#""name":"Thing""#) && text.contains(r#""name":"State""#));
}
