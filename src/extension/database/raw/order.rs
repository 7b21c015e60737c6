//! What is behind a query: order, limits and locks.

use sqlparser::ast::{
    Fetch, LimitClause, LockClause, LockType, NonBlock, Offset, OffsetRows, OrderBy, OrderByExpr,
    OrderByKind, OrderByOptions, OrderBySort, Query,
};

use super::checker::Checker;
use crate::store::DbError;

impl Checker<'_> {
    pub(super) fn order_by(&mut self, query: &Query, order_by: &OrderBy) -> Result<(), DbError> {
        let OrderBy { kind, interpolate } = order_by;
        self.without(query, interpolate.is_some(), "INTERPOLATE")?;
        let OrderByKind::Expressions(keys) = kind else {
            return self.refuse(query, "ORDER BY ALL");
        };
        self.out.token("ORDER BY");
        self.list(keys, Self::order_by_expr)
    }

    pub(super) fn order_by_expr(&mut self, key: &OrderByExpr) -> Result<(), DbError> {
        let OrderByExpr { expr, options: OrderByOptions { sort, nulls_first }, with_fill } = key;
        self.without(expr, with_fill.is_some(), "WITH FILL")?;
        self.expr(expr)?;
        match sort {
            None => {}
            Some(OrderBySort::Asc) => self.out.token("ASC"),
            Some(OrderBySort::Desc) => self.out.token("DESC"),
            Some(OrderBySort::Using(_)) => return self.refuse(expr, "ORDER BY … USING"),
        }
        match nulls_first {
            None => {}
            Some(true) => self.out.token("NULLS FIRST"),
            Some(false) => self.out.token("NULLS LAST"),
        }
        Ok(())
    }

    pub(super) fn limit(&mut self, query: &Query, limit: &LimitClause) -> Result<(), DbError> {
        match limit {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                self.without(query, !limit_by.is_empty(), "LIMIT BY")?;
                self.condition("LIMIT", limit.as_ref())?;
                let Some(Offset { value, rows }) = offset else { return Ok(()) };
                self.condition("OFFSET", Some(value))?;
                match rows {
                    OffsetRows::None => {}
                    OffsetRows::Row | OffsetRows::Rows => {
                        self.postgres_only(value, "ROWS behind OFFSET")?;
                        self.out.token("ROWS");
                    }
                }
                Ok(())
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                self.sqlite_only(offset, "LIMIT with a comma; write LIMIT … OFFSET …")?;
                self.condition("LIMIT", Some(offset))?;
                self.out.tight(",");
                self.expr(limit)
            }
        }
    }

    pub(super) fn fetch(&mut self, query: &Query, fetch: &Fetch) -> Result<(), DbError> {
        let Fetch { with_ties, percent, quantity } = fetch;
        self.postgres_only(query, "FETCH; use LIMIT")?;
        self.without(query, *percent, "PERCENT")?;
        self.out.token("FETCH FIRST");
        if let Some(quantity) = quantity {
            self.expr(quantity)?;
        }
        self.out.token(if *with_ties { "ROWS WITH TIES" } else { "ROWS ONLY" });
        Ok(())
    }

    pub(super) fn lock(&mut self, query: &Query, lock: &LockClause) -> Result<(), DbError> {
        let LockClause { lock_type, of, nonblock } = lock;
        if !self.is_postgres() {
            let message = "FOR UPDATE and FOR SHARE are not needed: a transaction of SQLite has the database for itself";
            return Err(self.error(query, message));
        }
        self.without(query, of.is_some(), "OF behind FOR UPDATE or FOR SHARE")?;
        self.writes = true;
        self.out.token(match lock_type {
            LockType::Update => "FOR UPDATE",
            LockType::Share => "FOR SHARE",
        });
        match nonblock {
            None => {}
            Some(NonBlock::Nowait) => self.out.token("NOWAIT"),
            Some(NonBlock::SkipLocked) => self.out.token("SKIP LOCKED"),
        }
        Ok(())
    }
}
