//! What a plugin declares, and what becomes of it once it is checked.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::names;
use super::query::Texts;
use crate::value::Value;

/// Where a declaration was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The columns of the primary key, if it is declared for the table and not for columns.
    pub primary_key: Vec<String>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    /// Text that is encrypted with the host's key.
    Secret,
}

impl ColumnType {
    /// The names of all types but enums, as the constructors of `@std/table` are called.
    pub const NAMES: [(&'static str, ColumnType); 16] = [
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
        ("secret", ColumnType::Secret),
    ];

    /// The name as plugin authors write it.
    pub fn name(&self) -> &'static str {
        ColumnType::NAMES.iter().find(|(_, ty)| ty == self).map_or("enum", |(name, _)| name)
    }

    /// Whether values can be compared with each other, sorted and indexed.
    pub fn is_comparable(&self) -> bool {
        !matches!(self, ColumnType::Json | ColumnType::Secret)
    }

    /// Whether the database numbers the rows.
    pub fn is_serial(&self) -> bool {
        matches!(self, ColumnType::Serial | ColumnType::BigSerial)
    }
}

/// The value of a column for which an insert has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "StoredDefault", try_from = "StoredDefault")]
pub enum Default {
    Value(Value),
    /// The time of the insert, by the host's clock.
    Now,
    /// A random UUID (version 4).
    Random,
}

/// A [`Default`] as JSON can hold it, which has no bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredDefault {
    Value(Value),
    Base64(String),
    Now,
    Random,
}

impl From<Default> for StoredDefault {
    fn from(default: Default) -> Self {
        match default {
            Default::Value(Value::Bytes(bytes)) => StoredDefault::Base64(BASE64.encode(bytes)),
            Default::Value(value) => StoredDefault::Value(value),
            Default::Now => StoredDefault::Now,
            Default::Random => StoredDefault::Random,
        }
    }
}

impl TryFrom<StoredDefault> for Default {
    type Error = base64::DecodeError;

    fn try_from(stored: StoredDefault) -> Result<Self, Self::Error> {
        Ok(match stored {
            StoredDefault::Value(value) => Default::Value(value),
            StoredDefault::Base64(text) => Default::Value(Value::Bytes(BASE64.decode(text)?)),
            StoredDefault::Now => Default::Now,
            StoredDefault::Random => Default::Random,
        })
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, std::default::Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
///
/// It is kept in the plugin's record as JSON: it says what is in the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableSet {
    pub(super) plugin_id: String,
    pub(super) tables: Vec<Table>,
    pub(super) enums: Vec<Enum>,
    pub(super) relations: Vec<RelationDef>,
    /// Indexes into `tables`, referenced tables before those that refer to them.
    pub(super) creation_order: Vec<usize>,
    /// The texts of what was asked of the tables.
    #[serde(skip)]
    pub(super) texts: Texts,
}

impl TableSet {
    /// A plugin without tables.
    pub fn empty(plugin_id: impl Into<String>) -> Self {
        TableSet {
            plugin_id: plugin_id.into(),
            tables: Vec::new(),
            enums: Vec::new(),
            relations: Vec::new(),
            creation_order: Vec::new(),
            texts: Texts::default(),
        }
    }

    pub fn plugin_id(&self) -> &str {
        &self.plugin_id
    }

    /// The tables, in the order of their declaration.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The table that Lua calls `name`.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// The enums, in the order of their declaration.
    pub fn enums(&self) -> &[Enum] {
        &self.enums
    }

    /// The relations as declared.
    pub fn relations(&self) -> &[RelationDef] {
        &self.relations
    }

    /// The tables, those that are referred to before those that refer to them.
    pub fn in_creation_order(&self) -> impl DoubleEndedIterator<Item = &Table> {
        self.creation_order.iter().map(|i| &self.tables[*i])
    }

    /// The table that is called `physical` in the database.
    pub(super) fn physical(&self, physical: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.physical == physical)
    }

    /// The enum whose type is called `physical` in PostgreSQL.
    pub(super) fn physical_enum(&self, physical: &str) -> Option<&Enum> {
        self.enums.iter().find(|one| one.physical == physical)
    }

    /// Where a foreign key leads.
    pub(super) fn target(&self, key: ForeignKey) -> (&Table, &Column) {
        let table = &self.tables[key.table];
        (table, &table.columns[key.column])
    }

    /// Whether the plugin has no tables.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

/// A checked enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enum {
    /// The name that columns use.
    pub name: String,
    /// The name of the type in PostgreSQL.
    pub physical: String,
    pub values: Arc<[String]>,
}

/// A checked table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The name that Lua uses.
    pub name: String,
    /// The name in the database.
    pub physical: String,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    /// The columns of the primary key, as indexes into `columns`; empty if there is none.
    pub key: Vec<usize>,
}

impl Table {
    /// The column that is called `physical` in the database.
    pub(super) fn physical(&self, physical: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.physical == physical)
    }

    /// The names in the database of the primary key's columns.
    pub(super) fn key_columns(&self) -> Vec<&str> {
        self.key.iter().map(|i| self.columns[*i].physical.as_str()).collect()
    }

    /// Whether `column` is all of the primary key.
    pub(super) fn is_sole_key(&self, column: &Column) -> bool {
        self.key_columns() == [column.physical.as_str()]
    }

    /// Whether `column` has a constraint of its own that makes it unique, beside the primary key.
    pub(super) fn has_unique(&self, column: &Column) -> bool {
        column.unique && !self.is_sole_key(column)
    }

    /// Whether other columns can refer to the one at this index: no two rows have the same in it.
    pub(super) fn is_unique(&self, column: usize) -> bool {
        self.key == [column]
            || self.columns[column].unique
            || self.indexes.iter().any(|index| index.unique && index.columns == [column])
    }

    /// The name in PostgreSQL of the primary key's constraint.
    pub(super) fn key_constraint(&self) -> String {
        names::bounded(format!("{}_pkey", self.physical))
    }

    /// The name in PostgreSQL of the constraint that makes `column` unique.
    pub(super) fn unique_constraint(&self, column: &Column) -> String {
        names::bounded(format!("{}_{}_key", self.physical, column.physical))
    }

    /// The name in PostgreSQL of the constraint that makes `column` refer to another.
    pub(super) fn foreign_key_constraint(&self, column: &Column) -> String {
        names::bounded(format!("{}_{}_fkey", self.physical, column.physical))
    }
}

/// A checked column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The name that Lua uses.
    pub name: String,
    /// The name in the database.
    pub physical: String,
    pub ty: ColumnType,
    /// What an enum column may hold; empty for any other.
    pub values: Arc<[String]>,
    /// The name of an enum column's type in PostgreSQL; empty for any other.
    pub enum_type: String,
    /// Whether it is part of the primary key.
    pub primary_key: bool,
    /// Whether it cannot be NULL; primary keys cannot.
    pub not_null: bool,
    pub unique: bool,
    pub default: Option<Default>,
    pub foreign_key: Option<ForeignKey>,
}

/// Where a column's values must exist, as indexes into the set's tables and that table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub table: usize,
    pub column: usize,
    pub on_delete: OnDelete,
}

/// A checked index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The name in the database.
    pub physical: String,
    /// Indexes into the table's columns.
    pub columns: Vec<usize>,
    pub unique: bool,
}
