//! Tables: what a plugin declares, how it becomes SQL, and how its rows are read and written.
//!
//! [`declare`] reads a plugin's declarations, [`TableSet::new`] checks them together, [`ddl`]
//! creates and drops the tables, and [`Tables`] is the only way to their rows: it can name no table
//! outside of its set.

mod check;
mod convert;
pub mod ddl;
pub mod declare;
mod drift;
mod errors;
mod insert;
mod model;
mod names;
mod point;
mod query;
mod references;
mod rows;
mod tables;
#[cfg(test)]
mod tests;

pub use drift::differences;
pub use model::{
    Column, ColumnDef, ColumnType, Default, Enum, EnumDef, ForeignKey, Index, IndexDef, OnDelete,
    Place, RelationDef, Table, TableDef, TableSet,
};
pub(crate) use names::{hint, quoted};
pub use point::Database;
pub use query::{Aggregate, MAX_CONDITIONS, MAX_ROWS, Page, Query};
pub use tables::Tables;
