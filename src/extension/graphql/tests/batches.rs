//! Batch resolvers: how often they are called, and with what.

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::*;

/// Remembers its calls: the ids of the parents, and the arguments.
#[derive(Debug, Default)]
struct Remembering {
    calls: Mutex<Vec<(String, Map)>>,
    /// What it gives too many or too few.
    off_by: i64,
    /// What it gives for each parent besides its id.
    further: Map,
}

impl BatchResolver for Remembering {
    fn resolve_all<'a>(
        &'a self,
        parents: Vec<Value>,
        args: Map,
        _: &'a RequestContext,
    ) -> BoxFuture<'a, Result<Vec<Value>>> {
        async move {
            let ids: Vec<&str> =
                parents.iter().filter_map(|p| p.get("id").and_then(Value::as_str)).collect();
            self.calls.lock().push((ids.join(","), args));
            // Something that takes a moment.
            tokio::task::yield_now().await;
            let mut values: Vec<Value> = ids
                .iter()
                .map(|id| {
                    let mut map = self.further.clone();
                    map.insert("id".to_owned(), format!("a{id}").into());
                    Value::Map(map)
                })
                .collect();
            match self.off_by {
                0 => {}
                off if off > 0 => values.push(Value::Null),
                _ => drop(values.pop()),
            }
            Ok(values)
        }
        .boxed()
    }
}

fn items(ids: &[&str]) -> Value {
    let item = |id: &&str| Value::Map(Map::from_iter([("id".to_owned(), (*id).into())]));
    Value::List(ids.iter().map(item).collect())
}

/// `items { id author(short) { id items … } }`, where `author` is a batch field.
fn schema_of(author: &Arc<Remembering>) -> Schema {
    let resolver: Arc<dyn BatchResolver> = author.clone();
    let field_of =
        FieldDef::new("author", ty("Author")).arg(arg("short", "Boolean")).batch(resolver);
    let slow = FieldDef::new("slow", ty("Item")).resolver(for_fn(|parent, _, _| {
        let parent = parent.clone();
        async move {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            Ok(parent)
        }
        .boxed()
    }));
    let many: Vec<String> = (0..500).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    schema(
        vec![
            object("Item", vec![property("id", "ID!"), field_of, slow]),
            object("Author", vec![property("id", "ID!"), property("items", "[Item!]")]),
        ],
        vec![
            constant("items", "[Item!]!", items(&["1", "2", "3"])),
            constant("others", "[Item!]!", items(&["4"])),
            constant("many", "[Item!]!", items(&many)),
        ],
    )
}

async fn calls(query: &str) -> Vec<String> {
    let further = Map::from_iter([("items".to_owned(), items(&["x", "y"]))]);
    let author = Arc::new(Remembering { further, ..Default::default() });
    let response = execute(&schema_of(&author), query, "{}").await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    author.calls.lock().iter().map(|(ids, _)| ids.clone()).collect()
}

#[tokio::test]
async fn all_parents_of_a_level_are_one_call() {
    assert_eq!(calls("{ items { author { id } } }").await, ["1,2,3"]);
    // Aliases of the field, and of what it is in.
    assert_eq!(calls("{ items { a: author { id } b: author { id } } }").await, ["1,2,3"]);
    assert_eq!(calls("{ x: items { author { id } } others { author { id } } }").await, ["1,2,3,4"]);
    // Other arguments are another call.
    let query = "{ items { a: author { id } b: author(short: true) { id } } }";
    assert_eq!(calls(query).await, ["1,2,3", "1,2,3"]);
    // Parents that arrive later are waited for, and so are those further down.
    assert_eq!(calls("{ items { slow { author { id } } } }").await, ["1,2,3"]);
    let query = "{ items { author { items { author { id } } } } }";
    assert_eq!(calls(query).await, ["1,2,3", "x,y,x,y,x,y"]);
    let query = "{ items { slow { author { id } } } others { author { id } } }";
    assert_eq!(calls(query).await.len(), 1);
    let many = calls("{ many { slow { author { items { author { id } } } } } }").await;
    assert_eq!(many.len(), 2);
    assert_eq!(many[0].split(',').count(), 500);
    assert_eq!(many[1].split(',').count(), 1000);
}

#[tokio::test]
async fn each_parent_gets_its_own() {
    let author = Arc::new(Remembering::default());
    assert_eq!(
        run(&schema_of(&author), "{ items { id author { id } again: author { id } } }").await,
        r#"{"data":{"items":[{"id":"1","author":{"id":"a1"},"again":{"id":"a1"}},{"id":"2","author":{"id":"a2"},"again":{"id":"a2"}},{"id":"3","author":{"id":"a3"},"again":{"id":"a3"}}]}}"#
    );
}

#[tokio::test]
async fn a_wrong_number_of_values_is_an_error_of_each() {
    for off_by in [1, -1] {
        let author = Arc::new(Remembering { off_by, ..Default::default() });
        let response = execute(&schema_of(&author), "{ items { author { id } } }", "{}").await;
        assert_eq!(
            data(&response),
            r#"{"items":[{"author":null},{"author":null},{"author":null}]}"#
        );
        assert_eq!(response.errors.len(), 3);
        assert_eq!(response.errors[0].code(), "unexpected");
    }
}
