//! Sums, averages and the like, of all rows or of groups.

use sea_query::{Expr, ExprTrait as _, Func, FunctionCall, Order, SelectStatement};

use super::{MAX_ROWS, Query, at, column_of};
use crate::extension::database::convert::{self, big_integer};
use crate::extension::database::model::{Column, ColumnType, Table};
use crate::extension::database::names::{hint, is_valid, quoted};
use crate::store::{Cell, DECIMAL_SUM, DbError, Dialect, Session, Statement};
use crate::value::{Map, Value};

/// A function over the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Of rows, or of those in which a column is not NULL.
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

impl Aggregate {
    /// The names as plugins write them.
    pub const NAMES: [(&'static str, Aggregate); 5] = [
        ("count", Aggregate::Count),
        ("sum", Aggregate::Sum),
        ("avg", Aggregate::Avg),
        ("min", Aggregate::Min),
        ("max", Aggregate::Max),
    ];

    fn name(self) -> &'static str {
        Aggregate::NAMES.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }

    fn check(self, table: &Table, column: &Column) -> Result<(), DbError> {
        use ColumnType as T;
        let fits = match self {
            Aggregate::Count => true,
            Aggregate::Sum | Aggregate::Avg => is_number(column),
            Aggregate::Min | Aggregate::Max => {
                !matches!(column.ty, T::Json | T::Secret | T::Enum(_) | T::Boolean | T::Blob)
            }
        };
        if fits {
            return Ok(());
        }
        let (ty, name) = (column.ty.name(), self.name());
        Err(at(table, column, format!("{ty} columns have no {name}")))
    }

    fn write(self, dialect: Dialect, column: Option<&Column>) -> Expr {
        let itself = |column: &Column| Expr::col(column.physical.clone());
        let Some(column) = column else {
            return Func::count(Expr::col(sea_query::Asterisk)).into();
        };
        let is_decimal = column.ty == ColumnType::Decimal;
        match (self, dialect) {
            (Aggregate::Count, _) => Func::count(itself(column)).into(),
            (Aggregate::Sum, Dialect::Sqlite) if is_decimal => {
                let sum: FunctionCall = Func::cust(DECIMAL_SUM).arg(itself(column));
                sum.into()
            }
            // PostgreSQL would make a decimal of it, and so hide that it no longer fits.
            (Aggregate::Sum, Dialect::Postgres) if is_integer(column) => {
                Expr::from(Func::sum(itself(column))).cast_as("bigint")
            }
            (Aggregate::Sum, _) => Func::sum(itself(column)).into(),
            (Aggregate::Avg, Dialect::Postgres) => {
                Expr::from(Func::avg(itself(column))).cast_as("float8")
            }
            (Aggregate::Avg, Dialect::Sqlite) if is_decimal => {
                Func::avg(itself(column).cast_as("REAL")).into()
            }
            (Aggregate::Avg, Dialect::Sqlite) => Func::avg(itself(column)).into(),
            (Aggregate::Min | Aggregate::Max, _) => {
                let of = |value: Expr| match self {
                    Aggregate::Min => Expr::from(Func::min(value)),
                    _ => Expr::from(Func::max(value)),
                };
                // PostgreSQL has no smallest UUID; as texts they have the same order.
                if dialect == Dialect::Postgres && column.ty == ColumnType::Uuid {
                    of(itself(column).cast_as("text")).cast_as("uuid")
                } else {
                    of(itself(column))
                }
            }
        }
    }

    fn read(
        self,
        session: &Session,
        table: &Table,
        column: Option<&Column>,
        cell: Cell,
    ) -> Result<Value, DbError> {
        match (self, column, cell) {
            (Aggregate::Min | Aggregate::Max, Some(column), cell) => {
                convert::from_sql(session.cipher(), "", &table.name, column, cell)
            }
            (_, _, Cell::Int(n)) => Ok(big_integer(n)),
            (_, _, Cell::Real(n)) => Ok(Value::Float(n)),
            (_, _, Cell::Text(n)) => Ok(Value::String(n)),
            _ => Ok(Value::Null),
        }
    }
}

fn is_integer(column: &Column) -> bool {
    use ColumnType as T;
    matches!(column.ty, T::Integer | T::Serial | T::BigInt | T::BigSerial)
}

fn is_number(column: &Column) -> bool {
    use ColumnType as T;
    is_integer(column) || matches!(column.ty, T::Real | T::DoublePrecision | T::Decimal)
}

/// One value that is asked for: its name, the function, and the column, as an index.
type Asked = (String, Aggregate, Option<usize>);

impl Query {
    /// The sum, average, smallest or largest value of a column; null for no rows, or when all values
    /// are NULL. The sum of decimals is exact, an average is a floating-point number.
    ///
    /// # Errors
    /// `invalid` for columns that have none, and when integers overflow 64 bits.
    pub async fn value_of(
        &self,
        session: &Session,
        aggregate: Aggregate,
        column: &str,
    ) -> Result<Value, DbError> {
        let table = self.table();
        let index = column_of(table, column)?;
        aggregate.check(table, &table.columns[index])?;
        let asked = [("value".to_owned(), aggregate, Some(index))];
        let ungrouped = self.with(|inner| inner.group.clear());
        let mut rows = ungrouped.aggregated(session, &asked).await?;
        Ok(rows.pop().and_then(|mut row| row.shift_remove("value")).unwrap_or_default())
    }

    /// Several values at once, for every group of [`Query::group_by`], as `name → { function, column
    /// }`. A row has the columns of its group too. Without groups there is one row.
    ///
    /// # Errors
    /// `invalid` for unknown functions and for columns that have no such value.
    pub async fn aggregate(&self, session: &Session, wanted: &Map) -> Result<Vec<Map>, DbError> {
        let table = self.table();
        let mut asked: Vec<Asked> = Vec::new();
        for (name, what) in wanted {
            asked.push(self.asked(name, what)?);
        }
        if asked.is_empty() {
            return Err(DbError::invalid(format!(
                "{}: aggregate asks for nothing; it takes {{ total = {{ \"sum\", \"votes\" }} }}",
                table.name
            )));
        }
        let limit = self.inner.limit.unwrap_or(MAX_ROWS + 1);
        let rows = self.aggregated(session, &asked).await?;
        if self.inner.limit.is_none() && rows.len() as u64 >= limit {
            return Err(DbError::invalid(format!(
                "{}: more than {MAX_ROWS} groups; take them in parts with :limit and :offset",
                table.name
            )));
        }
        Ok(rows)
    }

    fn asked(&self, name: &str, what: &Value) -> Result<Asked, DbError> {
        let table = self.table();
        let wrong = |message: String| {
            DbError::invalid(format!("{}: aggregate: {}: {message}", table.name, quoted(name)))
        };
        if !is_valid(name) {
            return Err(wrong("a name is letters, digits and underscores".into()));
        }
        if self.inner.group.iter().any(|i| table.columns[*i].name == name) {
            return Err(wrong("a column of the group has this name".into()));
        }
        let Value::List(parts) = what else {
            return Err(wrong(format!(
                "expected {{ \"sum\", \"column\" }} or {{ \"count\" }}, found {}",
                what.type_name()
            )));
        };
        let function = parts.first().and_then(Value::as_str).unwrap_or_default();
        let Some((_, aggregate)) = Aggregate::NAMES.iter().find(|(name, _)| *name == function)
        else {
            let hint = hint(function, Aggregate::NAMES.iter().map(|(name, _)| *name));
            return Err(wrong(format!("unknown function {}{hint}", quoted(function))));
        };
        let column = match (aggregate, &parts[1..]) {
            (Aggregate::Count, []) => return Ok((name.to_owned(), *aggregate, None)),
            (_, [Value::String(column)]) => column,
            _ => return Err(wrong(format!("{function} takes the name of one column"))),
        };
        let index = column_of(table, column)?;
        aggregate.check(table, &table.columns[index])?;
        Ok((name.to_owned(), *aggregate, Some(index)))
    }

    async fn aggregated(&self, session: &Session, asked: &[Asked]) -> Result<Vec<Map>, DbError> {
        let statement = self.aggregating(session.dialect(), asked)?;
        let (table, group) = (self.table(), &self.inner.group);
        let mut rows = Vec::new();
        for cells in self.fetch(session, statement).await? {
            let mut row = Map::with_capacity(cells.len());
            let mut cells = cells.into_iter();
            for (index, cell) in group.iter().zip(cells.by_ref()) {
                let column = &table.columns[*index];
                row.insert(
                    column.name.clone(),
                    convert::from_sql(session.cipher(), "", &table.name, column, cell)?,
                );
            }
            for ((name, aggregate, column), cell) in asked.iter().zip(cells) {
                let column = column.map(|index| &table.columns[index]);
                row.insert(name.clone(), aggregate.read(session, table, column, cell)?);
            }
            row.retain(|_, value| !value.is_null());
            rows.push(row);
        }
        Ok(rows)
    }

    pub(in crate::extension::database) fn aggregating(
        &self,
        dialect: Dialect,
        asked: &[Asked],
    ) -> Result<Statement, DbError> {
        let (table, group) = (self.table(), &self.inner.group);
        let functions = |select: &mut SelectStatement| {
            for (_, aggregate, column) in asked {
                select.expr(aggregate.write(dialect, column.map(|index| &table.columns[index])));
            }
        };
        if group.is_empty() {
            let is_part = self.inner.limit.is_some() || self.inner.offset.is_some();
            let mut select = if is_part {
                // Limit and offset are about the rows that are looked at.
                let mut part = self.filtered(dialect);
                part.columns((0..table.columns.len()).map(|index| self.physical(index)));
                self.ordered(&mut part, dialect);
                self.paged(&mut part, None);
                sea_query::Query::select().from_subquery(part, "part").to_owned()
            } else {
                self.filtered(dialect)
            };
            functions(&mut select);
            return Ok(Statement::read(dialect, &select));
        }
        if let Some((index, _)) = self.inner.order.iter().find(|(i, _)| !group.contains(i)) {
            let column = &table.columns[*index];
            let message = "groups can be sorted by the columns of groupBy only".to_owned();
            return Err(at(table, column, message));
        }
        let mut select = self.filtered(dialect);
        for index in group {
            select.column(self.physical(*index)).group_by_col(self.physical(*index));
        }
        functions(&mut select);
        // Groups come in an order in any case, which is the same on both databases.
        let further: Vec<usize> = group
            .iter()
            .copied()
            .filter(|index| self.inner.order.iter().all(|(ordered, _)| ordered != index))
            .collect();
        let sorted = self.with(|inner| {
            inner.order.extend(further.into_iter().map(|index| (index, Order::Asc)));
        });
        sorted.ordered(&mut select, dialect);
        self.paged(&mut select, Some(self.inner.limit.unwrap_or(MAX_ROWS + 1)));
        Ok(Statement::read(dialect, &select))
    }
}
