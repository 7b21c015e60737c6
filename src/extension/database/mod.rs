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
mod model;
mod names;
mod pattern;
mod point;
mod query;
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "nothing runs raw SQL yet"))]
mod raw;
mod references;
mod tables;
#[cfg(test)]
mod tests;

pub use drift::differences;
pub use model::{
    Column, ColumnDef, ColumnType, Default, Enum, EnumDef, ForeignKey, Index, IndexDef, OnDelete,
    Place, RelationDef, Table, TableDef, TableSet,
};
pub use point::Database;
pub use query::{MAX_CONDITIONS, MAX_ROWS, Query};
pub use tables::Tables;
