//! Pages by cursor: the rows after a given one, however many have come or gone before it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_query::Order;

use super::{Condition, MAX_ROWS, Operator, Query, at};
use crate::extension::database::convert;
use crate::extension::database::model::ColumnType;
use crate::store::{DbError, Session};
use crate::value::{Map, Value};

/// The longest cursor that is looked at, in bytes.
const MAX_CURSOR: usize = 8 * 1024;

/// A part of the rows of a query, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub rows: Vec<Map>,
    /// Where each row is, to go on after it.
    pub cursors: Vec<String>,
    pub has_next: bool,
    pub has_previous: bool,
}

impl Query {
    /// The first rows after the one that a cursor is of; without a cursor from the beginning. Rows
    /// that are equal in the query's order are sorted by the primary key.
    ///
    /// # Errors
    /// `invalid` without a primary key, with a limit or offset, and for a cursor that is none, or is
    /// one of another order.
    pub async fn page(
        &self,
        session: &Session,
        first: u64,
        after: Option<&str>,
    ) -> Result<Page, DbError> {
        let table = self.table();
        let wrong = |message: String| DbError::invalid(format!("{}: page: {message}", table.name));
        let inner = &self.inner;
        if inner.limit.is_some() || inner.offset.is_some() || inner.distinct {
            let message = "it takes the place of limit and offset, and does not go with distinct";
            return Err(wrong(message.into()));
        }
        if first == 0 || first > MAX_ROWS {
            return Err(wrong(format!("first is a number from 1 to {MAX_ROWS}, not {first}")));
        }
        if table.key.is_empty() {
            return Err(wrong("the table has no primary key, so its rows have no place".into()));
        }
        let mut order = inner.order.clone();
        for column in &table.key {
            if order.iter().all(|(ordered, _)| ordered != column) {
                order.push((*column, Order::Asc));
            }
        }
        if let Some((index, _)) =
            order.iter().find(|(i, _)| !can_be_in_cursor(&table.columns[*i].ty))
        {
            let column = &table.columns[*index];
            let message = format!("{} columns cannot be in a cursor", column.ty.name());
            return Err(at(table, column, message));
        }
        let mut query = self.with(|inner| inner.order.clone_from(&order));
        if let Some(cursor) = after {
            let values = self.opened(&order, cursor).ok_or_else(|| {
                let what = "after is not a cursor of this query: take one that the same query gave";
                wrong(what.into()).for_client(what)
            })?;
            query = query.filter(self.behind(&order, &values)?)?;
        }
        let given = self.columns();
        let mut columns = given.clone();
        columns.extend(order.iter().map(|(index, _)| *index).filter(|i| !given.contains(i)));
        let query = query.with(|inner| inner.columns.clone_from(&columns)).limit(first + 1);
        let mut rows = query.all(session).await?;
        let has_next = rows.len() as u64 > first;
        rows.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        let cursors = rows.iter().map(|row| self.cursor(&order, row)).collect();
        for extra in &columns[given.len()..] {
            for row in &mut rows {
                row.shift_remove(&table.columns[*extra].name);
            }
        }
        Ok(Page { rows, cursors, has_next, has_previous: after.is_some() })
    }

    /// What a cursor must have been made for.
    fn signature(&self, order: &[(usize, Order)]) -> Value {
        let table = self.table();
        let column = |(index, order): &(usize, Order)| {
            let sign = if *order == Order::Desc { '-' } else { '+' };
            format!("{sign}{}", table.columns[*index].name)
        };
        let columns: Vec<String> = order.iter().map(column).collect();
        Value::String(format!("{}{}", table.name, columns.concat()))
    }

    fn cursor(&self, order: &[(usize, Order)], row: &Map) -> String {
        let value = |(index, _): &(usize, Order)| {
            row.get(&self.table().columns[*index].name).cloned().unwrap_or_default()
        };
        let mut parts = vec![self.signature(order)];
        parts.extend(order.iter().map(value));
        // What cannot be in JSON was refused above.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Value::List(parts)).unwrap_or_default())
    }

    fn opened(&self, order: &[(usize, Order)], cursor: &str) -> Option<Vec<Value>> {
        if cursor.len() > MAX_CURSOR {
            return None;
        }
        let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let Value::List(mut parts) = serde_json::from_slice(&json).ok()? else { return None };
        if parts.len() != order.len() + 1 || parts.remove(0) != self.signature(order) {
            return None;
        }
        Some(parts)
    }

    /// Rows that come after the one with these values: equal in the first columns, and further on in
    /// the next. NULL is the smallest.
    fn behind(&self, order: &[(usize, Order)], values: &[Value]) -> Result<Condition, DbError> {
        let table = self.table();
        let mut alternatives = Vec::new();
        let mut equal: Vec<Condition> = Vec::new();
        for ((index, order), value) in order.iter().zip(values) {
            let column = &table.columns[*index];
            let (is_equal, further) = if value.is_null() {
                let further = match order {
                    Order::Desc => Vec::new(),
                    _ => vec![Condition::Null(*index, false)],
                };
                (Condition::Null(*index, true), further)
            } else {
                let value = convert::to_sql(&table.name, column, value)?;
                let is_equal = Condition::Compare(*index, Operator::Equal, value.clone());
                let further = match order {
                    Order::Desc if column.not_null => {
                        vec![Condition::Compare(*index, Operator::Less, value)]
                    }
                    Order::Desc => vec![
                        Condition::Compare(*index, Operator::Less, value),
                        Condition::Null(*index, true),
                    ],
                    _ => vec![Condition::Compare(*index, Operator::Greater, value)],
                };
                (is_equal, further)
            };
            for further in further {
                let mut all = equal.clone();
                all.push(further);
                alternatives.push(all);
            }
            equal.push(is_equal);
        }
        Ok(Condition::Any(alternatives))
    }
}

/// Bytes cannot be in JSON; enums and booleans are not compared by their order.
fn can_be_in_cursor(ty: &ColumnType) -> bool {
    !matches!(ty, ColumnType::Blob | ColumnType::Enum(_) | ColumnType::Boolean)
}
