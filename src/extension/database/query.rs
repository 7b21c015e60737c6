//! Queries as values: every method gives a new one and leaves the old as it was.

use std::sync::Arc;

use sea_query::{Expr, ExprTrait as _, Func, Order, SelectStatement, SimpleExpr, Value as Sql};

use super::errors::Doing;
use super::model::{Column, ColumnType, Table, TableSet};
use super::names::{hint, quoted};
use super::{convert, pattern};
use crate::store::{Cell, DbError, DbErrorKind, Dialect, Session, Statement};
use crate::value::{Map, Value};

/// The most rows that [`Query::all`] gives without a limit.
pub const MAX_ROWS: u64 = 10_000;
/// The most conditions that a query may have.
pub const MAX_CONDITIONS: usize = 500;

const OPERATORS: [&str; 10] = ["=", "!=", "<>", "<", "<=", ">", ">=", "like", "ilike", "in"];

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
    conditions: Vec<Expr>,
    order: Vec<(usize, Order)>,
    limit: Option<u64>,
    offset: Option<u64>,
    /// What to give; empty means every column.
    columns: Vec<usize>,
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
        if !OPERATORS.contains(&lower.as_str()) {
            return Err(DbError::invalid(format!(
                "{}.{column}: unknown operator {}; there is {}",
                table.name,
                quoted(op),
                OPERATORS.join(" ")
            )));
        }
        if lower == "in" {
            return match value {
                Value::List(list) => self.where_in(column, list),
                // An empty table of Lua may arrive as either.
                Value::Map(map) if map.is_empty() => self.where_in(column, &[]),
                other => {
                    Err(at(table, def, format!("in takes a list, found {}", other.type_name())))
                }
            };
        }
        if value.is_null() {
            return match lower.as_str() {
                "=" => self.where_null(column, true),
                "!=" | "<>" => self.where_null(column, false),
                _ => Err(at(table, def, format!("null cannot be compared with {op}; use = or !="))),
            };
        }
        if def.ty == ColumnType::Json {
            return Err(at(table, def, "json can only be compared with null".into()));
        }
        if matches!(lower.as_str(), "like" | "ilike") {
            return self.filter(pattern::condition(table, def, &lower, value)?);
        }
        let value = SimpleExpr::from(convert::to_sql(&table.name, def, value)?);
        let itself = Expr::col(def.physical.clone());
        let is_order = !matches!(lower.as_str(), "=" | "!=" | "<>");
        if is_order && matches!(def.ty, ColumnType::Enum(_) | ColumnType::Boolean) {
            let message = format!("{} columns have no order; use =, != or in", def.ty.name());
            return Err(at(table, def, message));
        }
        self.filter(match lower.as_str() {
            "=" => itself.eq(value),
            "<" => itself.lt(value),
            "<=" => itself.lte(value),
            ">" => itself.gt(value),
            ">=" => itself.gte(value),
            _ => itself.ne(value),
        })
    }

    /// Rows in which `column` is NULL, or is not.
    pub fn where_null(&self, column: &str, is_null: bool) -> Result<Query, DbError> {
        let table = self.table();
        let itself = Expr::col(table.columns[column_of(table, column)?].physical.clone());
        self.filter(if is_null { itself.is_null() } else { itself.is_not_null() })
    }

    /// Rows in which `column` has one of the values; an empty list matches nothing.
    ///
    /// # Errors
    /// `invalid` when a value is null, which SQL would silently never match.
    pub fn where_in(&self, column: &str, list: &[Value]) -> Result<Query, DbError> {
        let table = self.table();
        let def = &table.columns[column_of(table, column)?];
        if def.ty == ColumnType::Json {
            return Err(at(table, def, "json can only be compared with null".into()));
        }
        if list.iter().any(Value::is_null) {
            return Err(at(table, def, "null cannot be in the list; use :whereNull".into()));
        }
        let values: Vec<Sql> =
            list.iter().map(|v| convert::to_sql(&table.name, def, v)).collect::<Result<_, _>>()?;
        self.filter(Expr::col(def.physical.clone()).is_in(values))
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
        if table.columns[index].ty == ColumnType::Json {
            return Err(at(table, &table.columns[index], "json has no order".into()));
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

    /// The rows. A NULL column is an absent key.
    ///
    /// # Errors
    /// `invalid` when there are more than [`MAX_ROWS`] and the query has no limit.
    pub async fn all(&self, session: &Session) -> Result<Vec<Map>, DbError> {
        let unlimited = self.inner.limit.is_none();
        let rows = self.rows(session, self.inner.limit.unwrap_or(MAX_ROWS + 1)).await?;
        if unlimited && rows.len() as u64 > MAX_ROWS {
            return Err(DbError::invalid(format!(
                "{}: more than {MAX_ROWS} rows; take them in parts with :limit and :offset",
                self.table().name
            )));
        }
        Ok(rows)
    }

    /// The first row, if there is any.
    pub async fn first(&self, session: &Session) -> Result<Option<Map>, DbError> {
        let limit = self.inner.limit.map_or(1, |limit| u64::from(limit > 0));
        Ok(self.rows(session, limit).await?.into_iter().next())
    }

    /// How many rows there are, within limit and offset.
    pub async fn count(&self, session: &Session) -> Result<i64, DbError> {
        let statement = {
            let everything = Expr::col(sea_query::Asterisk);
            let mut count = sea_query::Query::select();
            count.expr(Func::count(everything));
            if self.inner.limit.is_some() || self.inner.offset.is_some() {
                let mut part = self.filtered();
                part.expr(Expr::val(1)).limit(self.inner.limit.unwrap_or(i64::MAX as u64));
                count.from_subquery(part, "part");
                Statement::read(Dialect::Sqlite, &count)
            } else {
                Statement::read(
                    Dialect::Sqlite,
                    self.filtered().expr(Func::count(Expr::col(sea_query::Asterisk))),
                )
            }
        };
        match self.fetch(session, statement).await?.into_iter().flatten().next() {
            Some(Cell::Int(n)) => Ok(n),
            _ => Err(DbError::new(DbErrorKind::Internal, "count gave no number")),
        }
    }

    /// Whether there is any row, within limit and offset.
    pub async fn exists(&self, session: &Session) -> Result<bool, DbError> {
        let limit = self.inner.limit.map_or(1, |limit| u64::from(limit > 0));
        let statement =
            Statement::read(Dialect::Sqlite, self.filtered().expr(Expr::val(1)).limit(limit));
        Ok(!self.fetch(session, statement).await?.is_empty())
    }

    /// The sum of a column; `None` for no rows, or when all values are NULL.
    ///
    /// # Errors
    /// `invalid` for columns that are not numbers, for decimals, whose sum the database could only
    /// approximate, and when integers overflow 64 bits.
    pub async fn sum(&self, session: &Session, column: &str) -> Result<Option<Value>, DbError> {
        let table = self.table();
        let def = &table.columns[column_of(table, column)?];
        use ColumnType as T;
        if !matches!(
            def.ty,
            T::Integer | T::Serial | T::BigInt | T::BigSerial | T::Real | T::DoublePrecision
        ) {
            let message = format!("{} columns cannot be summed", def.ty.name());
            return Err(at(table, def, message));
        }
        let statement = {
            let mut part = self.filtered();
            part.column(def.physical.clone()).limit(self.inner.limit.unwrap_or(i64::MAX as u64));
            let mut sum = sea_query::Query::select();
            sum.expr(Func::sum(Expr::col(def.physical.clone()))).from_subquery(part, "part");
            Statement::read(Dialect::Sqlite, &sum)
        };
        match self.fetch(session, statement).await?.into_iter().flatten().next() {
            Some(Cell::Int(n)) => Ok(Some(convert::big_integer(n))),
            Some(Cell::Real(n)) => Ok(Some(Value::Float(n))),
            _ => Ok(None),
        }
    }

    pub(super) fn conditions(&self) -> &[Expr] {
        &self.inner.conditions
    }

    async fn rows(&self, session: &Session, limit: u64) -> Result<Vec<Map>, DbError> {
        let table = self.table();
        let every: Vec<usize>;
        let columns = if self.inner.columns.is_empty() {
            every = (0..table.columns.len()).collect();
            &every
        } else {
            &self.inner.columns
        };
        let statement = {
            let mut select = self.filtered();
            select.columns(columns.iter().map(|i| table.columns[*i].physical.clone()));
            Statement::read(Dialect::Sqlite, select.limit(limit))
        };
        let rows = self.fetch(session, statement).await?;
        rows.into_iter().map(|cells| read_row(table, columns, cells)).collect()
    }

    /// The statement without columns and limit.
    fn filtered(&self) -> SelectStatement {
        let table = self.table();
        let mut select = sea_query::Query::select();
        select.from(table.physical.clone());
        for condition in &self.inner.conditions {
            select.and_where(condition.clone());
        }
        for (column, order) in &self.inner.order {
            select.order_by(table.columns[*column].physical.clone(), order.clone());
        }
        // OFFSET needs a LIMIT in SQLite; every caller sets one, or has no offset.
        if let Some(offset) = self.inner.offset {
            select.offset(offset);
        }
        select
    }

    async fn fetch(
        &self,
        session: &Session,
        statement: Statement,
    ) -> Result<Vec<Vec<Cell>>, DbError> {
        let explain = |e| self.inner.set.explain(self.table(), Doing::Reading, e);
        session.fetch(statement).await.map_err(explain)
    }

    fn table(&self) -> &Table {
        &self.inner.set.tables[self.inner.table]
    }

    fn filter(&self, condition: Expr) -> Result<Query, DbError> {
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

/// A row as Lua sees it: NULL columns are absent.
pub(super) fn read_row(table: &Table, columns: &[usize], cells: Vec<Cell>) -> Result<Map, DbError> {
    let mut row = Map::with_capacity(cells.len());
    for (index, cell) in columns.iter().zip(cells) {
        let column = &table.columns[*index];
        match convert::from_sql(&table.name, column, cell)? {
            Value::Null => {}
            value => {
                row.insert(column.name.clone(), value);
            }
        }
    }
    Ok(row)
}

pub(super) fn at(table: &Table, column: &Column, message: String) -> DbError {
    DbError::invalid(format!("{}.{}: {message}", table.name, column.name))
        .at(&table.name, vec![column.name.clone()])
}
