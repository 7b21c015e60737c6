//! Checks all declarations of a plugin together, and finds every problem at once.

use std::collections::HashMap;
use std::sync::Arc;

use super::convert;
use super::model::*;
use super::names::{self, hint, quoted};
use crate::error::{Phase, Problem};

/// The most columns that a table may have.
const MAX_COLUMNS: usize = 500;

impl TableSet {
    /// Checks the declarations of a plugin and resolves their names.
    ///
    /// # Errors
    /// All problems, each naming table and column and what to do.
    pub fn new(
        plugin_id: &str,
        tables: Vec<TableDef>,
        enums: Vec<EnumDef>,
        relations: Vec<RelationDef>,
    ) -> Result<TableSet, Vec<Problem>> {
        let mut problems = Problems::default();
        let values = check_enums(&enums, &mut problems);
        let mut resolved: Vec<Table> =
            tables.iter().map(|t| check_table(plugin_id, t, &values, &mut problems)).collect();
        let enums: Vec<Enum> = enums.iter().map(|def| checked_enum(plugin_id, def)).collect();
        check_names(&tables, &resolved, &enums, &mut problems);
        super::references::resolve(&tables, &mut resolved, &relations, &mut problems);
        let creation_order = super::references::creation_order(&tables, &resolved, &mut problems);
        if !problems.found.is_empty() {
            return Err(problems.found);
        }
        Ok(TableSet {
            plugin_id: plugin_id.to_owned(),
            tables: resolved,
            enums,
            relations,
            creation_order,
            texts: super::query::Texts::default(),
        })
    }
}

/// Collects problems with their places.
#[derive(std::default::Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    pub(super) fn add(&mut self, place: Option<&Place>, message: String) {
        let mut problem = Problem::new(Phase::Load, message);
        if let Some(place) = place {
            problem = problem.in_file(&place.file);
            problem.line = place.line;
        }
        self.found.push(problem);
    }
}

const IDENTIFIER: &str =
    "a name is a letter, then letters, digits and underscores, at most 48 in all";

type EnumValues<'a> = HashMap<&'a str, Arc<[String]>>;

fn check_enums<'a>(enums: &'a [EnumDef], problems: &mut Problems) -> EnumValues<'a> {
    let mut known = EnumValues::new();
    for def in enums {
        let mut wrong = |message: String| {
            problems.add(def.place.as_ref(), format!("enum {}: {message}", quoted(&def.name)));
        };
        if !names::is_valid(&def.name) {
            wrong(IDENTIFIER.into());
        }
        if def.values.is_empty() {
            wrong("it has no values; give at least one".into());
        }
        for (i, value) in def.values.iter().enumerate() {
            if value.is_empty() || value.len() > 63 || value.contains('\0') {
                let value = quoted(value);
                wrong(format!(
                    "value {value}: a value is text of 1 to 63 bytes without null bytes"
                ));
            }
            if def.values[..i].contains(value) {
                wrong(format!("value {} is there twice; remove one", quoted(value)));
            }
        }
        if known.insert(&def.name, def.values.as_slice().into()).is_some() {
            wrong("is declared twice; rename or remove one".into());
        }
    }
    known
}

fn checked_enum(plugin_id: &str, def: &EnumDef) -> Enum {
    Enum {
        name: def.name.clone(),
        physical: names::physical_enum(plugin_id, &def.name),
        values: def.values.as_slice().into(),
    }
}

fn check_table(
    plugin_id: &str,
    def: &TableDef,
    enums: &EnumValues<'_>,
    problems: &mut Problems,
) -> Table {
    let place = def.place.as_ref();
    if !names::is_valid(&def.name) {
        problems.add(place, format!("table {}: {IDENTIFIER}", quoted(&def.name)));
    }
    if def.columns.is_empty() {
        problems.add(place, format!("table {}: it has no columns", def.name));
    }
    if def.columns.len() > MAX_COLUMNS {
        let count = def.columns.len();
        problems.add(
            place,
            format!(
                "table {}: it has {count} columns; at most {MAX_COLUMNS} are possible",
                def.name
            ),
        );
    }
    let mut columns: Vec<Column> = def
        .columns
        .iter()
        .map(|column| check_column(plugin_id, def, column, enums, problems))
        .collect();
    let key = check_key(def, &mut columns, problems);
    for (i, column) in columns.iter().enumerate() {
        if let Some(other) = columns[..i].iter().find(|c| c.physical == column.physical) {
            let message = if other.name == column.name {
                format!("{}.{}: the column is declared twice; remove one", def.name, column.name)
            } else {
                format!(
                    "{}.{} and {}.{} are both {} in the database; rename one",
                    def.name, other.name, def.name, column.name, column.physical
                )
            };
            problems.add(place, message);
        }
    }
    let physical = names::physical_table(plugin_id, &def.name);
    let indexes = def
        .indexes
        .iter()
        .filter_map(|index| check_index(plugin_id, &physical, def, index, &columns, problems))
        .collect();
    Table { name: def.name.clone(), physical, columns, indexes, key }
}

/// The primary key: the columns that say so, or those that the table names.
fn check_key(def: &TableDef, columns: &mut [Column], problems: &mut Problems) -> Vec<usize> {
    let own: Vec<usize> = (0..columns.len()).filter(|i| columns[*i].primary_key).collect();
    let mut wrong = |message: String| {
        problems.add(def.place.as_ref(), format!("table {}: primaryKey: {message}", def.name));
    };
    if def.primary_key.is_empty() {
        return own;
    }
    if !own.is_empty() {
        let names: Vec<&str> = own.iter().map(|i| columns[*i].name.as_str()).collect();
        let names = names.join(", ");
        wrong(format!("columns are marked as primary key too ({names}); keep one of both"));
        return own;
    }
    let mut key = Vec::new();
    for name in &def.primary_key {
        match columns.iter().position(|c| c.name == *name) {
            Some(i) if key.contains(&i) => wrong(format!("column {name} is there twice")),
            Some(i) if !columns[i].ty.is_comparable() => {
                let ty = columns[i].ty.name();
                wrong(format!("column {name} is {ty}, which cannot be a key"));
            }
            Some(i) => key.push(i),
            None => {
                let hint = hint(name, columns.iter().map(|c| c.name.as_str()));
                wrong(format!("unknown column {}{hint}", quoted(name)));
            }
        }
    }
    for i in &key {
        columns[*i].primary_key = true;
        columns[*i].not_null = true;
    }
    key
}

fn check_column(
    plugin_id: &str,
    table: &TableDef,
    def: &ColumnDef,
    enums: &EnumValues<'_>,
    problems: &mut Problems,
) -> Column {
    let mut values: Arc<[String]> = Arc::new([]);
    let mut enum_type = String::new();
    let mut wrong = |message: String| {
        let name = if names::is_valid(&def.name) { def.name.clone() } else { quoted(&def.name) };
        problems.add(table.place.as_ref(), format!("{}.{name}: {message}", table.name));
    };
    if !names::is_valid(&def.name) {
        wrong(IDENTIFIER.into());
    }
    if let ColumnType::Enum(name) = &def.ty {
        match enums.get(name.as_str()) {
            Some(known) => {
                values = known.clone();
                enum_type = names::physical_enum(plugin_id, name);
            }
            None => wrong(format!(
                "unknown enum {}; declare it with t.enumType and list it in the manifest{}",
                quoted(name),
                hint(name, enums.keys().copied())
            )),
        }
    }
    let keys = table.columns.iter().filter(|c| c.primary_key).count() + table.primary_key.len();
    if def.ty.is_serial() && (!def.primary_key || keys > 1) {
        wrong(format!(
            "a {} column must be the primary key, and all of it; add :primaryKey()",
            def.ty.name()
        ));
    }
    if !def.ty.is_comparable() && (def.primary_key || def.unique || def.references.is_some()) {
        let ty = def.ty.name();
        wrong(format!("a {ty} column cannot be a key, be unique or refer to another"));
    }
    let column = Column {
        name: def.name.clone(),
        physical: names::snake_case(&def.name),
        ty: def.ty.clone(),
        values,
        enum_type,
        primary_key: def.primary_key,
        not_null: def.not_null || def.primary_key,
        unique: def.unique,
        default: def.default.clone(),
        foreign_key: None,
    };
    match &def.default {
        None => {}
        Some(_) if def.ty.is_serial() => {
            wrong(format!("a {} column is numbered by itself; remove the default", def.ty.name()));
        }
        Some(Default::Now)
            if !matches!(def.ty, ColumnType::Timestamp | ColumnType::Date | ColumnType::Time) =>
        {
            wrong(format!("defaultNow is for timestamp, date and time, this is {}", def.ty.name()));
        }
        Some(Default::Random) if def.ty != ColumnType::Uuid => {
            wrong(format!("defaultRandom is for uuid, this is {}", def.ty.name()));
        }
        Some(_) if def.ty == ColumnType::Secret => {
            wrong("a secret column has no default: it would be in the plugin's files".into());
        }
        Some(Default::Value(value)) if value.is_null() => {
            wrong("the default is null, as it is without one; remove it".into());
        }
        Some(Default::Value(value)) => {
            let unknown_enum = matches!(def.ty, ColumnType::Enum(_)) && column.values.is_empty();
            if let (false, Err(e)) = (unknown_enum, convert::to_sql(&table.name, &column, value)) {
                let reason = e.message.split_once(": ").map_or("", |(_, reason)| reason);
                wrong(format!("the default is wrong: {reason}"));
            }
        }
        Some(Default::Now | Default::Random) => {}
    }
    column
}

fn check_index(
    plugin_id: &str,
    physical_table: &str,
    table: &TableDef,
    def: &IndexDef,
    columns: &[Column],
    problems: &mut Problems,
) -> Option<Index> {
    let mut wrong = |message: String| {
        let over = def.columns.join(", ");
        problems.add(
            table.place.as_ref(),
            format!("table {}: index on ({over}): {message}", table.name),
        );
    };
    let mut found: Vec<usize> = Vec::new();
    for name in &def.columns {
        match columns.iter().position(|c| c.name == *name) {
            Some(i) if found.contains(&i) => wrong(format!("column {name} is there twice")),
            Some(i) if !columns[i].ty.is_comparable() => {
                let ty = columns[i].ty.name();
                wrong(format!("column {name} is {ty}, which cannot be indexed"));
            }
            Some(i) => found.push(i),
            None => wrong(format!(
                "unknown column {}{}",
                quoted(name),
                hint(name, columns.iter().map(|c| c.name.as_str()))
            )),
        }
    }
    if def.columns.is_empty() {
        wrong("it has no columns; name at least one".into());
    }
    if let ([only], true) = (found.as_slice(), def.unique)
        && columns[*only].unique
    {
        wrong(format!("column {} is unique already; remove the index", columns[*only].name));
    }
    if found.len() != def.columns.len() || found.is_empty() {
        return None;
    }
    let physical = match &def.name {
        Some(name) if !names::is_valid(name) => {
            wrong(format!("name {}: {IDENTIFIER}", quoted(name)));
            return None;
        }
        Some(name) => names::physical_table(plugin_id, name),
        None => {
            let over: Vec<&str> = found.iter().map(|i| columns[*i].physical.as_str()).collect();
            let suffix = if def.unique { "key" } else { "idx" };
            names::bounded(format!("{physical_table}_{}_{suffix}", over.join("_")))
        }
    };
    Some(Index { physical, columns: found, unique: def.unique })
}

/// The names that a table takes in the database, with what each is for. In PostgreSQL the indexes
/// behind keys and unique columns have names too.
fn names_of(table: &Table) -> Vec<(String, String)> {
    let mut names = vec![(table.physical.clone(), format!("table {}", table.name))];
    for index in &table.indexes {
        names.push((index.physical.clone(), format!("an index of table {}", table.name)));
    }
    if !table.key.is_empty() {
        names.push((table.key_constraint(), format!("the primary key of table {}", table.name)));
    }
    for column in table.columns.iter().filter(|c| table.has_unique(c)) {
        let what = format!("the unique column {}.{}", table.name, column.name);
        names.push((table.unique_constraint(column), what));
    }
    names
}

/// Tables and indexes share one space of names in the database, and in PostgreSQL tables and types.
fn check_names(defs: &[TableDef], tables: &[Table], enums: &[Enum], problems: &mut Problems) {
    for (i, one) in enums.iter().enumerate() {
        let mut others = enums[..i].iter().filter(|e| e.name != one.name);
        if let Some(other) = others.find(|e| e.physical == one.physical) {
            problems.add(
                None,
                format!(
                    "enum {} and enum {} are both {} in the database; rename one",
                    other.name, one.name, one.physical
                ),
            );
        }
        if let Some((table, def)) =
            tables.iter().zip(defs).find(|(t, _)| t.physical == one.physical)
        {
            problems.add(
                def.place.as_ref(),
                format!(
                    "table {} and enum {} are both {} in the database; rename one",
                    table.name, one.name, one.physical
                ),
            );
        }
    }
    let mut seen: HashMap<String, String> = HashMap::new();
    for (table, def) in tables.iter().zip(defs) {
        for (physical, what) in names_of(table) {
            let place = def.place.as_ref();
            if names::is_reserved(&physical) {
                problems.add(
                    place,
                    format!("{what} would be {physical} in the database, a name that is reserved for the database itself; rename the table, or the plugin if all its names begin like this"),
                );
                break;
            }
            let Some(other) = seen.get(&physical) else {
                seen.insert(physical, what);
                continue;
            };
            let is_table = physical == table.physical;
            problems.add(
                place,
                if is_table && *other == what {
                    format!("{what} is declared twice; rename or remove one")
                } else {
                    format!("{other} and {what} are both {physical} in the database; rename one")
                },
            );
            if is_table {
                // What belongs to it would only repeat this.
                break;
            }
        }
    }
}
