//! The databases that tests run on: a file for SQLite, a database of its own for PostgreSQL.

use moondock::settings::{Secret, Settings};
use sqlx::{Connection as _, Executor as _};

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

impl On {
    /// The URL of an empty database; `None` for the file in the data dir.
    pub async fn url(self) -> Option<String> {
        match self {
            On::Sqlite => None,
            On::Postgres => Some(postgres().await),
        }
    }

    /// Lets a host use an empty database.
    pub async fn settings(self) -> impl Fn(&mut Settings) {
        let url = self.url().await;
        move |settings: &mut Settings| settings.database_url = url.clone().map(Secret::new)
    }
}

/// An empty database on the server that `./scripts/test` starts. It goes with the server.
async fn postgres() -> String {
    let server = std::env::var("MOONDOCK_TEST_POSTGRES").expect(
        "MOONDOCK_TEST_POSTGRES is not set: run ./scripts/test, or set it to what \
         `scripts/postgres start` prints",
    );
    let name = format!("moondock_test_{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    connection.execute(sqlx::raw_sql(create)).await.unwrap();
    connection.close().await.unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}
