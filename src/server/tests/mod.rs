//! Tests of the routes as a whole, from request to response.

mod graphql;
mod routes;
mod serve;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use futures_util::FutureExt;
use serde_json::Value as Json;
use tower::ServiceExt;

use super::auth::TokenAuthenticator;
use super::{ServerState, router};
use crate::containers::Containers;
use crate::events::EventBus;
use crate::extension::graphql::{
    Auth, Declarations, FieldDef, Graphql, HOST, InputValueDef, Operation, RootField, for_fn,
};
use crate::plugin::world::World;
use crate::services::{Limits, Services};
use crate::settings::Secret;
use crate::settings::graphql::{GraphqlSettings, Introspection};
use crate::store::{Store, StoreOptions};
use crate::value::{Map, Value};

const TOKEN: &str = "0123456789abcdef";
const BODY_LIMIT: usize = 10_000;

fn field(operation: Operation, field: FieldDef) -> RootField {
    RootField { operation, field, auth: Auth::Public }
}

/// What the tests query.
fn declarations() -> Declarations {
    let greet = FieldDef::new("greet", "String!".parse().unwrap())
        .arg(InputValueDef::new("name", "String!".parse().unwrap()))
        .resolver(for_fn(|_, args, _| {
            let name = args.get("name").and_then(Value::as_str).unwrap_or_default();
            let text = format!("Hello, {name}!");
            async move { Ok(Value::from(text)) }.boxed()
        }));
    let fails = FieldDef::new("fails", "String!".parse().unwrap()).resolver(for_fn(|_, _, _| {
        async { Err(crate::error::Error::new("oops", "it failed")) }.boxed()
    }));
    let slow = FieldDef::new("slow", "Int".parse().unwrap())
        .arg(InputValueDef::new("ms", "Int!".parse().unwrap()))
        .resolver(for_fn(|_, args, _| {
            let Some(Value::Int(ms)) = args.get("ms").cloned() else { panic!("checked before") };
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(ms.unsigned_abs())).await;
                Ok(Value::Int(ms))
            }
            .boxed()
        }));
    let request =
        FieldDef::new("request", "JSON!".parse().unwrap()).resolver(for_fn(|_, _, cx| {
            let mut map = Map::new();
            map.insert("id".into(), cx.info.id.as_str().into());
            map.insert("method".into(), cx.info.method.as_str().into());
            map.insert("path".into(), cx.info.path.as_str().into());
            let headers = cx.info.headers.iter().map(|(k, v)| (k.to_owned(), Value::from(&*v)));
            map.insert("headers".into(), Value::Map(headers.collect()));
            map.insert("ip".into(), cx.info.ip.map(|ip| ip.to_string()).into());
            map.insert("user".into(), cx.user.as_ref().map(|user| user.name.clone()).into());
            async move { Ok(Value::Map(map)) }.boxed()
        }));
    let touch = FieldDef::new("touch", "Boolean!".parse().unwrap())
        .resolver(for_fn(|_, _, _| async { Ok(Value::Bool(true)) }.boxed()));
    let queries = [greet, fails, slow, request].map(|def| field(Operation::Query, def));
    let mut fields = Vec::from(queries);
    fields.push(field(Operation::Mutation, touch));
    Declarations { owner: HOST.to_owned(), fields, ..Default::default() }
}

/// A server whose parts a test may change.
struct Server {
    services: Arc<Services>,
    ready: Arc<AtomicBool>,
    router: Router,
}

async fn server() -> Server {
    let graphql = Graphql { host: vec![Arc::new(declarations())], ..Default::default() };
    let services = crate::extension::services::ServicePoint::new(&Default::default());
    let points = crate::extension::all(graphql, services);
    let world = World::build(&points, Vec::new()).unwrap();
    let services = Arc::new(Services {
        store: Store::open("sqlite::memory:", StoreOptions::default()).await.unwrap(),
        limits: Limits { max_memory_mb: 64, max_timeout_ms: 1_000 },
        points,
        world: ArcSwap::from_pointee(world),
        worlds: Default::default(),
        events: EventBus::default(),
        pubsub: Default::default(),
        audit: Default::default(),
        caches: Default::default(),
        outbound: Default::default(),
        containers: Arc::new(Containers::new(Default::default(), "plugins".into(), "data".into())),
        failures: Default::default(),
    });
    let ready = Arc::new(AtomicBool::new(true));
    let router = router(ServerState {
        services: services.clone(),
        authenticator: Arc::new(TokenAuthenticator::new(Some(&Secret::new(TOKEN)))),
        ready: ready.clone(),
        body_limit: BODY_LIMIT,
        webhook_rates: (0, 0),
        graphql: GraphqlSettings::new(Introspection::Everyone),
        operations: Default::default(),
        stop: Default::default(),
        connections: Default::default(),
    });
    Server { services, ready, router }
}

/// A response, read.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

impl Server {
    async fn ask(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Reply { status: parts.status, headers: parts.headers, text }
    }

    /// Sends a body that is JSON.
    async fn post(&self, accept: &str, body: impl Into<Body>) -> Reply {
        let request = Request::post("/graphql")
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(body.into())
            .unwrap();
        self.ask(request).await
    }

    async fn get(&self, accept: &str, uri: &str) -> Reply {
        let request = Request::get(uri).header("accept", accept).body(Body::empty()).unwrap();
        self.ask(request).await
    }
}
