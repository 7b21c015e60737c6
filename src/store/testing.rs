//! Databases for tests: each test gets one of its own, on whichever of the two it asks for.

use std::sync::Arc;

use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;

use super::{Cipher, Store, StoreOptions};

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// An empty database.
pub struct TestDatabase {
    pub url: String,
    directory: Option<TempDir>,
}

impl TestDatabase {
    /// # Panics
    /// Without the server that `./scripts/test` starts.
    pub async fn new(on: On) -> Self {
        if on == On::Sqlite {
            let directory = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", directory.path().join("test.db").display());
            return TestDatabase { url, directory: Some(directory) };
        }
        let server = std::env::var("MOONDOCK_TEST_POSTGRES").expect(
            "MOONDOCK_TEST_POSTGRES is not set: run ./scripts/test, or set it to what \
             `scripts/postgres start` prints",
        );
        let name = format!("moondock_test_{}", uuid::Uuid::new_v4().simple());
        let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        connection.execute(sqlx::raw_sql(create)).await.unwrap();
        connection.close().await.unwrap();
        // They go with the throw-away server.
        let (server, _) = server.rsplit_once('/').unwrap();
        TestDatabase { url: format!("{server}/{name}"), directory: None }
    }

    /// Opens it; it may be opened several times.
    pub async fn open(&self) -> Arc<Store> {
        // Always with the same key, so that what one has written the next can read.
        let cipher = Cipher::new("the secret of this test database");
        self.open_with(StoreOptions { cipher, ..StoreOptions::default() }).await
    }

    pub async fn open_with(&self, options: StoreOptions) -> Arc<Store> {
        Store::open(&self.url, options).await.unwrap()
    }

    /// The folder of an SQLite file.
    pub fn directory(&self) -> Option<&TempDir> {
        self.directory.as_ref()
    }
}
