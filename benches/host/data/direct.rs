//! The statements of the plugin's fields without the plugin: through sqlx alone, in a resolver and in
//! an HTTP handler.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures_util::FutureExt;
use moondock::error::Error;
use moondock::extension::graphql::{
    Auth, Declarations, FieldDef, InputValueDef, ObjectDef, Operation, RootField, TypeDef, TypeRef,
    for_fn,
};
use moondock::value::{Map, Value};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, FromRow, PgPool, SqlitePool, postgres::PgPoolOptions};
use tokio::net::TcpListener;

/// What `ctx.db:from("items"):where({ id = … }):first()` becomes.
const SELECT: &str = r#"SELECT "id", "title", "n" FROM "shop_items" WHERE "id" = $1 LIMIT 1"#;
/// What `ctx.db:insert("items", { title = …, n = … })` becomes.
const INSERT: &str =
    r#"INSERT INTO "shop_items" ("title", "n") VALUES ($1, $2) RETURNING "id", "title", "n""#;

#[derive(FromRow, Serialize)]
struct Item {
    id: i64,
    title: String,
    n: i64,
}

#[derive(Deserialize)]
struct NewItem {
    title: String,
    n: i64,
}

/// Connections to the plugin's database that the host does not know of. Cloning is cheap.
#[derive(Clone)]
pub enum Direct {
    Sqlite { readers: SqlitePool, writer: SqlitePool },
    Postgres(PgPool),
}

impl Direct {
    /// Pools that connect when they are first used.
    pub fn new(url: &str) -> Direct {
        if url.starts_with("postgres") {
            let pool = PgPoolOptions::new().max_connections(16).connect_lazy(url);
            return Direct::Postgres(pool.expect("a URL"));
        }
        let options = SqliteConnectOptions::from_str(url)
            .expect("a URL")
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        let pool = |size| {
            SqlitePoolOptions::new().max_connections(size).connect_lazy_with(options.clone())
        };
        Direct::Sqlite { readers: pool(4), writer: pool(1) }
    }

    async fn select(&self, id: i64) -> Result<Option<Item>, sqlx::Error> {
        match self {
            Direct::Sqlite { readers, .. } => {
                sqlx::query_as(SELECT).bind(id).fetch_optional(readers).await
            }
            Direct::Postgres(pool) => sqlx::query_as(SELECT).bind(id).fetch_optional(pool).await,
        }
    }

    /// All rows are fetched, though it is one: an `INSERT … RETURNING` that is left before its end
    /// keeps SQLite's write lock.
    async fn insert(&self, title: &str, n: i64) -> Result<Item, sqlx::Error> {
        let mut rows: Vec<Item> = match self {
            Direct::Sqlite { writer, .. } => {
                sqlx::query_as(INSERT).bind(title).bind(n).fetch_all(writer).await?
            }
            Direct::Postgres(pool) => {
                sqlx::query_as(INSERT).bind(title).bind(n).fetch_all(pool).await?
            }
        };
        rows.pop().ok_or(sqlx::Error::RowNotFound)
    }

    /// Makes the rows 1 to `rows` of an empty table.
    pub async fn fill(&self, rows: usize) {
        let numbers = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers \
             WHERE n < {rows}) \
             INSERT INTO shop_items (title, n) SELECT 'item ' || n, n FROM numbers ORDER BY n"
        );
        let fill = sqlx::raw_sql(AssertSqlSafe(numbers));
        match self {
            Direct::Sqlite { writer, .. } => fill.execute(writer).await.map(drop),
            Direct::Postgres(pool) => {
                let filled = fill.execute(pool).await.map(drop);
                // Without it the planner knows nothing of the table for a while.
                filled.and(sqlx::raw_sql("ANALYZE shop_items").execute(pool).await.map(drop))
            }
        }
        .expect("the table is filled");
    }

    /// The rows that there are.
    pub async fn count(&self) -> u64 {
        const COUNT: &str = "SELECT count(*) FROM shop_items";
        let count: i64 = match self {
            Direct::Sqlite { readers, .. } => sqlx::query_scalar(COUNT).fetch_one(readers).await,
            Direct::Postgres(pool) => sqlx::query_scalar(COUNT).fetch_one(pool).await,
        }
        .expect("the rows are counted");
        count.unsigned_abs()
    }

    pub async fn close(&self) {
        match self {
            Direct::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Direct::Postgres(pool) => pool.close().await,
        }
    }

    /// The fields of the plugin `shop`, as `rust_item` and `rust_add`.
    pub fn declarations(&self) -> Declarations {
        let fields = [("id", "Int!"), ("title", "String!"), ("n", "Int!")];
        let fields = fields.map(|(name, of)| FieldDef::new(name, ty(of))).into();
        let object = ObjectDef { name: "RustItem".into(), fields, ..Default::default() };
        let direct = self.clone();
        let item = for_fn(move |_, args, _| {
            let direct = direct.clone();
            async move {
                let Some(Value::Int(id)) = args.get("id") else { return Err(missing("id")) };
                Ok(direct.select(*id).await.map_err(failed)?.map(map_of).into())
            }
            .boxed()
        });
        let direct = self.clone();
        let add = for_fn(move |_, args, _| {
            let direct = direct.clone();
            async move {
                let (Some(Value::String(title)), Some(Value::Int(n))) =
                    (args.get("title"), args.get("n"))
                else {
                    return Err(missing("title and n"));
                };
                Ok(Value::Int(direct.insert(title, *n).await.map_err(failed)?.id))
            }
            .boxed()
        });
        let item = FieldDef::new("rust_item", ty("RustItem"))
            .arg(InputValueDef::new("id", ty("Int!")))
            .resolver(item);
        let add = FieldDef::new("rust_add", ty("Int!"))
            .arg(InputValueDef::new("title", ty("String!")))
            .arg(InputValueDef::new("n", ty("Int!")))
            .resolver(add);
        let root = |operation, field| RootField { operation, field, auth: Auth::Public };
        Declarations {
            owner: "bench".into(),
            types: vec![TypeDef::Object(object)],
            fields: vec![root(Operation::Query, item), root(Operation::Mutation, add)],
            ..Default::default()
        }
    }

    /// Serves `GET /items/ID` and `POST /items`, which answers with an id: the URL. It ends with the
    /// runtime.
    pub async fn serve(&self) -> String {
        let router = Router::new()
            .route("/items/{id}", get(get_item))
            .route("/items", post(post_item))
            .with_state(Arc::new(self.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let listener = listener.tap_io(|stream| {
            // As the host does.
            let _ = stream.set_nodelay(true);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }
}

async fn get_item(
    State(direct): State<Arc<Direct>>,
    Path(id): Path<i64>,
) -> Result<Response, StatusCode> {
    let item = direct.select(id).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    json(&item.ok_or(StatusCode::NOT_FOUND)?)
}

async fn post_item(State(direct): State<Arc<Direct>>, body: Bytes) -> Result<Response, StatusCode> {
    let new: NewItem = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let made = direct.insert(&new.title, new.n).await;
    json(&made.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.id)
}

fn json(value: &impl Serialize) -> Result<Response, StatusCode> {
    let text = serde_json::to_vec(value).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, "application/json")], text).into_response())
}

fn map_of(item: Item) -> Map {
    let mut map = Map::new();
    map.insert("id".into(), Value::Int(item.id));
    map.insert("title".into(), item.title.into());
    map.insert("n".into(), Value::Int(item.n));
    map
}

fn ty(text: &str) -> TypeRef {
    TypeRef::parse(text).expect("a type")
}

fn missing(what: &str) -> Error {
    Error::unexpected(format!("no {what}"))
}

fn failed(error: sqlx::Error) -> Error {
    // The client only hears that something went wrong.
    eprintln!("{error}");
    Error::unexpected(error.to_string())
}
