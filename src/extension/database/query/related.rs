//! Rows of other tables that a relation leads to, read in one more statement for each relation.

use std::collections::HashMap;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Query;
use crate::extension::database::names::{hint, quoted};
use crate::store::{DbError, Session};
use crate::value::{Map, Value};

/// A relation as it is followed from the table of a query.
#[derive(Debug, Clone)]
pub(super) struct Related {
    /// The relation's export name, under which the rows are given.
    name: String,
    /// The column of the query's table.
    own: usize,
    /// The other table, and its column.
    table: usize,
    column: usize,
    /// Whether there is at most one row.
    to_one: bool,
    /// Relations to follow from there, as they were written.
    further: Vec<String>,
}

impl Query {
    /// Gives related rows under the relation's export name: a list, or one row if there can be no
    /// more. `a.b` follows relation `b` from the rows of relation `a`.
    ///
    /// # Errors
    /// `invalid` for a relation that does not exist, or that this table has no part in.
    pub fn with_related(&self, path: &str) -> Result<Query, DbError> {
        let set = &self.inner.set;
        let table = self.table();
        let (name, further) = match path.split_once('.') {
            Some((name, further)) => (name, Some(further)),
            None => (path, None),
        };
        let wrong = |message: String| {
            DbError::invalid(format!("{}: with({}): {message}", table.name, quoted(path)))
        };
        let Some(relation) = set.relations.iter().find(|r| r.export == name) else {
            let hint = hint(name, set.relations.iter().map(|r| r.export.as_str()));
            return Err(wrong(format!("there is no relation {}{hint}", quoted(name))));
        };
        let find = |(table, column): &(String, String)| {
            let t = set.tables.iter().position(|t| t.name == *table)?;
            let c = set.tables[t].columns.iter().position(|c| c.name == *column)?;
            Some((t, c))
        };
        // Relations are checked when they are declared.
        let (Some(from), Some(to)) = (find(&relation.from), find(&relation.to)) else {
            return Err(wrong("the relation leads nowhere".into()));
        };
        let related = |own, (table, column), to_one| Related {
            name: name.to_owned(),
            own,
            table,
            column,
            to_one,
            further: further.map(str::to_owned).into_iter().collect(),
        };
        // Within one table it leads from a row to the one that it refers to.
        let related = if from.0 == self.inner.table {
            related(from.1, to, true)
        } else if to.0 == self.inner.table {
            let other = &set.tables[from.0];
            let single = other.columns[from.1].unique
                || other.key == [from.1]
                || other.indexes.iter().any(|i| i.unique && i.columns == [from.1]);
            related(to.1, from, single)
        } else {
            let (from, to) = (&relation.from.0, &relation.to.0);
            return Err(wrong(format!("the relation is between {from} and {to}")));
        };
        if table.columns.iter().any(|column| column.name == name) {
            return Err(wrong("a column has the same name; rename the relation's export".into()));
        }
        if let Some(further) = further {
            // What is wrong further on is said now.
            self.start(&related).with_related(further)?;
        }
        Ok(self.with(|inner| match inner.with.iter_mut().find(|known| known.name == name) {
            Some(known) => known.further.extend(related.further),
            None => inner.with.push(related),
        }))
    }

    fn start(&self, related: &Related) -> Query {
        Query::new(self.inner.set.clone(), related.table)
    }

    /// The columns that lead to related rows and are not among those that are given.
    pub(super) fn linking_columns(&self, given: &[usize]) -> Vec<usize> {
        let mut further = Vec::new();
        for related in &self.inner.with {
            if !given.contains(&related.own) && !further.contains(&related.own) {
                further.push(related.own);
            }
        }
        further
    }

    /// Reads the related rows of all rows and puts them in.
    pub(super) fn add_related<'a>(
        &'a self,
        session: &'a Session,
        rows: &'a mut [Map],
    ) -> BoxFuture<'a, Result<(), DbError>> {
        async move {
            for related in &self.inner.with {
                self.add_one(session, related, rows).await?;
            }
            Ok(())
        }
        .boxed()
    }

    async fn add_one(
        &self,
        session: &Session,
        related: &Related,
        rows: &mut [Map],
    ) -> Result<(), DbError> {
        let own = &self.table().columns[related.own].name;
        let other = &self.inner.set.tables[related.table];
        let link = &other.columns[related.column].name;
        let mut keys: Vec<Value> = Vec::new();
        let mut positions: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, row) in rows.iter().enumerate() {
            let Some(value) = row.get(own) else { continue };
            let at = positions.entry(key(value)).or_default();
            if at.is_empty() {
                keys.push(value.clone());
            }
            at.push(i);
        }
        if !related.to_one {
            for row in rows.iter_mut() {
                row.insert(related.name.clone(), Value::List(Vec::new()));
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        let mut query = self.start(related).where_in(link, &keys)?;
        for further in &related.further {
            query = query.with_related(further)?;
        }
        for column in &other.key {
            query = query.order_by(&other.columns[*column].name, "asc")?;
        }
        for found in query.all(session).await? {
            let Some(at) = found.get(link).and_then(|value| positions.get(&key(value))) else {
                continue;
            };
            for i in at {
                match rows[*i].get_mut(&related.name) {
                    Some(Value::List(list)) => list.push(Value::Map(found.clone())),
                    _ => {
                        rows[*i].insert(related.name.clone(), Value::Map(found.clone()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Both columns have the same type, and every value has one spelling.
fn key(value: &Value) -> String {
    format!("{value:?}")
}
