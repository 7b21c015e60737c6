//! A process that is killed while it installs a plugin.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::binary::{moondock, outcome, run};
use crate::support::{manifest_with, write};

const TABLES: usize = 20;
const ROWS: usize = 60;

fn write_big(dir: &tempfile::TempDir) {
    let mut tables = "local t = require(\"@std/table\")\nreturn {\n".to_owned();
    let mut points = Vec::new();
    for n in 0..TABLES {
        tables.push_str(&format!(
            "t{n} = t.table(\"t{n}\", {{ id = t.serial():primaryKey(), note = t.text() }}, \
             {{ indexes = {{ {{ \"note\" }} }} }}),\n"
        ));
        points.push(format!(r#"{{ "type": "table", "name": "t{n}", "file": "tables.lua" }}"#));
    }
    tables.push_str("}\n");
    let main = format!(
        "local M = {{}}\nfunction M.onInstall(ctx)\n  for i = 1, {ROWS} do\n    \
         ctx.db:insert(\"t\" .. (i % {TABLES}), {{ note = \"row \" .. i }})\n    \
         local till = os.clock() + 0.002 while os.clock() < till do end\n  end\nend\nreturn M\n"
    );
    let points = format!(r#""database": [{}]"#, points.join(", "));
    let folder = dir.path().join("plugins/big");
    let runtime = r#", "runtime": { "timeoutMs": 20000 }"#;
    write(&folder.join("manifest.json"), &manifest_with("big", &points, runtime));
    write(&folder.join("init.lua"), &main);
    write(&folder.join("tables.lua"), &tables);
}

/// How many tables of the plugin there are, and how many rows in them.
async fn counted(dir: &tempfile::TempDir) -> (usize, i64) {
    let file = dir.path().join("data/moondock.db");
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(file)).await.unwrap();
    let sql = "select count(*) from sqlite_master where type = 'table' and name like 'big\\_%' \
               escape '\\'";
    let tables: i64 = sqlx::query(sql).fetch_one(&pool).await.unwrap().get(0);
    let mut rows = 0;
    for n in 0..TABLES {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from big_t{n}"));
        rows += match sqlx::query(sql).fetch_one(&pool).await {
            Ok(row) => row.get::<i64, _>(0),
            Err(_) => 0,
        };
    }
    let check: String =
        sqlx::query("pragma integrity_check").fetch_one(&pool).await.unwrap().get(0);
    assert_eq!(check, "ok");
    pool.close().await;
    (usize::try_from(tables).unwrap(), rows)
}

#[tokio::test]
async fn an_installation_is_whole_or_not_at_all() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    write_big(&dir);
    // How long all of it takes here, so that the kills are spread over it.
    let started = Instant::now();
    let (code, _, err) = outcome(&run(dir.path(), &["plugin", "install", "big"]));
    assert_eq!(code, 0, "{err}");
    let whole = started.elapsed();
    assert_eq!(counted(&dir).await, (TABLES, ROWS as i64));
    assert!(run(dir.path(), &["plugin", "uninstall", "big"]).status.success());

    let (mut installed, mut not_installed) = (0, 0);
    for point in 0..30 {
        let mut command = moondock(dir.path(), &["plugin", "install", "big"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let wait = whole.mul_f64(f64::from(point) / 26.0).max(Duration::from_millis(5));
        tokio::time::sleep(wait).await;
        child.kill().unwrap();
        child.wait().unwrap();

        let (code, out, err) = outcome(&run(dir.path(), &["plugin", "list", "--json"]));
        assert_eq!(code, 0, "point {point}: {err}");
        let list: Value = serde_json::from_str(&out).unwrap();
        let is_installed = list[0]["isInstalled"] == true;
        let expected = if is_installed { (TABLES, ROWS as i64) } else { (0, 0) };
        assert_eq!(counted(&dir).await, expected, "point {point}: {list}");
        if is_installed {
            installed += 1;
        } else {
            not_installed += 1;
            let (code, _, err) = outcome(&run(dir.path(), &["plugin", "install", "big"]));
            assert_eq!(code, 0, "point {point}: {err}");
            assert_eq!(counted(&dir).await, (TABLES, ROWS as i64));
        }
        let (code, _, err) = outcome(&run(dir.path(), &["plugin", "uninstall", "big"]));
        assert_eq!(code, 0, "point {point}: {err}");
        assert_eq!(counted(&dir).await, (0, 0), "point {point}");
    }
    assert!(not_installed >= 5, "{not_installed} of the kills came before the end");
    println!("{installed} wholly installed, {not_installed} wholly not");
}
