//! The role that a plugin's own SQL runs as on PostgreSQL. It has rights on the plugin's tables and on
//! nothing else, so that the database refuses what the checks before it may have missed.

use sea_query::{Expr, ExprTrait as _, Query};
use sha2::{Digest, Sha256};

use super::model::TableSet;
use super::names;
use crate::store::{Cell, DbError, DbErrorKind, Dialect, Session, Statement};

/// The name of a plugin's role. Roles belong to the whole server, so the database is part of it.
///
/// # Errors
/// Those of the database.
pub async fn name(session: &Session, plugin_id: &str) -> Result<String, DbError> {
    let (database, schema) = place(session).await?;
    let hash = Sha256::digest(format!("{database}\0{schema}").as_bytes());
    let hash: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(names::bounded(format!("moondock_{hash}_{}", names::snake_case(plugin_id))))
}

/// Makes the role if it is missing, and lets it use the tables of the set.
///
/// # Errors
/// `invalid` when the host's user may not make roles; it says what to do.
pub async fn ensure(session: &Session, set: &TableSet) -> Result<String, DbError> {
    let role = name(session, &set.plugin_id).await?;
    let (_, schema) = place(session).await?;
    if !exists(session, &role).await? {
        let made = session.execute(Statement::command(format!("CREATE ROLE \"{role}\" NOLOGIN")));
        match made.await {
            // Another node of the host was faster.
            Err(error) if error.kind == DbErrorKind::UniqueViolation => {}
            Err(_) if exists(session, &role).await? => {}
            Err(error) => {
                return Err(DbError::invalid(format!(
                    "raw SQL runs as a role of its own on PostgreSQL, and the role {role} cannot be \
                     made ({}): let the host's database user do it with ALTER ROLE … CREATEROLE",
                    error.message
                )));
            }
            Ok(_) => {}
        }
        session.execute(Statement::command(format!("GRANT \"{role}\" TO CURRENT_USER"))).await?;
    }
    session
        .execute(Statement::command(format!(
            "GRANT USAGE ON SCHEMA {} TO \"{role}\"",
            quoted(&schema)
        )))
        .await?;
    let tables: Vec<String> = set.tables.iter().map(|t| format!("\"{}\"", t.physical)).collect();
    if !tables.is_empty() {
        let tables = tables.join(", ");
        session
            .execute(Statement::command(format!(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {tables} TO \"{role}\""
            )))
            .await?;
    }
    Ok(role)
}

/// Removes the role, if there is one, after the plugin's tables are dropped.
///
/// # Errors
/// Those of the database.
pub async fn remove(session: &Session, plugin_id: &str) -> Result<(), DbError> {
    if session.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let role = name(session, plugin_id).await?;
    if !exists(session, &role).await? {
        return Ok(());
    }
    let (_, schema) = place(session).await?;
    for sql in [
        format!("REVOKE ALL ON SCHEMA {} FROM \"{role}\"", quoted(&schema)),
        format!("DROP ROLE \"{role}\""),
    ] {
        session.execute(Statement::command(sql)).await?;
    }
    Ok(())
}

async fn exists(session: &Session, role: &str) -> Result<bool, DbError> {
    let query = Query::select()
        .expr(Expr::val(1))
        .from("pg_roles")
        .and_where(Expr::col("rolname").eq(role))
        .to_owned();
    Ok(!session.fetch(Statement::read(Dialect::Postgres, &query)).await?.is_empty())
}

/// The database and the schema in which the tables are.
async fn place(session: &Session) -> Result<(String, String), DbError> {
    let query = Query::select()
        .expr(Expr::cust("CAST(current_database() AS text)"))
        .expr(Expr::cust("CAST(current_schema() AS text)"))
        .to_owned();
    let rows = session.fetch(Statement::read(Dialect::Postgres, &query)).await?;
    match rows.into_iter().next().as_deref() {
        Some([Cell::Text(database), Cell::Text(schema)]) => Ok((database.clone(), schema.clone())),
        _ => Err(DbError::invalid(
            "the database has no current schema: name one in the search_path of the host's user",
        )),
    }
}

/// A schema's name, which the server's administrator chose.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
