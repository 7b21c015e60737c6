//! Random sets of tables.

use super::*;

/// Makes choices from bytes, the first of a list once there are none left.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[usize::from(self.byte()) % list.len()].clone()
    }

    /// `often` in 256.
    fn is(&mut self, often: u8) -> bool {
        self.byte() >= 255 - often
    }
}

/// A set in which names and types recur, so that two of them have much in common.
pub fn set_of(bytes: &[u8]) -> Option<TableSet> {
    let choices = &mut Choices(bytes.iter());
    let mut enums = Vec::new();
    for name in ["e", "f"] {
        let mut values: Vec<&str> = vec!["p", "it's", "r"];
        values.retain(|_| !choices.is(60));
        if choices.is(60) {
            values.reverse();
        }
        values.push("last");
        enums.push(enumeration(name, &values));
    }
    let mut tables = Vec::new();
    let mut relations = Vec::new();
    for name in ["a", "b", "c"] {
        if choices.is(40) {
            continue;
        }
        let mut def = table_of(choices, name);
        if choices.is(150) {
            relations.extend(reference(choices, &mut def, &tables));
        }
        if !def.columns.is_empty() {
            tables.push(def);
        }
    }
    if choices.is(50) {
        enums.pop();
    }
    if choices.is(50) {
        tables.reverse();
    }
    TableSet::new("p", tables, enums, relations).ok()
}

fn table_of(choices: &mut Choices<'_>, name: &str) -> TableDef {
    let mut def = table(name, &[]);
    let key = match choices.byte() {
        0..150 => Some(T::Serial),
        150..175 => Some(T::BigSerial),
        175..200 => Some(T::Integer),
        200..225 => Some(T::BigInt),
        _ => None,
    };
    let has_id = key.is_some();
    if let Some(ty) = key {
        let mut id = ColumnDef::new("id", ty);
        id.primary_key = true;
        def.columns.push(id);
    }
    let usual = [
        ("count", T::Integer),
        ("note", T::Text),
        ("ratio", T::Real),
        ("seenAt", T::Timestamp),
        ("day", T::Date),
        ("clock", T::Time),
        ("flag", T::Boolean),
        ("meta", T::Json),
        ("token", T::Uuid),
        ("bytes", T::Blob),
    ];
    for (name, usual) in usual {
        if !choices.is(100) {
            def.columns.push(column_of(choices, name, usual));
        }
    }
    let names: Vec<String> = def
        .columns
        .iter()
        .filter(|c| c.ty.is_comparable() && !c.ty.is_serial())
        .map(|c| c.name.clone())
        .collect();
    if !has_id && names.len() > 1 && choices.is(200) {
        def.primary_key = names[..2].to_vec();
    }
    if !names.is_empty() && choices.is(80) {
        def.indexes.push(index(&[&choices.of(&names)], choices.is(100)));
    }
    if names.len() > 1 && choices.is(80) {
        def.indexes.push(index(&[&names[1], &names[0]], choices.is(100)));
    }
    def
}

fn column_of(choices: &mut Choices<'_>, name: &str, usual: ColumnType) -> ColumnDef {
    // Only the types that some other can become, so that few pairs are impossible.
    let ty = if choices.is(60) {
        match usual {
            T::Integer => choices.of(&[T::BigInt, T::Decimal, T::DoublePrecision, T::Text]),
            T::Text => T::Enum(choices.of(&["e", "f"]).to_owned()),
            T::Real => T::DoublePrecision,
            _ => T::Text,
        }
    } else {
        usual
    };
    let mut def = ColumnDef::new(name, ty);
    def.not_null = choices.is(60);
    def.unique = def.ty.is_comparable() && choices.is(50);
    if choices.is(80) {
        def.default = match &def.ty {
            T::Timestamp | T::Date | T::Time => Some(Default::Now),
            T::Uuid => Some(Default::Random),
            T::Text if name == "note" => Some(Default::Value("it's \\ 'so'\n".into())),
            T::Integer | T::BigInt => Some(Default::Value((-3i64).into())),
            T::Decimal => Some(Default::Value("1.50".into())),
            T::DoublePrecision | T::Real => Some(Default::Value(2.0.into())),
            T::Boolean => Some(Default::Value(true.into())),
            T::Json => Some(Default::Value(Value::List(vec!["'?$1".into(), Value::Null]))),
            T::Blob => Some(Default::Value(Value::Bytes(vec![0xff, 0, 39]))),
            _ => None,
        };
    }
    def
}

/// Lets a table refer to itself or to one before it.
fn reference(
    choices: &mut Choices<'_>,
    def: &mut TableDef,
    before: &[TableDef],
) -> Option<RelationDef> {
    let mut targets = vec![&*def];
    targets.extend(before);
    let target = choices.of(&targets);
    let id = target.columns.first().filter(|column| column.name == "id")?;
    let ty = match id.ty {
        T::Serial | T::Integer => T::Integer,
        _ => T::BigInt,
    };
    let mut column = ColumnDef::new("parentId", ty);
    column.not_null = choices.is(30);
    let actions = [OnDelete::Cascade, OnDelete::Restrict, OnDelete::NoAction, OnDelete::SetNull];
    let action = match choices.of(&actions) {
        OnDelete::SetNull if column.not_null => OnDelete::Cascade,
        action => action,
    };
    let (from, to) = (format!("{}.parentId", def.name), format!("{}.id", target.name));
    def.columns.push(column);
    Some(relation(&from, &to, action))
}
