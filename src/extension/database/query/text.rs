//! The texts of queries that differ in nothing but their values, kept so that each is written once.

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::Cache;
use sea_query::{Order, Value as Sql};

use super::{Condition, Query};
use crate::store::{DbError, Dialect, Statement};

/// How many texts the tables of a plugin keep. Code has few queries, however often it asks them.
const KEPT: usize = 256;

/// Texts by what they were written from. A clone begins without any.
pub struct Texts(Cache<Shape, Arc<str>>);

/// All that the text of a query depends on.
type Shape = Box<[usize]>;

impl Texts {
    /// The statement of a query, whose text `write` makes the first time.
    pub fn statement(
        &self,
        query: &Query,
        dialect: Dialect,
        columns: &[usize],
        limit: u64,
        write: impl FnOnce() -> Result<Statement, DbError>,
    ) -> Result<Statement, DbError> {
        let Some((shape, values)) = taken_apart(query, dialect, columns, limit) else {
            return write();
        };
        if let Some(text) = self.0.get(&shape) {
            return Ok(Statement::again(text, values));
        }
        let statement = write()?;
        self.0.insert(shape, statement.text());
        Ok(statement)
    }
}

/// The shape of a query and its values in the order of their places in the text; `None` for the less
/// common kinds of queries.
fn taken_apart(
    query: &Query,
    dialect: Dialect,
    columns: &[usize],
    limit: u64,
) -> Option<(Shape, Vec<Sql>)> {
    let inner = &*query.inner;
    if inner.distinct || inner.for_update {
        return None;
    }
    let mut shape =
        Vec::with_capacity(5 + columns.len() + 3 * inner.conditions.len() + 2 * inner.order.len());
    let mut values = Vec::with_capacity(inner.conditions.len() + 2);
    shape.extend([
        inner.table,
        usize::from(dialect == Dialect::Postgres),
        usize::from(inner.offset.is_some()),
        columns.len(),
        inner.conditions.len(),
    ]);
    shape.extend(columns);
    for condition in &inner.conditions {
        shape.extend(match condition {
            Condition::Compare(column, operator, value) => {
                values.push(value.clone());
                [0, *column, *operator as usize]
            }
            Condition::Null(column, is_null) => [1, *column, usize::from(*is_null)],
            Condition::In(..) | Condition::Like { .. } | Condition::Any(_) => return None,
        });
    }
    for (column, order) in &inner.order {
        shape.extend([*column, usize::from(*order == Order::Desc)]);
    }
    values.push(Sql::from(limit));
    values.extend(inner.offset.map(Sql::from));
    Some((shape.into(), values))
}

impl Default for Texts {
    fn default() -> Self {
        Texts(Cache::new(KEPT))
    }
}

impl Clone for Texts {
    fn clone(&self) -> Self {
        Texts::default()
    }
}

/// Tables are equal whatever was asked of them.
impl PartialEq for Texts {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Texts({})", self.0.len())
    }
}
