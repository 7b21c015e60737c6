//! Creates and drops the tables of a plugin.

use sea_query::{
    Check, ColumnDef, ColumnType as SqlType, Expr, ExprTrait as _, ForeignKey, ForeignKeyAction,
    Index as SqlIndex, Query, SimpleExpr, Table as SqlTable, TableCreateStatement,
};

use super::convert;
use super::drift;
use super::model::{Column, ColumnType, Default, Index, OnDelete, Table, TableSet};
use crate::store::plugins::{self, OwnedTables, PluginFilter};
use crate::store::{Cell, DECIMAL_COLLATION, DbError, Dialect, Session, Statement};

/// Creates all tables and indexes of the set, inside the session's transaction.
///
/// # Errors
/// `invalid` when the session is not a transaction, or when a name is taken in the database; it says
/// by whom.
pub async fn create(session: &Session, set: &TableSet) -> Result<OwnedTables, DbError> {
    require_transaction(session)?;
    refuse_taken_names(session, set, |_| true).await?;
    let mut owned = OwnedTables::default();
    for table in set.creation_order.iter().map(|i| &set.tables[*i]) {
        session.execute(create_table(session.dialect(), set, table)?).await?;
        owned.tables.push(table.physical.clone());
        for index in &table.indexes {
            session.execute(create_index(session.dialect(), table, index)).await?;
            owned.indexes.push(index.physical.clone());
        }
    }
    Ok(owned)
}

/// Creates those tables and indexes of the set that the plugin does not own yet, and gives all that
/// it owns then. Tables that are no longer declared are left alone, with their rows.
///
/// # Errors
/// `invalid` when the session is not a transaction, when a name is taken, or when an existing table
/// is declared differently now.
pub async fn add_missing(
    session: &Session,
    set: &TableSet,
    owned: &OwnedTables,
) -> Result<OwnedTables, DbError> {
    require_transaction(session)?;
    let mut now = owned.clone();
    for table in set.creation_order.iter().map(|i| &set.tables[*i]) {
        let statement = create_table(session.dialect(), set, table)?;
        if !owned.tables.contains(&table.physical) {
            refuse_taken_names(session, set, |name| !owned.tables.contains(name)).await?;
            session.execute(statement).await?;
            now.tables.push(table.physical.clone());
        } else if existing(session, &table.physical).await?.as_deref() != Some(statement.sql()) {
            let mut changes = drift::differences(session, set).await?.join("; ");
            if changes.is_empty() {
                changes = "its constraints".to_owned();
            }
            return Err(DbError::invalid(format!(
                "table {} is declared differently from how it was created ({changes}), and changing \
                 a table is not supported yet: uninstall and install the plugin, which drops its rows",
                table.name
            )));
        }
        for index in &table.indexes {
            if !owned.indexes.contains(&index.physical) {
                session.execute(create_index(session.dialect(), table, index)).await?;
                now.indexes.push(index.physical.clone());
            }
        }
    }
    Ok(now)
}

/// The statement that a table was created with.
async fn existing(session: &Session, physical: &str) -> Result<Option<String>, DbError> {
    let query = Query::select()
        .column("sql")
        .from("sqlite_schema")
        .and_where(Expr::col("name").eq(physical))
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await?;
    Ok(rows.into_iter().flatten().next().and_then(|cell| match cell {
        Cell::Text(sql) => Some(sql),
        _ => None,
    }))
}

/// Drops tables with their indexes and rows, the last created first, inside the session's
/// transaction. What is gone already is passed over.
///
/// # Errors
/// `invalid` when the session is not a transaction.
pub async fn drop(session: &Session, owned: &OwnedTables) -> Result<(), DbError> {
    require_transaction(session)?;
    for index in &owned.indexes {
        let statement = SqlIndex::drop().name(index.clone()).if_exists().to_owned();
        session.execute(Statement::schema(session.dialect(), &statement)).await?;
    }
    for table in owned.tables.iter().rev() {
        let statement = SqlTable::drop().table(table.clone()).if_exists().to_owned();
        session.execute(Statement::schema(session.dialect(), &statement)).await?;
    }
    Ok(())
}

fn require_transaction(session: &Session) -> Result<(), DbError> {
    if session.is_transaction() {
        return Ok(());
    }
    Err(DbError::invalid("tables are created and dropped in a transaction only"))
}

/// Two plugins can want one name: table `c` of `a_b` and table `b_c` of `a` are both `a_b_c`.
async fn refuse_taken_names(
    session: &Session,
    set: &TableSet,
    is_new: impl Fn(&String) -> bool,
) -> Result<(), DbError> {
    let names = set.tables.iter().filter(|t| is_new(&t.physical)).flat_map(|t| {
        std::iter::once((t, &t.physical)).chain(t.indexes.iter().map(move |i| (t, &i.physical)))
    });
    let names: Vec<(&Table, &String)> = names.collect();
    if names.is_empty() {
        return Ok(());
    }
    let query = Query::select()
        .column("name")
        .from("sqlite_schema")
        .and_where(Expr::col("name").is_in(names.iter().map(|(_, name)| name.as_str())))
        .limit(1)
        .to_owned();
    let rows = session.fetch(Statement::read(session.dialect(), &query)).await?;
    let Some(Cell::Text(taken)) = rows.into_iter().flatten().next() else { return Ok(()) };
    let records = plugins::list(session, &PluginFilter::default()).await?;
    let owner = records
        .iter()
        .find(|r| r.tables.tables.contains(&taken) || r.tables.indexes.contains(&taken));
    let owner = match owner {
        Some(owner) => format!("by plugin {}", owner.plugin_id),
        None => "by a table that belongs to no plugin".to_owned(),
    };
    let wants = names.iter().find(|(_, name)| **name == taken).map_or("", |(t, _)| t.name.as_str());
    Err(DbError::invalid(format!(
        "table {wants} of plugin {} needs the name {taken} in the database, which is taken {owner}; rename the table",
        set.plugin_id
    )))
}

fn create_table(dialect: Dialect, set: &TableSet, table: &Table) -> Result<Statement, DbError> {
    let mut create = SqlTable::create();
    create.table(table.physical.clone());
    for column in &table.columns {
        add_column(&mut create, table, column)?;
        let Some(key) = column.foreign_key else { continue };
        let target = &set.tables[key.table];
        let action = match key.on_delete {
            OnDelete::NoAction => ForeignKeyAction::NoAction,
            // RESTRICT within one table would keep even a statement that deletes all rows, and so
            // the DROP of the table, from succeeding; NO ACTION looks when the statement is done.
            OnDelete::Restrict if target.name == table.name => ForeignKeyAction::NoAction,
            OnDelete::Restrict => ForeignKeyAction::Restrict,
            OnDelete::Cascade => ForeignKeyAction::Cascade,
            OnDelete::SetNull => ForeignKeyAction::SetNull,
        };
        create.foreign_key(
            ForeignKey::create()
                .from(table.physical.clone(), column.physical.clone())
                .to(target.physical.clone(), target.columns[key.column].physical.clone())
                .on_delete(action),
        );
    }
    // Only a STRICT table refuses text in an integer column.
    create.extra("STRICT");
    Ok(Statement::schema(dialect, &create))
}

fn add_column(
    create: &mut TableCreateStatement,
    table: &Table,
    column: &Column,
) -> Result<(), DbError> {
    let mut def =
        ColumnDef::new_with_type(column.physical.clone(), SqlType::custom(storage(column)));
    if column.not_null {
        def.not_null();
    }
    match &column.default {
        Some(Default::Value(value)) => {
            def.default(SimpleExpr::from(convert::to_sql(&table.name, column, value)?));
        }
        // The host gives the time itself; this is for rows that something else inserts.
        Some(Default::Now) => {
            def.default(match column.ty {
                ColumnType::Date => Expr::cust("(strftime('%Y-%m-%d','now'))"),
                ColumnType::Time => Expr::cust("(strftime('%H:%M:%S','now'))"),
                _ => Expr::cust("(strftime('%Y-%m-%dT%H:%M:%fZ','now'))"),
            });
        }
        Some(Default::Random) | None => {}
    }
    if column.primary_key {
        def.primary_key();
        if column.ty.is_serial() {
            def.auto_increment();
        }
    } else if column.unique {
        def.unique_key();
    }
    // A check is named after what it is about, so that an error can say so.
    let name = || format!("{}.{}", table.physical, column.physical);
    let itself = || Expr::col(column.physical.clone());
    match &column.ty {
        ColumnType::Boolean => {
            create.check(Check::named(name(), itself().is_in([0, 1])));
        }
        ColumnType::Enum(_) => {
            create.check(Check::named(name(), itself().is_in(column.values.iter().cloned())));
        }
        ColumnType::Integer => {
            create.check(Check::named(name(), itself().between(i32::MIN, i32::MAX)));
        }
        ColumnType::Decimal => {
            def.extra(format!("COLLATE {DECIMAL_COLLATION}"));
        }
        _ => {}
    }
    create.col(&mut def);
    Ok(())
}

/// The type that the column has in SQLite.
pub(super) fn storage(column: &Column) -> &'static str {
    match column.ty {
        ColumnType::Serial | ColumnType::BigSerial => "INTEGER",
        // As a primary key, INTEGER would number rows by itself; INT does not.
        ColumnType::Integer | ColumnType::BigInt | ColumnType::Boolean => "INT",
        ColumnType::Real | ColumnType::DoublePrecision => "REAL",
        ColumnType::Blob => "BLOB",
        _ => "TEXT",
    }
}

fn create_index(dialect: Dialect, table: &Table, index: &Index) -> Statement {
    let mut create = SqlIndex::create();
    create.name(index.physical.clone()).table(table.physical.clone());
    for column in &index.columns {
        create.col(table.columns[*column].physical.clone());
    }
    if index.unique {
        create.unique();
    }
    Statement::schema(dialect, &create)
}
