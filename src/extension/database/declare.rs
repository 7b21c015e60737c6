//! Reads the declarations of a plugin from the plain values that `@std/table` makes.

use super::model::*;
use super::names::{hint, quoted};
use crate::value::{Map, Value};

/// One export of a declaration file.
#[derive(Debug, Clone, PartialEq)]
pub enum Declaration {
    Table(TableDef),
    Enum(EnumDef),
    Relation(RelationDef),
}

impl Declaration {
    /// What the manifest calls it: `table`, `enum` or `relation`.
    pub fn kind(&self) -> &'static str {
        match self {
            Declaration::Table(_) => "table",
            Declaration::Enum(_) => "enum",
            Declaration::Relation(_) => "relation",
        }
    }
}

/// Reads the value exported under `export`.
///
/// # Errors
/// All problems with the shape of the value, each beginning with the export's name. Whether the
/// declarations fit together is for [`TableSet::new`] to say.
pub fn from_value(
    export: &str,
    value: &Value,
    place: Option<Place>,
) -> Result<Declaration, Vec<String>> {
    let mut reader = Reader { export, problems: Vec::new() };
    let kind = value.get("kind").and_then(Value::as_str);
    let declaration = match (value, kind) {
        (Value::Map(map), Some("table")) => Declaration::Table(reader.table(map, place)),
        (Value::Map(map), Some("enum")) => Declaration::Enum(reader.enumeration(map, place)),
        (Value::Map(map), Some("relation")) => Declaration::Relation(reader.relation(map, place)),
        _ => {
            let found = value.type_name();
            return Err(vec![format!(
                "{}: expected what t.table, t.enumType or t.relation of @std/table returns, found {found}",
                quoted(export)
            )]);
        }
    };
    if reader.problems.is_empty() { Ok(declaration) } else { Err(reader.problems) }
}

struct Reader<'a> {
    export: &'a str,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn wrong(&mut self, message: impl AsRef<str>) {
        self.problems.push(format!("{}: {}", quoted(self.export), message.as_ref()));
    }

    fn table(&mut self, map: &Map, place: Option<Place>) -> TableDef {
        self.known_keys("the table", map, &["kind", "name", "columns", "indexes", "primaryKey"]);
        let name = self.text("name", map.get("name"));
        let mut columns: Vec<(f64, ColumnDef)> = Vec::new();
        match map.get("columns") {
            Some(Value::Map(map)) => {
                for (name, value) in map {
                    columns.extend(self.column(name, value));
                }
            }
            Some(Value::List(list)) if list.is_empty() => {}
            _ => self.wrong("columns: expected an object of columns"),
        }
        // Lua does not keep the order of keys, so each column says when it was made.
        columns.sort_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| x.name.cmp(&y.name)));
        let mut indexes = Vec::new();
        for index in self.list("indexes", map.get("indexes")) {
            indexes.extend(self.index(index));
        }
        let key = self.list("primaryKey", map.get("primaryKey"));
        let primary_key = key.iter().map(|c| self.text("primaryKey", Some(c))).collect();
        TableDef {
            export: self.export.to_owned(),
            name,
            primary_key,
            columns: columns.into_iter().map(|(_, column)| column).collect(),
            indexes,
            place,
        }
    }

    fn column(&mut self, name: &str, value: &Value) -> Option<(f64, ColumnDef)> {
        let what = format!("column {}", quoted(name));
        let Value::Map(map) = value else {
            self.wrong(format!("{what}: expected a column such as t.text()"));
            return None;
        };
        const KEYS: [&str; 10] = [
            "type",
            "enum",
            "order",
            "primaryKey",
            "notNull",
            "unique",
            "default",
            "defaultNow",
            "defaultRandom",
            "references",
        ];
        self.known_keys(&what, map, &KEYS);
        let ty = self.column_type(&what, map)?;
        let mut def = ColumnDef::new(name, ty);
        def.primary_key = self.flag(&what, map, "primaryKey");
        def.not_null = self.flag(&what, map, "notNull");
        def.unique = self.flag(&what, map, "unique");
        let now = self.flag(&what, map, "defaultNow");
        let random = self.flag(&what, map, "defaultRandom");
        def.default = match (map.get("default"), now, random) {
            (None, false, false) => None,
            (Some(value), false, false) => Some(Default::Value(value.clone())),
            (None, true, false) => Some(Default::Now),
            (None, false, true) => Some(Default::Random),
            _ => {
                self.wrong(format!("{what}: it has several defaults; keep one"));
                None
            }
        };
        if let Some(target) = map.get("references") {
            def.references = self.table_and_column(&format!("{what}: references"), Some(target));
        }
        let order = match map.get("order") {
            Some(Value::Int(order)) => *order as f64,
            Some(Value::Float(order)) => *order,
            _ => 0.0,
        };
        Some((order, def))
    }

    fn column_type(&mut self, what: &str, map: &Map) -> Option<ColumnType> {
        let Some(name) = map.get("type").and_then(Value::as_str) else {
            self.wrong(format!("{what}: expected a column such as t.text()"));
            return None;
        };
        if name == "enum" {
            let name = self.text(&format!("{what}: enum"), map.get("enum"));
            return Some(ColumnType::Enum(name));
        }
        let known = ColumnType::NAMES.iter().find(|(known, _)| *known == name);
        if known.is_none() {
            let names = ColumnType::NAMES.iter().map(|(name, _)| *name).chain(["enum"]);
            self.wrong(format!("{what}: unknown type {}{}", quoted(name), hint(name, names)));
        }
        known.map(|(_, ty)| ty.clone())
    }

    fn index(&mut self, value: &Value) -> Option<IndexDef> {
        let Value::Map(map) = value else {
            self.wrong("indexes: expected { \"column\", unique = true }");
            return None;
        };
        self.known_keys("an index", map, &["columns", "unique", "name"]);
        let columns = self.list("an index: columns", map.get("columns"));
        let columns = columns.iter().map(|c| self.text("an index: column", Some(c))).collect();
        let unique = self.flag("an index", map, "unique");
        let name = map.get("name").map(|name| self.text("an index: name", Some(name)));
        Some(IndexDef { columns, unique, name })
    }

    fn enumeration(&mut self, map: &Map, place: Option<Place>) -> EnumDef {
        self.known_keys("the enum", map, &["kind", "name", "values"]);
        let values = self.list("values", map.get("values"));
        EnumDef {
            export: self.export.to_owned(),
            name: self.text("name", map.get("name")),
            values: values.iter().map(|v| self.text("values", Some(v))).collect(),
            place,
        }
    }

    fn relation(&mut self, map: &Map, place: Option<Place>) -> RelationDef {
        self.known_keys("the relation", map, &["kind", "from", "to", "onDelete"]);
        let on_delete = match map.get("onDelete") {
            None => OnDelete::default(),
            Some(value) => {
                let known = OnDelete::NAMES.iter().find(|(name, _)| value.as_str() == Some(name));
                if known.is_none() {
                    let names = OnDelete::NAMES.map(|(name, _)| name).join(", ");
                    let found = value.excerpt();
                    self.wrong(format!("onDelete: expected one of {names}, found {found}"));
                }
                known.map(|(_, action)| *action).unwrap_or_default()
            }
        };
        RelationDef {
            export: self.export.to_owned(),
            from: self.table_and_column("from", map.get("from")).unwrap_or_default(),
            to: self.table_and_column("to", map.get("to")).unwrap_or_default(),
            on_delete,
            place,
        }
    }

    fn known_keys(&mut self, what: &str, map: &Map, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = hint(key, known.iter().copied());
            self.wrong(format!("{what} has an unknown key {}{hint}", quoted(key)));
        }
    }

    fn text(&mut self, what: &str, value: Option<&Value>) -> String {
        match value {
            Some(Value::String(text)) => text.clone(),
            other => {
                let found = other.map_or("nothing", Value::type_name);
                self.wrong(format!("{what}: expected a string, found {found}"));
                String::new()
            }
        }
    }

    fn flag(&mut self, what: &str, map: &Map, key: &str) -> bool {
        match map.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                let found = other.type_name();
                self.wrong(format!("{what}: {key}: expected a boolean, found {found}"));
                false
            }
        }
    }

    fn list<'v>(&mut self, what: &str, value: Option<&'v Value>) -> &'v [Value] {
        match value {
            Some(Value::List(list)) => list,
            // An empty table of Lua may arrive as either.
            Some(Value::Map(map)) if map.is_empty() => &[],
            None => &[],
            Some(other) => {
                let found = other.type_name();
                self.wrong(format!("{what}: expected a list, found {found}"));
                &[]
            }
        }
    }

    fn table_and_column(&mut self, what: &str, value: Option<&Value>) -> Option<(String, String)> {
        let text = value.and_then(Value::as_str);
        let parts = text.and_then(|text| text.split_once('.')).filter(|(table, column)| {
            !table.is_empty() && !column.is_empty() && !column.contains('.')
        });
        if parts.is_none() {
            let found = value.map_or("nothing".to_owned(), Value::excerpt);
            self.wrong(format!("{what}: expected \"table.column\", found {found}"));
        }
        parts.map(|(table, column)| (table.to_owned(), column.to_owned()))
    }
}
