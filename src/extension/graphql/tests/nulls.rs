//! Errors and null propagation (specification, sections 6.4.3 and 6.4.4).

use super::*;

/// A chain of objects: `a` is nullable, `b` is not, each with a field that fails.
fn chain() -> Schema {
    let node = vec![
        constant("a", "Node", json("{}")),
        constant("b", "Node!", json("{}")),
        failing("bad", "Int"),
        failing("worse", "Int!"),
        constant("none", "Int!", Value::Null),
        constant("fine", "Int!", Value::Int(1)),
        constant("list", "[Node]", json("[{},null,{}]")),
        constant("full", "[Node!]", json("[{},{}]")),
        constant("hole", "[Node!]", json("[{},null]")),
        constant("sure", "[Node!]!", json("[{},null]")),
        constant("ints", "[Int]", json("[1,\"x\",null]")),
        constant("fullInts", "[Int!]", json("[1,\"x\"]")),
    ];
    schema(vec![object("Node", node.clone())], node)
}

#[tokio::test]
async fn an_error_in_a_nullable_field_nulls_that_field() {
    assert_eq!(
        run(&chain(), "{ bad fine }").await,
        r#"{"errors":[{"message":"it failed","locations":[{"line":1,"column":3}],"path":["bad"],"extensions":{"code":"oops"}}],"data":{"bad":null,"fine":1}}"#
    );
}

#[tokio::test]
async fn an_error_in_a_non_null_field_nulls_the_nearest_nullable_parent() {
    let response = execute(&chain(), "{ a { b { b { worse fine } } fine } fine }", "{}").await;
    assert_eq!(data(&response), r#"{"a":null,"fine":1}"#);
    assert_eq!(errors(&response), ["a.b.b.worse: it failed"]);
}

#[tokio::test]
async fn without_a_nullable_parent_data_is_null() {
    let response = execute(&chain(), "{ b { worse } }", "{}").await;
    assert_eq!(data(&response), "null");
    assert!(serde_json::to_string(&response).unwrap().ends_with(r#","data":null}"#));
}

#[tokio::test]
async fn null_in_a_non_null_field_is_one_error() {
    let response = execute(&chain(), "{ a { none } }", "{}").await;
    assert_eq!(data(&response), r#"{"a":null}"#);
    assert_eq!(errors(&response), ["a.none: Cannot return null for non-nullable field Node.none."]);
    let extensions = serde_json::to_string(&response.errors[0].extensions).unwrap();
    assert_eq!(extensions, r#"{"code":"unexpected","requestId":"req-1"}"#);
}

#[tokio::test]
async fn siblings_keep_their_errors() {
    let response = execute(&chain(), "{ a { worse bad } x: bad }", "{}").await;
    assert_eq!(data(&response), r#"{"a":null,"x":null}"#);
    assert_eq!(errors(&response), ["a.bad: it failed", "a.worse: it failed", "x: it failed"]);
}

#[tokio::test]
async fn lists_null_their_items_or_themselves() {
    let response = execute(&chain(), "{ list { worse } }", "{}").await;
    assert_eq!(data(&response), r#"{"list":[null,null,null]}"#);
    assert_eq!(errors(&response), ["list[0].worse: it failed", "list[2].worse: it failed"]);

    let response = execute(&chain(), "{ full { worse } }", "{}").await;
    assert_eq!(data(&response), r#"{"full":null}"#);

    let response = execute(&chain(), "{ hole { fine } }", "{}").await;
    assert_eq!(data(&response), r#"{"hole":null}"#);
    assert_eq!(
        errors(&response),
        ["hole[1]: Cannot return null for non-nullable field Query.hole."]
    );

    let response = execute(&chain(), "{ a { sure { fine } } }", "{}").await;
    assert_eq!(data(&response), r#"{"a":null}"#);

    let response = execute(&chain(), "{ ints fullInts }", "{}").await;
    assert_eq!(data(&response), r#"{"ints":[1,null,null],"fullInts":null}"#);
    assert_eq!(
        errors(&response),
        [
            "fullInts[1]: The field Query.fullInts of the type \"[Int!]\" resolved to a wrong \
             value (item 1): expected a 32-bit integer (Int), found a string.",
            "ints[1]: The field Query.ints of the type \"[Int]\" resolved to a wrong value \
             (item 1): expected a 32-bit integer (Int), found a string.",
        ]
    );
}

#[tokio::test]
async fn properties_propagate_as_resolvers_do() {
    let schema = schema(
        vec![
            object("Author", vec![property("name", "String!")]),
            object("Post", vec![property("title", "String!"), property("author", "Author!")]),
        ],
        vec![
            constant("post", "Post", json(r#"{"title":"t","author":{}}"#)),
            constant("posts", "[Post]!", json(r#"[{"title":"t","author":{"name":"n"}},{}]"#)),
        ],
    );
    let response =
        execute(&schema, "{ post { title author { name } } posts { title } }", "{}").await;
    assert_eq!(data(&response), r#"{"post":null,"posts":[{"title":"t"},null]}"#);
    assert_eq!(
        errors(&response),
        [
            "post.author.name: Cannot return null for non-nullable field Author.name.",
            "posts[1].title: Cannot return null for non-nullable field Post.title.",
        ]
    );
}

#[tokio::test]
async fn unexpected_errors_are_masked_and_others_are_not() {
    let schema = schema(
        vec![],
        vec![
            field("secret", "Int", |_, _| Err(Error::unexpected("password is hunter2"))),
            field("panics", "Int", |_, _| panic!("boom")),
            field("own", "Int", |_, _| Err(Error::new("forbidden", "no").with("why", "because"))),
        ],
    );
    let masked = |path: &str, column: usize| {
        format!(
            r#"{{"message":"An unexpected error occurred.","locations":[{{"line":1,"column":{column}}}],"path":["{path}"],"extensions":{{"code":"unexpected","requestId":"req-1"}}}}"#
        )
    };
    assert_eq!(
        run(&schema, "{ secret }").await,
        format!(r#"{{"errors":[{}],"data":{{"secret":null}}}}"#, masked("secret", 3))
    );
    assert_eq!(
        run(&schema, "{ panics }").await,
        format!(r#"{{"errors":[{}],"data":{{"panics":null}}}}"#, masked("panics", 3))
    );
    assert!(run(&schema, "{ own }").await.contains(
        r#""message":"no","locations":[{"line":1,"column":3}],"path":["own"],"extensions":{"code":"forbidden","why":"because"}"#
    ));
}
