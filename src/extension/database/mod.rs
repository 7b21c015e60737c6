//! Tables: what a plugin declares, how it becomes SQL, and how its rows are read and written.
//!
//! [`declare`] reads a plugin's declarations, and [`TableSet::new`] checks them together.
//! [`upgrade`] creates, changes and drops the tables, as [`plan`] says, and [`Installed`] remembers
//! what is in the database. [`Tables`] is the only way to the rows: it can name no table outside of
//! its set.

pub mod backup;
mod check;
mod convert;
mod ddl;
pub mod declare;
mod errors;
mod insert;
mod installed;
pub mod migrations;
mod model;
mod names;
pub mod plan;
mod point;
mod query;
mod raw;
mod references;
mod role;
mod rows;
pub mod sql;
mod tables;
mod taken;
#[cfg(test)]
mod tests;
pub mod upgrade;

pub use installed::Installed;
pub use model::{
    Column, ColumnDef, ColumnType, Default, Enum, EnumDef, ForeignKey, Index, IndexDef, OnDelete,
    Place, RelationDef, Table, TableDef, TableSet,
};
pub(crate) use names::{hint, quoted};
pub use point::{Database, table_plan};
pub use query::{Aggregate, MAX_CONDITIONS, MAX_ROWS, Page, Query};
pub use tables::Tables;
