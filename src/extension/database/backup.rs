//! Backups of a plugin's rows: a file that either database reads back.
//!
//! The file is lines of JSON. The first says what it is, and has the tables as they were declared;
//! each further one is a row, `[table, [values]]`, in the order of the tables' columns; the last has
//! the number of rows, so that a file that was cut off is known to be. Values are written as plugins
//! see them, bytes in Base64, and secrets as they are in the table: they need the same key.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sea_query::{Expr, Value as Sql};
use serde::{Deserialize, Serialize};

use super::convert;
use super::insert::numbering_on;
use super::model::{Column, ColumnType, Table, TableSet};
use super::names::hint;
use super::query::Query;
use crate::store::{Cell, DbError, DbErrorKind, Dialect, MAX_BOUND_VALUES, Session, Statement};
use crate::value::Value;

/// What a file says that it is.
const FORMAT: &str = "moondock-backup-1";
/// The most rows that are written back in one statement.
const ROWS_TOGETHER: usize = 500;

/// The first line of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    format: String,
    pub plugin_id: String,
    /// The version whose tables these are.
    pub version: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    set: TableSet,
}

#[derive(Serialize, Deserialize)]
struct Footer {
    rows: u64,
}

/// The file of a new backup of this plugin.
pub fn new_path(folder: &Path, plugin_id: &str, created_at: &str) -> PathBuf {
    folder.join(format!("{plugin_id}-{}.jsonl", created_at.replace([':', '.'], "-")))
}

/// The newest backup of this plugin in the folder.
///
/// # Errors
/// When the folder cannot be read; a missing one has none.
pub fn newest(folder: &Path, plugin_id: &str) -> io::Result<Option<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut newest = None;
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let of_plugin = name.strip_prefix(plugin_id).and_then(|rest| rest.strip_prefix('-'));
        // An id has no hyphen, and times sort as they pass.
        if of_plugin.is_some_and(|rest| rest.ends_with(".jsonl")) {
            newest = newest.max(Some(name.to_owned()));
        }
    }
    Ok(newest.map(|name| folder.join(name)))
}

/// Writes all rows of the set to a new file, which is there whole or not at all, and gives their
/// number. Only inside of a transaction.
///
/// # Errors
/// When the database or the file cannot be used.
pub async fn write(
    session: &Session,
    set: &TableSet,
    version: &str,
    created_at: &str,
    path: &Path,
) -> Result<u64, DbError> {
    let failed = |error: io::Error| {
        let path = path.display();
        DbError::new(DbErrorKind::Internal, format!("cannot write the backup {path}: {error}"))
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let aside = path.with_extension("part");
    let mut out = BufWriter::new(private_file(&aside).map_err(failed)?);
    let header = Header {
        format: FORMAT.to_owned(),
        plugin_id: set.plugin_id.clone(),
        version: version.to_owned(),
        created_at: created_at.to_owned(),
        set: set.clone(),
    };
    line(&mut out, &header).map_err(failed)?;
    let mut rows = 0;
    for table in set.in_creation_order() {
        let every: Vec<usize> = (0..table.columns.len()).collect();
        let mut select = sea_query::Query::select();
        select.from(table.physical.clone());
        select.columns(table.columns.iter().map(|c| c.physical.clone()));
        for column in &table.key {
            select.order_by(table.columns[*column].physical.clone(), sea_query::Order::Asc);
        }
        let statement = Statement::read(session.dialect(), &select);
        session
            .for_each(statement, |cells| {
                let mut values = Vec::with_capacity(every.len());
                for (column, cell) in table.columns.iter().zip(cells) {
                    values.push(dumped(session, table, column, cell)?);
                }
                rows += 1;
                line(&mut out, &(&table.name, values)).map_err(failed)
            })
            .await?;
    }
    line(&mut out, &Footer { rows }).map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&aside, path).map_err(failed)?;
    Ok(rows)
}

/// What is in the tables is for the host's own user only.
fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn dumped(session: &Session, table: &Table, column: &Column, cell: Cell) -> Result<Value, DbError> {
    match (&column.ty, cell) {
        (ColumnType::Secret, Cell::Text(sealed)) => Ok(Value::String(sealed)),
        (ColumnType::Blob, Cell::Blob(bytes)) => Ok(Value::String(STANDARD.encode(bytes))),
        (_, cell) => convert::from_sql(session.cipher(), "", &table.name, column, cell),
    }
}

/// Reads a backup.
pub struct Reader {
    pub header: Header,
    path: PathBuf,
    lines: io::Lines<BufReader<File>>,
    number: u64,
}

impl Reader {
    /// # Errors
    /// When the file cannot be read, or is no backup.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let shown = path.display();
        let file = File::open(path)
            .map_err(|e| DbError::invalid(format!("cannot read the backup {shown}: {e}")))?;
        let mut lines = BufReader::new(file).lines();
        let first = lines.next().transpose().ok().flatten().unwrap_or_default();
        let header: Header = serde_json::from_str(&first)
            .ok()
            .filter(|header: &Header| header.format == FORMAT)
            .ok_or_else(|| DbError::invalid(format!("{shown} is no backup of a plugin")))?;
        Ok(Reader { header, path: path.to_owned(), lines, number: 1 })
    }

    fn wrong(&self, message: &str) -> DbError {
        DbError::invalid(format!("{}:{}: {message}", self.path.display(), self.number))
    }

    /// The next row: its table, and its values. `None` after the last.
    fn next(&mut self, so_far: u64) -> Result<Option<(String, Vec<Value>)>, DbError> {
        let Some(text) = self.lines.next() else {
            return Err(self.wrong("the backup ends too early: it was cut off"));
        };
        self.number += 1;
        let text = text.map_err(|error| self.wrong(&error.to_string()))?;
        if let Ok(row) = serde_json::from_str::<(String, Vec<Value>)>(&text) {
            return Ok(Some(row));
        }
        match serde_json::from_str::<Footer>(&text) {
            Ok(footer) if footer.rows == so_far => Ok(None),
            Ok(footer) => {
                let message =
                    format!("the backup has {so_far} rows and should have {}", footer.rows);
                Err(self.wrong(&message))
            }
            Err(_) => Err(self.wrong("this is no row of a backup")),
        }
    }
}

/// A table of a backup and where its rows go.
struct Target<'s> {
    table: &'s Table,
    /// For each value of a row, the column that it goes to.
    columns: Vec<&'s Column>,
}

/// Puts the rows of a backup into the tables of the set, inside of a transaction, and gives their
/// number. With `replace`, the rows that are there are deleted first.
///
/// # Errors
/// `invalid` when the backup is damaged, of another plugin, or has tables or columns that are not
/// there, and when there are rows and they are not to be replaced. The transaction is then to be
/// rolled back.
pub async fn restore(
    session: &Session,
    set: &TableSet,
    reader: &mut Reader,
    replace: bool,
) -> Result<u64, DbError> {
    if reader.header.plugin_id != set.plugin_id {
        let (of, this) = (&reader.header.plugin_id, &set.plugin_id);
        return Err(reader.wrong(&format!("the backup is of plugin {of}, not of {this}")));
    }
    let dumped = reader.header.set.clone();
    let targets = targets(reader, &dumped, set)?;
    make_room(session, set, replace).await?;
    // Rows may refer to others that come later. PostgreSQL's keys are made deferrable for this.
    let deferred = match session.dialect() {
        Dialect::Sqlite => "PRAGMA defer_foreign_keys = ON",
        Dialect::Postgres => "SET CONSTRAINTS ALL DEFERRED",
    };
    session.execute(Statement::command(deferred)).await?;
    let (mut rows, mut waiting, mut of) = (0, Vec::new(), None);
    while let Some((name, values)) = reader.next(rows)? {
        let index = dumped.tables.iter().position(|table| table.name == name);
        let index = index.ok_or_else(|| reader.wrong(&format!("there is no table {name:?}")))?;
        let target = &targets[index];
        if values.len() != target.columns.len() {
            return Err(reader.wrong("the row has not as many values as the table has columns"));
        }
        let together = ROWS_TOGETHER.min(MAX_BOUND_VALUES / values.len().max(1)).max(1);
        if of.is_some_and(|of| of != index) || waiting.len() >= together {
            insert(session, &targets[of.unwrap_or(index)], std::mem::take(&mut waiting)).await?;
        }
        of = Some(index);
        let mut row = Vec::with_capacity(values.len());
        for (column, value) in target.columns.iter().zip(&values) {
            row.push(
                restored(session.dialect(), target.table, column, value)
                    .map_err(|error| reader.wrong(&error.message))?,
            );
        }
        waiting.push(row);
        rows += 1;
    }
    if let Some(of) = of {
        insert(session, &targets[of], waiting).await?;
    }
    if session.dialect() == Dialect::Postgres {
        for table in &set.tables {
            for column in table.columns.iter().filter(|column| column.ty.is_serial()) {
                session.fetch(numbering_on(&table.physical, &column.physical)).await?;
            }
        }
    }
    Ok(rows)
}

fn targets<'s>(
    reader: &Reader,
    dumped: &TableSet,
    set: &'s TableSet,
) -> Result<Vec<Target<'s>>, DbError> {
    let version = &reader.header.version;
    let mut targets = Vec::new();
    for old in &dumped.tables {
        let Some(table) = set.table(&old.name) else {
            let hint = hint(&old.name, set.tables.iter().map(|table| table.name.as_str()));
            return Err(reader.wrong(&format!(
                "the backup, of version {version}, has a table {} that is not there{hint}; install \
                 the version that it is of, restore, and upgrade",
                old.name
            )));
        };
        let mut columns = Vec::new();
        for column in &old.columns {
            let Some(found) = table.columns.iter().find(|c| c.name == column.name) else {
                return Err(reader.wrong(&format!(
                    "the backup, of version {version}, has a column {}.{} that is not there; \
                     install the version that it is of, restore, and upgrade",
                    old.name, column.name
                )));
            };
            columns.push(found);
        }
        targets.push(Target { table, columns });
    }
    Ok(targets)
}

async fn make_room(session: &Session, set: &TableSet, replace: bool) -> Result<(), DbError> {
    for table in set.in_creation_order().rev() {
        if replace {
            let delete = sea_query::Query::delete().from_table(table.physical.clone()).to_owned();
            session.execute(Statement::write(session.dialect(), &delete)).await?;
            continue;
        }
        let index = set.tables.iter().position(|t| t.name == table.name).unwrap_or_default();
        let rows = Query::new(std::sync::Arc::new(set.clone()), index).count(session).await?;
        if rows > 0 {
            return Err(DbError::invalid(format!(
                "table {} has {rows} rows; --replace deletes the plugin's rows and puts those of \
                 the backup in their place",
                table.name
            )));
        }
    }
    Ok(())
}

fn restored(
    dialect: Dialect,
    table: &Table,
    column: &Column,
    value: &Value,
) -> Result<Expr, DbError> {
    let sql = match (&column.ty, value) {
        // As it was encrypted.
        (ColumnType::Secret, Value::String(sealed)) => Sql::from(sealed.clone()),
        (ColumnType::Blob, Value::String(text)) => match STANDARD.decode(text) {
            Ok(bytes) => Sql::from(bytes),
            Err(error) => {
                let (table, column) = (&table.name, &column.name);
                return Err(DbError::invalid(format!("{table}.{column}: no Base64: {error}")));
            }
        },
        _ => convert::to_sql(&table.name, column, value)?,
    };
    Ok(convert::bound(dialect, column, sql))
}

async fn insert(
    session: &Session,
    target: &Target<'_>,
    rows: Vec<Vec<Expr>>,
) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = sea_query::Query::insert();
    insert.into_table(target.table.physical.clone());
    insert.columns(target.columns.iter().map(|column| column.physical.clone()));
    for row in rows {
        insert
            .values(row)
            .map_err(|error| DbError::new(DbErrorKind::Internal, error.to_string()))?;
    }
    session.execute(Statement::write(session.dialect(), &insert)).await?;
    Ok(())
}
