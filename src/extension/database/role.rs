//! The role that a plugin's own SQL runs as on PostgreSQL. It has rights on the plugin's tables and on
//! nothing else, so that the database refuses what the checks before it may have missed.

use std::sync::atomic::{AtomicBool, Ordering};

use sea_query::{Expr, ExprTrait as _, Query};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::model::TableSet;
use super::names;
use crate::store::{Cell, DbError, Dialect, Session, Statement};

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

/// The role of the tables that serve, which is asked for once.
#[derive(Debug, Default)]
pub struct KnownRole {
    name: OnceCell<String>,
    /// Whether rights were given inside of a transaction, with which they may be taken back.
    is_provisional: AtomicBool,
}

impl KnownRole {
    /// The role, which has rights on the tables of the set: what the session sees of them.
    ///
    /// # Errors
    /// As [`ensure`].
    pub async fn get(&self, session: &Session, set: &TableSet) -> Result<String, DbError> {
        if let Some(role) = self.name.get() {
            return Ok(role.clone());
        }
        if session.is_transaction() {
            // In it, even if it is rolled back: it may have all connections, or hold the table.
            let (role, has_changed) = ensured(session, set).await?;
            if has_changed {
                self.is_provisional.store(true, Ordering::Relaxed);
            } else if !self.is_provisional.load(Ordering::Relaxed) {
                let _ = self.name.set(role.clone());
            }
            return Ok(role);
        }
        let ensure = async {
            let transaction = session.begin().await?;
            let role = ensure(transaction.session(), set).await?;
            transaction.commit().await.map(|()| role)
        };
        self.name.get_or_try_init(|| ensure).await.cloned()
    }
}

/// Makes the role if it is missing, and lets it use the tables of the set. Only inside of a
/// transaction.
///
/// # Errors
/// `invalid` when the host's user may not make roles; it says what to do.
pub async fn ensure(session: &Session, set: &TableSet) -> Result<String, DbError> {
    Ok(ensured(session, set).await?.0)
}

/// The role, and whether it had to get a right.
async fn ensured(session: &Session, set: &TableSet) -> Result<(String, bool), DbError> {
    let role = name(session, &set.plugin_id).await?;
    if has_rights(session, &role, set).await? {
        return Ok((role, false));
    }
    // PostgreSQL does not let two transactions give rights on a table at the same time. Who has waited
    // may find that all is done.
    let lock = Query::select()
        .expr(Expr::cust_with_values(
            "CAST(pg_advisory_xact_lock(hashtextextended($1, 0)) AS text)",
            [role.as_str()],
        ))
        .to_owned();
    session.fetch(Statement::read(Dialect::Postgres, &lock)).await?;
    if has_rights(session, &role, set).await? {
        return Ok((role, false));
    }
    if !exists(session, &role).await? {
        let create = Statement::command(format!("CREATE ROLE \"{role}\" NOLOGIN"));
        let made = session.execute(create).await;
        // Where it was made meanwhile, a transaction that sees the database as it was does not see it.
        let member = Statement::command(format!("GRANT \"{role}\" TO CURRENT_USER"));
        if let Err(error) = session.execute(member).await {
            return Err(DbError::invalid(format!(
                "raw SQL runs as a role of its own on PostgreSQL, and the role {role} cannot be made \
                 ({}): let the host's database user do it with ALTER ROLE … CREATEROLE",
                made.err().unwrap_or(error).message
            )));
        }
    }
    let (_, schema) = place(session).await?;
    let tables: Vec<String> = set.tables.iter().map(|t| format!("\"{}\"", t.physical)).collect();
    let mut rights = vec![format!("USAGE ON SCHEMA {}", quoted(&schema))];
    if !tables.is_empty() {
        rights.push(format!("SELECT, INSERT, UPDATE, DELETE ON TABLE {}", tables.join(", ")));
    }
    for right in rights {
        session.execute(Statement::command(format!("GRANT {right} TO \"{role}\""))).await?;
    }
    Ok((role, true))
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

/// Whether the role exists and may use all tables of the set.
async fn has_rights(session: &Session, role: &str, set: &TableSet) -> Result<bool, DbError> {
    let mut query = Query::select();
    query
        .expr(Expr::val(1))
        .from("pg_class")
        .and_where(Expr::cust("relnamespace = CAST(current_schema() AS regnamespace)"))
        .and_where(
            Expr::col("relname")
                .cast_as("text")
                .is_in(set.tables.iter().map(|table| table.physical.as_str())),
        )
        .and_where(Expr::cust(format!(
            "has_schema_privilege(to_regrole('{role}'), relnamespace, 'USAGE')"
        )));
    for right in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
        query.and_where(Expr::cust(format!(
            "has_table_privilege(to_regrole('{role}'), pg_class.oid, '{right}')"
        )));
    }
    let allowed = session.fetch(Statement::read(Dialect::Postgres, &query)).await?.len();
    Ok(allowed > 0 && allowed == set.tables.len())
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
