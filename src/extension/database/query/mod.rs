//! Queries as values: every method gives a new one and leaves the old as it was.

mod aggregate;
mod condition;
mod page;
mod pattern;
mod related;
mod run;
mod text;

use std::sync::Arc;

use sea_query::Order;

pub use aggregate::Aggregate;
pub(super) use condition::{Condition, Operator};
pub use page::Page;
pub(super) use run::matching;
pub(super) use text::Texts;

use super::convert;
use super::model::{Column, ColumnType, Table, TableSet};
use super::names::{hint, quoted};
use crate::store::DbError;
use crate::value::{Map, Value};

/// The most rows that [`Query::all`] gives without a limit.
pub const MAX_ROWS: u64 = 10_000;
/// The most conditions that a query may have.
pub const MAX_CONDITIONS: usize = 500;

/// A query over one table of the plugin. Cloning is cheap.
///
/// Comparisons follow SQL: a NULL is neither equal nor unequal to a value, so `!=` leaves out rows
/// without one. In an order NULL is the smallest. Text is compared byte by byte, `ilike` ignores the
/// case of ASCII letters only; in patterns `%` and `_` are wildcards and `\` makes them ordinary.
#[derive(Debug, Clone)]
pub struct Query {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    set: Arc<TableSet>,
    table: usize,
    conditions: Vec<Condition>,
    order: Vec<(usize, Order)>,
    limit: Option<u64>,
    offset: Option<u64>,
    /// What to give; empty means every column.
    columns: Vec<usize>,
    /// Whether equal rows are given once.
    distinct: bool,
    /// Whether the rows are locked until the transaction ends.
    for_update: bool,
    group: Vec<usize>,
    /// Relations whose rows are given too.
    with: Vec<related::Related>,
}

impl Query {
    pub(super) fn new(set: Arc<TableSet>, table: usize) -> Self {
        Query {
            inner: Arc::new(Inner {
                set,
                table,
                conditions: Vec::new(),
                order: Vec::new(),
                limit: None,
                offset: None,
                columns: Vec::new(),
                distinct: false,
                for_update: false,
                group: Vec::new(),
                with: Vec::new(),
            }),
        }
    }

    /// Rows in which every column has the value given for it; null means IS NULL.
    pub fn where_eq(&self, values: &Map) -> Result<Query, DbError> {
        let mut query = self.clone();
        for (column, value) in values {
            query = query.where_op(column, "=", value)?;
        }
        Ok(query)
    }

    /// Rows for which `column op value` holds; op is one of `= != <> < <= > >= like ilike in`. Null
    /// with `=` means IS NULL, with `!=` IS NOT NULL.
    pub fn where_op(&self, column: &str, op: &str, value: &Value) -> Result<Query, DbError> {
        let table = self.table();
        let index = column_of(table, column)?;
        let def = &table.columns[index];
        let lower = op.to_ascii_lowercase();
        let operator = match lower.as_str() {
            "in" => {
                return match value {
                    Value::List(list) => self.where_in(column, list),
                    // An empty table of Lua may arrive as either.
                    Value::Map(map) if map.is_empty() => self.where_in(column, &[]),
                    other => {
                        let found = other.type_name();
                        Err(at(table, def, format!("in takes a list, found {found}")))
                    }
                };
            }
            "like" | "ilike" => None,
            other => match Operator::NAMES.iter().find(|(name, _)| *name == other) {
                Some((_, operator)) => Some(*operator),
                None => {
                    let names = Operator::NAMES.map(|(name, _)| name).join(" ");
                    return Err(DbError::invalid(format!(
                        "{}.{column}: unknown operator {}; there is {names} like ilike in",
                        table.name,
                        quoted(op),
                    )));
                }
            },
        };
        if value.is_null() {
            return match operator {
                Some(Operator::Equal) => self.where_null(column, true),
                Some(Operator::NotEqual) => self.where_null(column, false),
                _ => Err(at(table, def, format!("null cannot be compared with {op}; use = or !="))),
            };
        }
        require_comparable(table, def)?;
        let Some(operator) = operator else {
            return self.filter(pattern::condition(table, index, &lower, value)?);
        };
        let value = convert::to_sql(&table.name, def, value)?;
        let is_order = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if is_order && matches!(def.ty, ColumnType::Enum(_) | ColumnType::Boolean) {
            let message = format!("{} columns have no order; use =, != or in", def.ty.name());
            return Err(at(table, def, message));
        }
        self.filter(Condition::Compare(index, operator, value))
    }

    /// Rows in which `column` is NULL, or is not.
    pub fn where_null(&self, column: &str, is_null: bool) -> Result<Query, DbError> {
        self.filter(Condition::Null(column_of(self.table(), column)?, is_null))
    }

    /// Rows in which `column` has one of the values; an empty list matches nothing.
    ///
    /// # Errors
    /// `invalid` when a value is null, which SQL would silently never match.
    pub fn where_in(&self, column: &str, list: &[Value]) -> Result<Query, DbError> {
        let table = self.table();
        let index = column_of(table, column)?;
        let def = &table.columns[index];
        require_comparable(table, def)?;
        if list.iter().any(Value::is_null) {
            return Err(at(table, def, "null cannot be in the list; use :whereNull".into()));
        }
        let values = list.iter().map(|v| convert::to_sql(&table.name, def, v));
        self.filter(Condition::In(index, values.collect::<Result<_, _>>()?))
    }

    /// Sorts by `column`, after the orders given before; `direction` is `asc` or `desc`.
    pub fn order_by(&self, column: &str, direction: &str) -> Result<Query, DbError> {
        let table = self.table();
        let index = column_of(table, column)?;
        let order = match direction.to_ascii_lowercase().as_str() {
            "asc" => Order::Asc,
            "desc" => Order::Desc,
            _ => {
                let message =
                    format!("the direction is \"asc\" or \"desc\", not {}", quoted(direction));
                return Err(at(table, &table.columns[index], message));
            }
        };
        if !table.columns[index].ty.is_comparable() {
            let message = format!("{} has no order", table.columns[index].ty.name());
            return Err(at(table, &table.columns[index], message));
        }
        Ok(self.with(|inner| inner.order.push((index, order))))
    }

    /// At most `count` rows.
    pub fn limit(&self, count: u64) -> Query {
        self.with(|inner| inner.limit = Some(count))
    }

    /// Without the first `count` rows.
    pub fn offset(&self, count: u64) -> Query {
        self.with(|inner| inner.offset = Some(count))
    }

    /// Only these columns.
    pub fn select<S: AsRef<str>>(&self, columns: &[S]) -> Result<Query, DbError> {
        let table = self.table();
        if columns.is_empty() {
            return Err(DbError::invalid(format!("{}: select names no columns", table.name)));
        }
        let mut chosen = Vec::with_capacity(columns.len());
        for column in columns {
            let index = column_of(table, column.as_ref())?;
            if !chosen.contains(&index) {
                chosen.push(index);
            }
        }
        Ok(self.with(|inner| inner.columns = chosen))
    }

    /// Gives rows that are equal in what is selected once.
    ///
    /// # Errors
    /// `invalid` when a column is selected that cannot be compared.
    pub fn distinct(&self) -> Result<Query, DbError> {
        let table = self.table();
        for index in self.columns() {
            require_comparable(table, &table.columns[index])?;
        }
        Ok(self.with(|inner| inner.distinct = true))
    }

    /// Locks the rows until the transaction ends, so that nobody else changes them meanwhile.
    pub fn for_update(&self) -> Query {
        self.with(|inner| inner.for_update = true)
    }

    /// Puts rows with equal values in these columns together, for [`Query::aggregate`].
    pub fn group_by<S: AsRef<str>>(&self, columns: &[S]) -> Result<Query, DbError> {
        let table = self.table();
        let mut group = self.inner.group.clone();
        for column in columns {
            let index = column_of(table, column.as_ref())?;
            require_comparable(table, &table.columns[index])?;
            if !group.contains(&index) {
                group.push(index);
            }
        }
        Ok(self.with(|inner| inner.group = group))
    }

    /// Whether [`Query::group_by`] was called.
    pub fn is_grouped(&self) -> bool {
        !self.inner.group.is_empty()
    }

    pub(super) fn conditions(&self) -> &[Condition] {
        &self.inner.conditions
    }

    /// The columns that are given, as indexes.
    pub(super) fn columns(&self) -> Vec<usize> {
        if self.inner.columns.is_empty() {
            (0..self.table().columns.len()).collect()
        } else {
            self.inner.columns.clone()
        }
    }

    /// The texts of what was asked of the tables.
    pub(super) fn texts(&self) -> &Texts {
        &self.inner.set.texts
    }

    fn table(&self) -> &Table {
        &self.inner.set.tables[self.inner.table]
    }

    fn filter(&self, condition: Condition) -> Result<Query, DbError> {
        if self.inner.conditions.len() >= MAX_CONDITIONS {
            let name = &self.table().name;
            return Err(DbError::invalid(format!("{name}: more than {MAX_CONDITIONS} conditions")));
        }
        Ok(self.with(|inner| inner.conditions.push(condition)))
    }

    fn with(&self, change: impl FnOnce(&mut Inner)) -> Query {
        let mut inner = Inner::clone(&self.inner);
        change(&mut inner);
        Query { inner: Arc::new(inner) }
    }
}

/// The index of the column that Lua calls `name`.
pub(super) fn column_of(table: &Table, name: &str) -> Result<usize, DbError> {
    table.columns.iter().position(|c| c.name == name).ok_or_else(|| {
        let hint = hint(name, table.columns.iter().map(|c| c.name.as_str()));
        DbError::invalid(format!("table {} has no column {}{hint}", table.name, quoted(name)))
    })
}

fn require_comparable(table: &Table, column: &Column) -> Result<(), DbError> {
    if column.ty.is_comparable() {
        return Ok(());
    }
    Err(at(table, column, format!("{} can only be compared with null", column.ty.name())))
}

pub(super) fn at(table: &Table, column: &Column, message: String) -> DbError {
    DbError::invalid(format!("{}.{}: {message}", table.name, column.name))
        .at(&table.name, vec![column.name.clone()])
}
