//! Names in the database that are taken already.

use sea_query::{Expr, ExprTrait as _, Query, SelectStatement, UnionType};

use super::installed::Installed;
use super::model::TableSet;
use crate::store::plugins::{self, PluginFilter};
use crate::store::{Cell, DbError, Dialect, Session, Statement};

/// A name in the database, and what of the plugin needs it.
struct Wanted {
    physical: String,
    /// Such as `table votes`.
    what: String,
}

/// Refuses names that `to` needs beyond those of `from`, if the database has them. Two plugins can
/// want one name: table `c` of `a_b` and table `b_c` of `a` are both `a_b_c`.
///
/// # Errors
/// `invalid`; it says by whom a name is taken.
pub(super) async fn refuse(
    session: &Session,
    from: &TableSet,
    to: &TableSet,
) -> Result<(), DbError> {
    let dialect = session.dialect();
    let own = names(dialect, from);
    let new: Vec<Wanted> = names(dialect, to)
        .into_iter()
        .filter(|name| own.iter().all(|o| o.physical != name.physical))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let query = existing(dialect, new.iter().map(|name| name.physical.as_str()).collect());
    let rows = session.fetch(Statement::read(dialect, &query)).await?;
    let Some(Cell::Text(taken)) = rows.into_iter().flatten().next() else { return Ok(()) };
    let owner = owner(session, &taken).await?;
    let what = new.iter().find(|name| name.physical == taken).map_or("", |name| name.what.as_str());
    let kind = what.split(' ').next().unwrap_or_default();
    Err(DbError::invalid(format!(
        "{what} of plugin {} needs the name {taken} in the database, which is taken {owner}; rename the {kind}",
        to.plugin_id
    )))
}

async fn owner(session: &Session, taken: &str) -> Result<String, DbError> {
    for record in plugins::list(session, &PluginFilter::default()).await? {
        let Ok(Some(installed)) = Installed::of(&record) else { continue };
        if names(session.dialect(), &installed.set).iter().any(|name| name.physical == taken) {
            return Ok(format!("by plugin {}", record.plugin_id));
        }
    }
    Ok("by a table that belongs to no plugin".to_owned())
}

/// All names that a set takes. In PostgreSQL the indexes behind keys and unique columns have names
/// too, and enums are types, which share their names with tables.
fn names(dialect: Dialect, set: &TableSet) -> Vec<Wanted> {
    let mut names = Vec::new();
    for table in &set.tables {
        let mut add = |physical: String| {
            names.push(Wanted { physical, what: format!("table {}", table.name) });
        };
        add(table.physical.clone());
        table.indexes.iter().for_each(|index| add(index.physical.clone()));
        if dialect == Dialect::Postgres {
            if !table.key.is_empty() {
                add(table.key_constraint());
            }
            for column in table.columns.iter().filter(|c| table.has_unique(c)) {
                add(table.unique_constraint(column));
            }
        }
    }
    if dialect == Dialect::Postgres {
        let named = |e: &super::Enum| Wanted {
            physical: e.physical.clone(),
            what: format!("enum {}", e.name),
        };
        names.extend(set.enums.iter().map(named));
    }
    names
}

/// Those of `names` that are in the database.
fn existing(dialect: Dialect, names: Vec<&str>) -> SelectStatement {
    if dialect == Dialect::Sqlite {
        let name = Expr::col("name");
        return Query::select()
            .column("name")
            .from("sqlite_schema")
            .and_where(name.is_in(names))
            .limit(1)
            .to_owned();
    }
    let of = |catalog: &'static str, name: &'static str, schema: &'static str| {
        let current = Query::select()
            .column("oid")
            .from("pg_namespace")
            .and_where(Expr::col("nspname").eq(Expr::cust("current_schema()")))
            .to_owned();
        Query::select()
            .expr(Expr::col(name).cast_as("text"))
            .from(catalog)
            .and_where(Expr::col(name).cast_as("text").is_in(names.clone()))
            .and_where(Expr::col(schema).in_subquery(current))
            .to_owned()
    };
    of("pg_class", "relname", "relnamespace")
        .union(UnionType::Distinct, of("pg_type", "typname", "typnamespace"))
        .limit(1)
        .to_owned()
}
