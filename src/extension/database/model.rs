//! What a plugin declares, and what becomes of it once it is checked.

use std::sync::Arc;

use crate::value::Value;

/// Where a declaration was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Relative to the plugin's folder, with forward slashes.
    pub file: String,
    /// From 1.
    pub line: Option<u32>,
}

/// A table as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct TableDef {
    /// The key under which the file exports it.
    pub export: String,
    /// The name that Lua uses for it.
    pub name: String,
    pub columns: Vec<ColumnDef>,
    pub indexes: Vec<IndexDef>,
    pub place: Option<Place>,
}

/// A column as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    pub name: String,
    pub ty: ColumnType,
    pub primary_key: bool,
    pub not_null: bool,
    pub unique: bool,
    pub default: Option<Default>,
    /// The table and column, as declared, in which its values must exist.
    pub references: Option<(String, String)>,
}

impl ColumnDef {
    /// A nullable column without a default.
    pub fn new(name: impl Into<String>, ty: ColumnType) -> Self {
        ColumnDef {
            name: name.into(),
            ty,
            primary_key: false,
            not_null: false,
            unique: false,
            default: None,
            references: None,
        }
    }
}

/// The type of a column. How each is written and read is described in `convert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    /// 32 bits.
    Integer,
    /// 64 bits; beyond 2^53 a string of digits in Lua.
    BigInt,
    /// 64-bit floating point, as is [`ColumnType::DoublePrecision`].
    Real,
    DoublePrecision,
    /// Any number of digits, a string in Lua.
    Decimal,
    Boolean,
    /// An instant, to the millisecond.
    Timestamp,
    Date,
    /// A time of day, to the millisecond.
    Time,
    Json,
    Uuid,
    /// 32 bits, numbered by the database.
    Serial,
    /// 64 bits, numbered by the database.
    BigSerial,
    /// One of the values of the enum of this name.
    Enum(String),
    Blob,
}

impl ColumnType {
    /// The names of all types but enums, as the constructors of `@std/table` are called.
    pub const NAMES: [(&'static str, ColumnType); 15] = [
        ("text", ColumnType::Text),
        ("integer", ColumnType::Integer),
        ("bigint", ColumnType::BigInt),
        ("real", ColumnType::Real),
        ("doublePrecision", ColumnType::DoublePrecision),
        ("decimal", ColumnType::Decimal),
        ("boolean", ColumnType::Boolean),
        ("timestamp", ColumnType::Timestamp),
        ("date", ColumnType::Date),
        ("time", ColumnType::Time),
        ("json", ColumnType::Json),
        ("uuid", ColumnType::Uuid),
        ("serial", ColumnType::Serial),
        ("bigserial", ColumnType::BigSerial),
        ("blob", ColumnType::Blob),
    ];

    /// The name as plugin authors write it.
    pub fn name(&self) -> &'static str {
        ColumnType::NAMES.iter().find(|(_, ty)| ty == self).map_or("enum", |(name, _)| name)
    }

    /// Whether the database numbers the rows.
    pub fn is_serial(&self) -> bool {
        matches!(self, ColumnType::Serial | ColumnType::BigSerial)
    }
}

/// The value of a column for which an insert has none.
#[derive(Debug, Clone, PartialEq)]
pub enum Default {
    Value(Value),
    /// The time of the insert, by the host's clock.
    Now,
    /// A random UUID (version 4).
    Random,
}

/// An index as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDef {
    pub columns: Vec<String>,
    pub unique: bool,
    pub name: Option<String>,
}

/// An enum as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumDef {
    pub export: String,
    pub name: String,
    pub values: Vec<String>,
    pub place: Option<Place>,
}

/// A relation as declared: `from` must hold a value of `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationDef {
    pub export: String,
    /// Table and column.
    pub from: (String, String),
    /// Table and column.
    pub to: (String, String),
    pub on_delete: OnDelete,
    pub place: Option<Place>,
}

/// What happens to rows whose referenced row is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, std::default::Default)]
pub enum OnDelete {
    /// The delete fails if a reference is left at the end of the statement.
    #[default]
    NoAction,
    /// The delete fails.
    Restrict,
    /// They are deleted too.
    Cascade,
    /// Their column becomes NULL.
    SetNull,
}

impl OnDelete {
    /// The names as plugin authors write them.
    pub const NAMES: [(&'static str, OnDelete); 4] = [
        ("noAction", OnDelete::NoAction),
        ("restrict", OnDelete::Restrict),
        ("cascade", OnDelete::Cascade),
        ("setNull", OnDelete::SetNull),
    ];
}

/// All tables of a plugin, checked: every name in it is valid, and every reference leads somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSet {
    pub(super) plugin_id: String,
    pub(super) tables: Vec<Table>,
    pub(super) relations: Vec<RelationDef>,
    /// Indexes into `tables`, referenced tables before those that refer to them.
    pub(super) creation_order: Vec<usize>,
}

impl TableSet {
    pub fn plugin_id(&self) -> &str {
        &self.plugin_id
    }

    /// The tables, in the order of their declaration.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The relations as declared.
    pub fn relations(&self) -> &[RelationDef] {
        &self.relations
    }

    /// Whether the plugin has no tables.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

/// A checked table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The name that Lua uses.
    pub name: String,
    /// The name in the database.
    pub physical: String,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
}

/// A checked column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name that Lua uses.
    pub name: String,
    /// The name in the database.
    pub physical: String,
    pub ty: ColumnType,
    /// What an enum column may hold; empty for any other.
    pub values: Arc<[String]>,
    pub primary_key: bool,
    /// Whether it cannot be NULL; primary keys cannot.
    pub not_null: bool,
    pub unique: bool,
    pub default: Option<Default>,
    pub foreign_key: Option<ForeignKey>,
}

/// Where a column's values must exist, as indexes into the set's tables and that table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignKey {
    pub table: usize,
    pub column: usize,
    pub on_delete: OnDelete,
}

/// A checked index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The name in the database.
    pub physical: String,
    /// Indexes into the table's columns.
    pub columns: Vec<usize>,
    pub unique: bool,
}
