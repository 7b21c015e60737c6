//! Who may use a root field.

use futures_util::future::BoxFuture;

use super::*;

#[derive(Debug)]
struct OnlySeven;

impl AuthCheck for OnlySeven {
    fn allowed<'a>(&'a self, args: &'a Map, _: &'a RequestContext) -> BoxFuture<'a, Result<bool>> {
        async move {
            match args.get("n") {
                Some(Value::Int(0)) => Err(Error::new("teapot", "zero")),
                n => Ok(n == Some(&Value::Int(7))),
            }
        }
        .boxed()
    }
}

fn guarded() -> Schema {
    let with = |name: &str, auth: Auth| RootField {
        operation: Operation::Query,
        field: constant(name, "Int", Value::Int(1)).arg(arg("n", "Int")),
        auth,
    };
    let fields = vec![
        with("open", Auth::Public),
        with("user", Auth::User),
        with("admin", Auth::Administrator),
        with("custom", Auth::Custom(Arc::new(OnlySeven))),
    ];
    Schema::build(&[Arc::new(Declarations { owner: "t".into(), fields, ..Default::default() })])
        .unwrap()
}

async fn ask(query: &str, user: Option<Arc<User>>) -> (String, Vec<String>) {
    let request = Request::new(query);
    let response = guarded().execute(&request, Mode::AnyOperation, &context(user)).await;
    let codes = response.errors.iter().map(|error| error.code().to_owned()).collect();
    (data(&response), codes)
}

#[tokio::test]
async fn no_user_is_unauthenticated_and_a_lesser_role_unauthorized() {
    let query = "{ open user admin }";
    assert_eq!(
        ask(query, None).await,
        (
            r#"{"open":1,"user":null,"admin":null}"#.into(),
            vec!["unauthenticated".into(), "unauthenticated".into()]
        )
    );
    assert_eq!(
        ask(query, Some(user(Role::Regular))).await,
        (r#"{"open":1,"user":1,"admin":null}"#.into(), vec!["unauthorized_action".into()])
    );
    assert_eq!(
        ask(query, Some(user(Role::Administrator))).await,
        (r#"{"open":1,"user":1,"admin":1}"#.into(), vec![])
    );
}

#[tokio::test]
async fn a_custom_check_sees_the_arguments() {
    assert_eq!(ask("{ custom(n: 7) }", None).await, (r#"{"custom":1}"#.into(), vec![]));
    assert_eq!(ask("{ custom(n: 8) }", None).await.1, ["unauthenticated"]);
    assert_eq!(ask("{ custom }", Some(user(Role::Administrator))).await.1, ["unauthorized_action"]);
    assert_eq!(ask("{ custom(n: 0) }", None).await.1, ["teapot"]);
}
