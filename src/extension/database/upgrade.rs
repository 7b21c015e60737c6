//! Brings the tables of a plugin from one version to another, inside a transaction.

use std::sync::Arc;

use parking_lot::RwLock;
use sea_query::{Func, Query};
use tokio::sync::Mutex;

use super::errors::columns_of;
use super::installed::Installed;
use super::model::{Table, TableSet};
use super::plan::{self, Evolving, Plan, Structural};
use super::taken;
use crate::error::{Error, Result};
use crate::store::{Cell, DbError, DbErrorKind, Dialect, Session, Statement};

/// Creates all tables of a set.
///
/// # Errors
/// `invalid` when the session is not a transaction, or when a name is taken in the database; it says
/// by whom.
pub async fn create(session: &Session, set: &TableSet) -> Result<(), DbError> {
    change(session, &TableSet::empty(&set.plugin_id), set).await
}

/// Drops all tables of a set with their rows. What is gone already is passed over.
///
/// # Errors
/// `invalid` when the session is not a transaction.
pub async fn drop(session: &Session, set: &TableSet) -> Result<(), DbError> {
    change(session, set, &TableSet::empty(&set.plugin_id)).await
}

/// Makes the tables of `from` those of `to`, whether or not that loses rows.
///
/// # Errors
/// `invalid` when the session is not a transaction, when a name is taken or a column cannot get its
/// new type. When rows break a new rule the error names table and columns as they are declared.
pub async fn change(session: &Session, from: &TableSet, to: &TableSet) -> Result<(), DbError> {
    if replace(session, from, to).await? {
        foreign_key_check(session, to).await?;
    }
    Ok(())
}

/// Does what [`change`] does but for its last look at the rows; gives whether anything was to do.
async fn replace(session: &Session, from: &TableSet, to: &TableSet) -> Result<bool, DbError> {
    if !session.is_transaction() {
        return Err(DbError::invalid(
            "tables are created, changed and dropped in a transaction only",
        ));
    }
    taken::refuse(session, from, to).await?;
    let statements = plan::statements(session.dialect(), from, to)?;
    let is_needed = !statements.is_empty();
    run(session, to, statements).await?;
    Ok(is_needed)
}

/// The tables of a plugin while its migrations run. Clones are of the same.
#[derive(Debug, Clone)]
pub struct Migrating {
    session: Session,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Taken for as long as a change takes.
    evolving: Mutex<Evolving>,
    set: RwLock<Arc<TableSet>>,
    /// Set when a change failed half-way: then nobody knows what is in the database.
    failed: RwLock<Option<DbError>>,
}

impl Migrating {
    fn new(session: &Session, evolving: Evolving) -> Self {
        let set = RwLock::new(Arc::new(evolving.set().clone()));
        let evolving = Mutex::new(evolving);
        let shared = Shared { evolving, set, failed: RwLock::new(None) };
        Migrating { session: session.clone(), shared: Arc::new(shared) }
    }

    /// The session of the upgrade.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The tables that are in the database now.
    pub fn set(&self) -> Arc<TableSet> {
        self.shared.set.read().clone()
    }

    /// Changes the tables themselves.
    ///
    /// # Errors
    /// `invalid` when the change cannot be made; see [`Evolving::apply`]. After any other error the
    /// upgrade fails, even if the migration goes on.
    pub async fn change(&self, change: &Structural) -> Result<(), DbError> {
        let mut evolving = self.shared.evolving.lock().await;
        let mut next = evolving.clone();
        let statements = next.apply(self.session.dialect(), change)?;
        if let Err(error) = run(&self.session, next.set(), statements).await {
            *self.shared.failed.write() = Some(error.clone());
            return Err(error);
        }
        *self.shared.set.write() = Arc::new(next.set().clone());
        *evolving = next;
        Ok(())
    }
}

/// Brings the tables from what is installed to `to`, and gives what is installed then. `migrate` runs
/// a migration, of which it gets the name; `pending` are those that have not run, in their order.
/// Without any, only what is safe is done.
///
/// # Errors
/// When the session is not a transaction, the plan is refused, a migration fails, or rows break a
/// rule that the new version has. The transaction is then to be rolled back.
pub async fn upgrade<F, Fut>(
    session: &Session,
    from: &Installed,
    to: &TableSet,
    pending: &[String],
    mut migrate: F,
) -> Result<Installed>
where
    F: FnMut(String, Migrating) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let plan = Plan::new(from, to, pending);
    if !plan.refused.is_empty() {
        return Err(Error::unexpected(plan.refused.join("\n")));
    }
    if pending.is_empty() {
        change(session, &from.set, to).await?;
        return Ok(Installed { set: to.clone(), migrations: from.migrations.clone() });
    }
    let expanded = plan::expanded(&from.set, to);
    // Also the names that only the contracted tables need: better now than after all the work.
    taken::refuse(session, &from.set, to).await?;
    replace(session, &from.set, &expanded).await?;
    let migrating = Migrating::new(session, Evolving::new(&from.set, expanded));
    for name in pending {
        migrate(name.clone(), migrating.clone()).await?;
        if let Some(error) = migrating.shared.failed.read().clone() {
            return Err(Error::from(error));
        }
    }
    replace(session, &migrating.set(), to).await?;
    // Also for what the migrations have changed without it.
    foreign_key_check(session, to).await?;
    let migrations = from.migrations.iter().chain(pending).cloned().collect();
    Ok(Installed { set: to.clone(), migrations })
}

async fn run(session: &Session, set: &TableSet, statements: Vec<Statement>) -> Result<(), DbError> {
    for statement in statements {
        session.execute(statement).await.map_err(|error| explained(set, error))?;
    }
    Ok(())
}

/// Checks that every row of the set refers to one that exists. SQLite has to be asked after foreign
/// keys were not enforced for a while; PostgreSQL always enforces them.
///
/// # Errors
/// `foreignKeyViolation`, naming the table.
pub async fn foreign_key_check(session: &Session, set: &TableSet) -> Result<(), DbError> {
    if session.dialect() == Dialect::Postgres {
        return Ok(());
    }
    for table in &set.tables {
        if table.columns.iter().all(|column| column.foreign_key.is_none()) {
            continue;
        }
        let check = Func::cust("pragma_foreign_key_check").arg(table.physical.clone());
        let query =
            Query::select().column("parent").from_function(check, "check").limit(1).to_owned();
        let rows = session.fetch(Statement::read(Dialect::Sqlite, &query)).await?;
        let Some(Cell::Text(parent)) = rows.into_iter().flatten().next() else { continue };
        let parent = set.physical(&parent).map_or(parent.as_str(), |table| &table.name);
        let message =
            format!("{}: a row refers to one of {parent} that does not exist", table.name);
        return Err(DbError::new(DbErrorKind::ForeignKeyViolation, message).at(&table.name, vec![]));
    }
    Ok(())
}

/// The error of a change that the rows do not allow, in the plugin's own terms.
fn explained(set: &TableSet, error: DbError) -> DbError {
    // PostgreSQL counts it as a mistake of the statement and names no table.
    if let Some(rest) = error.message.strip_prefix("invalid input value for enum ")
        && let Some((name, value)) = rest.split_once(": ")
        && let Some(one) = set.physical_enum(name.trim_matches('"'))
    {
        let message = format!(
            "enum {}: a row has the value {value}, which is not allowed any more",
            one.name
        );
        return DbError { kind: DbErrorKind::CheckViolation, message, ..error };
    }
    let is_it = |table: &&Table| {
        let name = error.table.as_deref();
        name == Some(&table.physical) || name == Some(&plan::temporary(&table.physical))
    };
    let what = match error.kind {
        DbErrorKind::UniqueViolation => "several rows have the same",
        DbErrorKind::NotNullViolation => "a row has no value, and one is required now",
        DbErrorKind::CheckViolation => "a row has a value that is not allowed any more",
        DbErrorKind::ForeignKeyViolation => "a row refers to one that does not exist",
        _ => return error,
    };
    let Some(table) = set.tables.iter().find(is_it) else { return error };
    let columns = columns_of(table, &error);
    let place = match columns.as_slice() {
        [] => table.name.clone(),
        [one] => format!("{}.{one}", table.name),
        many => format!("{} ({})", table.name, many.join(", ")),
    };
    let message = format!("{place}: {what}");
    DbError { message, table: Some(table.name.clone()), columns, ..error }
}
