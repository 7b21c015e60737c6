//! Queries as statements, and what they give.

use sea_query::{Expr, Func, LockType, NullOrdering, Order, SelectStatement};

use super::{MAX_ROWS, Query, at};
use crate::extension::database::errors::Doing;
use crate::extension::database::model::{Column, ColumnType, Table};
use crate::extension::database::rows::read_row;
use crate::store::{Cell, DbError, DbErrorKind, Dialect, Row, Session, Statement};
use crate::value::{Map, Value};

impl Query {
    /// The rows. A NULL column is an absent key.
    ///
    /// # Errors
    /// `invalid` when there are more than [`MAX_ROWS`] and the query has no limit.
    pub async fn all(&self, session: &Session) -> Result<Vec<Map>, DbError> {
        let unlimited = self.inner.limit.is_none();
        let rows = self.rows(session, self.inner.limit.unwrap_or(MAX_ROWS + 1)).await?;
        if unlimited && rows.len() as u64 > MAX_ROWS {
            return Err(DbError::invalid(format!(
                "{}: more than {MAX_ROWS} rows; take them in parts with :limit and :offset, or \
                 with :page",
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
        let everything = Func::count(Expr::col(sea_query::Asterisk));
        let dialect = session.dialect();
        let is_part =
            self.inner.limit.is_some() || self.inner.offset.is_some() || self.inner.distinct;
        let select = if is_part {
            let mut part = self.filtered(dialect);
            if self.inner.distinct {
                part.columns(self.columns().iter().map(|i| self.physical(*i)));
            } else {
                part.expr(Expr::val(1));
            }
            self.paged(&mut part, None);
            sea_query::Query::select().expr(everything).from_subquery(part, "part").to_owned()
        } else {
            self.filtered(dialect).expr(everything).to_owned()
        };
        match self
            .fetch(session, Statement::read(dialect, &select))
            .await?
            .into_iter()
            .flatten()
            .next()
        {
            Some(Cell::Int(n)) => Ok(n),
            _ => Err(DbError::new(DbErrorKind::Internal, "count gave no number")),
        }
    }

    /// Whether there is any row, within limit and offset.
    pub async fn exists(&self, session: &Session) -> Result<bool, DbError> {
        let dialect = session.dialect();
        let limit = self.inner.limit.map_or(1, |limit| u64::from(limit > 0));
        let mut select = self.filtered(dialect);
        select.expr(Expr::val(1));
        self.paged(&mut select, Some(limit));
        Ok(!self.fetch(session, Statement::read(dialect, &select)).await?.is_empty())
    }

    /// The different values of a column, in their order, NULL left out.
    ///
    /// # Errors
    /// `invalid` when there are more than [`MAX_ROWS`] and the query has no limit.
    pub async fn distinct_values(
        &self,
        session: &Session,
        column: &str,
    ) -> Result<Vec<Value>, DbError> {
        let query = self.select(&[column])?.distinct()?.where_null(column, false)?;
        let query = query.with(|inner| inner.order.clear()).order_by(column, "asc")?;
        let rows = query.all(session).await?;
        Ok(rows.into_iter().filter_map(|mut row| row.shift_remove(column)).collect())
    }

    /// The statement that [`Query::all`] runs.
    ///
    /// # Errors
    /// `invalid` when distinct rows are to be sorted by what is not selected.
    pub(in crate::extension::database) fn statement(
        &self,
        dialect: Dialect,
        columns: &[usize],
        limit: u64,
    ) -> Result<Statement, DbError> {
        let mut select = self.filtered(dialect);
        select.columns(columns.iter().map(|i| self.physical(*i)));
        if self.inner.distinct {
            if self.inner.for_update {
                return Err(DbError::invalid(format!(
                    "{}: forUpdate locks rows, of which distinct gives none",
                    self.table().name
                )));
            }
            if let Some((index, _)) = self.inner.order.iter().find(|(i, _)| !columns.contains(i)) {
                let column = &self.table().columns[*index];
                let message = "distinct rows can be sorted by what is selected only".to_owned();
                return Err(at(self.table(), column, message));
            }
            // PostgreSQL sorts distinct rows by plain columns alone.
            select = sea_query::Query::select()
                .columns(columns.iter().map(|i| self.physical(*i)))
                .from_subquery(select.distinct().to_owned(), "part")
                .to_owned();
        }
        self.ordered(&mut select, dialect);
        self.paged(&mut select, Some(limit));
        // On SQLite the transaction has the only writer from its beginning on.
        if self.inner.for_update && dialect == Dialect::Postgres {
            select.lock(LockType::Update);
            return Ok(Statement::read(dialect, &select).locking());
        }
        Ok(Statement::read(dialect, &select))
    }

    async fn rows(&self, session: &Session, limit: u64) -> Result<Vec<Map>, DbError> {
        if self.inner.for_update && !session.is_transaction() {
            return Err(DbError::invalid(format!(
                "{}: forUpdate locks rows until a transaction ends; use it inside of \
                 ctx.db:transaction",
                self.table().name
            )));
        }
        let table = self.table();
        let given = self.columns();
        // Those that lead to related rows are read in any case.
        let mut columns = given.clone();
        columns.extend(self.linking_columns(&given));
        let dialect = session.dialect();
        let statement = self.texts().statement(self, dialect, &columns, limit, || {
            self.statement(dialect, &columns, limit)
        })?;
        let found = self.fetch(session, statement).await?;
        let set = &self.inner.set;
        let read = |cells| read_row(session.cipher(), set, table, &columns, cells);
        let mut rows: Vec<Map> = found.into_iter().map(read).collect::<Result<_, _>>()?;
        self.add_related(session, &mut rows).await?;
        for extra in &columns[given.len()..] {
            for row in &mut rows {
                row.shift_remove(&table.columns[*extra].name);
            }
        }
        Ok(rows)
    }

    /// The statement without columns, order and limit.
    pub(super) fn filtered(&self, dialect: Dialect) -> SelectStatement {
        let table = self.table();
        let mut select = sea_query::Query::select();
        select.from(table.physical.clone());
        for condition in &self.inner.conditions {
            select.cond_where(condition.write(dialect, table));
        }
        select
    }

    pub(super) fn ordered(&self, select: &mut SelectStatement, dialect: Dialect) {
        for (index, order) in &self.inner.order {
            let column = &self.table().columns[*index];
            order_by(select, dialect, column, order);
        }
    }

    pub(super) fn paged(&self, select: &mut SelectStatement, limit: Option<u64>) {
        let limit = limit.or(self.inner.limit);
        if let Some(offset) = self.inner.offset {
            // OFFSET needs a LIMIT in SQLite.
            select.limit(limit.unwrap_or(i64::MAX as u64)).offset(offset);
        } else if let Some(limit) = limit {
            select.limit(limit);
        }
    }

    pub(super) async fn fetch(
        &self,
        session: &Session,
        statement: Statement,
    ) -> Result<Vec<Row>, DbError> {
        let explain = |e| self.inner.set.explain(self.table(), Doing::Reading, e);
        session.fetch(statement).await.map_err(explain)
    }

    pub(super) fn physical(&self, index: usize) -> String {
        self.table().columns[index].physical.clone()
    }
}

/// Sorts by a column in the same order on both databases.
fn order_by(select: &mut SelectStatement, dialect: Dialect, column: &Column, order: &Order) {
    let itself = match (dialect, &column.ty) {
        // PostgreSQL sorts enums by the order of their declaration. Names are letters, digits and
        // underscores.
        (Dialect::Postgres, ColumnType::Enum(_)) => {
            Expr::cust(format!("CAST(\"{}\" AS text) COLLATE \"C\"", column.physical))
        }
        _ => Expr::col(column.physical.clone()),
    };
    // In SQLite NULL is the smallest, in PostgreSQL the largest unless it is told otherwise.
    if dialect == Dialect::Postgres && !column.not_null {
        let nulls = if *order == Order::Desc { NullOrdering::Last } else { NullOrdering::First };
        select.order_by_expr_with_nulls(itself, order.clone(), nulls);
    } else {
        select.order_by_expr(itself, order.clone());
    }
}

/// A condition on the rows of a table, for statements that change them.
pub(in crate::extension::database) fn matching(
    dialect: Dialect,
    table: &Table,
    query: &Query,
) -> sea_query::Condition {
    query
        .conditions()
        .iter()
        .fold(sea_query::Condition::all(), |all, one| all.add(one.write(dialect, table)))
}
