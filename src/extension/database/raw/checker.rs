//! What the parts of the check share: names, which tables they mean, and errors with their place.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use sqlparser::tokenizer::Location;

use super::super::model::TableSet;
use super::super::names;
use super::place::Place;
use super::writer::Writer;
use super::{RawStatement, START, invalid};
use crate::store::{DbError, Dialect};

/// The longest name. PostgreSQL would cut a longer one off, and it would be another name.
const MAX_NAME: usize = 63;

/// The columns that PostgreSQL adds to every table.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// Walks over a statement and writes what it allows.
pub(super) struct Checker<'a> {
    pub dialect: Dialect,
    pub set: &'a TableSet,
    pub out: Writer,
    /// Whether a part so far changes or locks rows.
    pub writes: bool,
    /// The names of the common table expressions in scope, those of outer queries first, as
    /// [`Checker::key`] gives them.
    pub ctes: Vec<String>,
    /// The names of all common table expressions, as they are written.
    pub named: Vec<String>,
    /// How many expressions are around what is looked at.
    pub depth: usize,
    /// The last place that is known, for parts that have none.
    at: Location,
}

impl<'a> Checker<'a> {
    pub fn new(dialect: Dialect, set: &'a TableSet) -> Self {
        let out = Writer::default();
        Checker {
            dialect,
            set,
            out,
            writes: false,
            ctes: Vec::new(),
            named: Vec::new(),
            depth: 0,
            at: START,
        }
    }

    /// The statement that was written.
    pub fn finish(self, returns_rows: bool) -> RawStatement {
        RawStatement {
            pieces: self.out.finish(),
            writes: self.writes,
            returns_rows,
            subqueries: self.named,
        }
    }

    pub fn is_postgres(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// An error at the place of `node`, or where the last name or value was if it has no place.
    pub fn error(&self, node: &impl Place, message: impl std::fmt::Display) -> DbError {
        let start = node.place();
        invalid(if start.line == 0 { self.at } else { start }, message)
    }

    /// Refuses `what`.
    pub fn refuse<T>(&self, node: &impl Place, what: &str) -> Result<T, DbError> {
        Err(self.error(node, format!("{what} is not allowed in raw SQL")))
    }

    /// Refuses `what` unless it is absent.
    pub fn without(&self, node: &impl Place, present: bool, what: &str) -> Result<(), DbError> {
        if present { self.refuse(node, what) } else { Ok(()) }
    }

    /// Refuses `what` on SQLite, which has no such thing.
    pub fn postgres_only(&self, node: &impl Place, what: &str) -> Result<(), DbError> {
        if self.is_postgres() {
            return Ok(());
        }
        Err(self.error(node, format!("SQLite has no {what}")))
    }

    pub fn sqlite_only(&self, node: &impl Place, what: &str) -> Result<(), DbError> {
        if self.is_postgres() {
            return Err(self.error(node, format!("PostgreSQL has no {what}")));
        }
        Ok(())
    }

    /// The last place that is known.
    pub fn at(&self) -> Location {
        self.at
    }

    /// Notes the place of what is looked at, for errors about parts without one.
    pub fn pass(&mut self, node: &impl Place) {
        let start = node.place();
        if start.line > 0 {
            self.at = start;
        }
    }

    /// Writes `items`, separated by commas.
    pub fn list<T>(
        &mut self,
        items: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.tight(",");
            }
            write(self, item)?;
        }
        Ok(())
    }

    /// The same in parentheses.
    pub fn parenthesized<T>(
        &mut self,
        items: &[T],
        write: impl FnMut(&mut Self, &T) -> Result<(), DbError>,
    ) -> Result<(), DbError> {
        self.out.token("(");
        self.list(items, write)?;
        self.out.tight(")");
        Ok(())
    }

    /// The name that the database makes of `ident`.
    ///
    /// # Errors
    /// It is something else than a name: a string, a parameter, or not plain ASCII.
    pub fn name(&mut self, ident: &Ident) -> Result<String, DbError> {
        self.pass(ident);
        let Ident { value, quote_style, span: _ } = ident;
        let is_word = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$'));
        let is_valid = match quote_style {
            None => is_word,
            Some('"') => is_printable(value),
            Some('`' | '[') => is_printable(value) && !self.is_postgres(),
            Some(_) => false,
        };
        if !is_valid {
            return Err(self.error(ident, format!("{} is not a name", names::quoted(value))));
        }
        if value.len() > MAX_NAME {
            let message =
                format!("the name {} is longer than {MAX_NAME} characters", names::quoted(value));
            return Err(self.error(ident, message));
        }
        // SQLite compares names without regard to case; PostgreSQL makes words lower case.
        Ok(match quote_style {
            None if self.is_postgres() => value.to_ascii_lowercase(),
            _ => value.clone(),
        })
    }

    /// `name` as the database compares it.
    pub fn key(&self, name: &str) -> String {
        if self.is_postgres() { name.to_owned() } else { name.to_ascii_lowercase() }
    }

    /// Writes a name that only this statement gives a meaning: an alias, a window, a column of an
    /// alias.
    pub fn alias(&mut self, ident: &Ident) -> Result<(), DbError> {
        let name = self.name(ident)?;
        self.out.token(&self.quote(&name));
        Ok(())
    }

    /// The name of a column, quoted.
    pub fn column_name(&mut self, ident: &Ident) -> Result<String, DbError> {
        let name = self.name(ident)?;
        if self.is_postgres() {
            if SYSTEM_COLUMNS.contains(&name.as_str()) {
                return self.refuse(ident, &format!("the system column {name}"));
            }
            // For a row r, r.f is also the function f of r.
            let is_own = || {
                let mut tables = self.set.tables().iter();
                tables.any(|t| t.physical == name || t.columns.iter().any(|c| c.physical == name))
            };
            if name.starts_with("pg_") && !is_own() {
                return self.refuse(ident, &format!("the column {name}"));
            }
        }
        Ok(self.quote(&name))
    }

    /// Writes the name of a column.
    pub fn column(&mut self, ident: &Ident) -> Result<(), DbError> {
        let quoted = self.column_name(ident)?;
        self.out.token(&quoted);
        Ok(())
    }

    /// Writes a name that must be that of a column, without its table.
    pub fn bare_column(&mut self, name: &ObjectName) -> Result<(), DbError> {
        let ident = self.single(name, "column")?;
        self.column(&ident)
    }

    /// `name` in quotes. SQLite takes "x" for a string if there is no column x, but never `x`.
    pub fn quote(&self, name: &str) -> String {
        if self.is_postgres() {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            format!("`{}`", name.replace('`', "``"))
        }
    }

    /// The one part of a name.
    ///
    /// # Errors
    /// It has several parts, so it names a schema or a database.
    pub fn single(&mut self, name: &ObjectName, what: &str) -> Result<Ident, DbError> {
        match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => Ok(ident.clone()),
            _ => {
                let message = format!("expected the {what} by its name alone, without a schema");
                Err(self.error(name, message))
            }
        }
    }

    /// Writes the name of one of the plugin's tables.
    pub fn own_table(&mut self, name: &ObjectName) -> Result<(), DbError> {
        let ident = self.single(name, "table")?;
        let found = self.name(&ident)?;
        let physical = self.own(&ident, &found)?;
        self.out.token(&format!("\"{physical}\""));
        Ok(())
    }

    /// Writes the name of one of the plugin's tables, or of a common table expression in scope.
    pub fn readable_table(&mut self, name: &ObjectName) -> Result<(), DbError> {
        let ident = self.single(name, "table")?;
        let found = self.name(&ident)?;
        // The databases look here first, too.
        if self.ctes.contains(&self.key(&found)) {
            self.out.token(&self.quote(&found));
            return Ok(());
        }
        let physical = self.own(&ident, &found)?;
        self.out.token(&format!("\"{physical}\""));
        Ok(())
    }

    /// The name in the database of the plugin's table that `name` is.
    pub fn own(&self, ident: &Ident, name: &str) -> Result<&'a str, DbError> {
        let key = self.key(name);
        if let Some(table) = self.set.tables().iter().find(|table| table.physical == key) {
            return Ok(&table.physical);
        }
        let mut declared = self.set.tables().iter().map(|table| table.name.as_str());
        let hint = match declared.clone().find(|table| table.eq_ignore_ascii_case(name)) {
            Some(table) => format!("; write {{{table}}}"),
            None => match declared.next() {
                Some(example) => format!("; the plugin's tables are written as {{{example}}}"),
                None => "; it has none".to_owned(),
            },
        };
        let message = format!("{} is not a table of the plugin{hint}", names::quoted(name));
        Err(self.error(ident, message))
    }
}

fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}
