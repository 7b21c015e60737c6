//! Resolves which column refers to which, and in what order the tables can be created.

use super::check::Problems;
use super::model::*;
use super::names::{hint, quoted};

/// A reference as declared, by `references` or by a relation.
struct Reference<'a> {
    from: (&'a str, &'a str),
    to: (&'a str, &'a str),
    on_delete: OnDelete,
    place: Option<&'a Place>,
    what: String,
}

/// Sets the foreign keys of `tables`.
pub(super) fn resolve(
    defs: &[TableDef],
    tables: &mut [Table],
    relations: &[RelationDef],
    problems: &mut Problems,
) {
    let of_relations = relations.iter().map(|r| Reference {
        from: (&r.from.0, &r.from.1),
        to: (&r.to.0, &r.to.1),
        on_delete: r.on_delete,
        place: r.place.as_ref(),
        what: format!("relation {}", quoted(&r.export)),
    });
    let of_columns = defs.iter().flat_map(|table| {
        table.columns.iter().filter_map(move |column| {
            let (to_table, to_column) = column.references.as_ref()?;
            Some(Reference {
                from: (&table.name, &column.name),
                to: (to_table, to_column),
                on_delete: OnDelete::NoAction,
                place: table.place.as_ref(),
                what: format!("{}.{}: references", table.name, column.name),
            })
        })
    });
    // Relations come first: they say what happens on delete, a column's `references` does not.
    for reference in of_relations.chain(of_columns) {
        if let Err(message) = add(&reference, tables) {
            problems.add(reference.place, format!("{}: {message}", reference.what));
        }
    }
}

fn add(reference: &Reference<'_>, tables: &mut [Table]) -> Result<(), String> {
    let (from_table, from_column) = find(tables, reference.from)?;
    let (to_table, to_column) = find(tables, reference.to)?;
    let from_name = format!("{}.{}", reference.from.0, reference.from.1);
    let to_name = format!("{}.{}", reference.to.0, reference.to.1);

    let target = &tables[to_table];
    if !target.is_unique(to_column) {
        return Err(format!("{to_name} must be a primary key or unique; add :unique() to it"));
    }
    let from = &tables[from_table].columns[from_column];
    let to = &target.columns[to_column];
    if stored_type(&from.ty) != stored_type(&to.ty) {
        return Err(format!(
            "{from_name} is {}, but {to_name} is {}; give them the same type",
            from.ty.name(),
            to.ty.name()
        ));
    }
    if reference.on_delete == OnDelete::SetNull && from.not_null {
        return Err(format!("onDelete = \"setNull\", but {from_name} cannot be null"));
    }
    let key = ForeignKey { table: to_table, column: to_column, on_delete: reference.on_delete };
    match from.foreign_key {
        Some(existing) if (existing.table, existing.column) != (to_table, to_column) => {
            Err(format!("{from_name} refers to two columns; remove one of them"))
        }
        Some(_) => Ok(()),
        None => {
            tables[from_table].columns[from_column].foreign_key = Some(key);
            Ok(())
        }
    }
}

/// A column that refers to a numbered one is an ordinary integer.
pub(super) fn stored_type(ty: &ColumnType) -> &ColumnType {
    match ty {
        ColumnType::Serial => &ColumnType::Integer,
        ColumnType::BigSerial => &ColumnType::BigInt,
        other => other,
    }
}

fn find(tables: &[Table], (table, column): (&str, &str)) -> Result<(usize, usize), String> {
    let Some(t) = tables.iter().position(|t| t.name == table) else {
        let hint = hint(table, tables.iter().map(|t| t.name.as_str()));
        return Err(format!("unknown table {}{hint}", quoted(table)));
    };
    let columns = &tables[t].columns;
    let Some(c) = columns.iter().position(|c| c.name == column) else {
        let hint = hint(column, columns.iter().map(|c| c.name.as_str()));
        return Err(format!("table {table} has no column {}{hint}", quoted(column)));
    };
    Ok((t, c))
}

/// The tables, those that are referred to first. A cycle over several tables is a problem, because
/// neither could be created or dropped before the other; a table may refer to itself.
pub(super) fn creation_order(
    defs: &[TableDef],
    tables: &[Table],
    problems: &mut Problems,
) -> Vec<usize> {
    let mut order = Vec::with_capacity(tables.len());
    let mut done = vec![false; tables.len()];
    let needs = |t: usize| {
        let keys = tables[t].columns.iter().filter_map(|c| c.foreign_key);
        keys.map(|key| key.table).filter(move |other| *other != t)
    };
    while order.len() < tables.len() {
        let ready = (0..tables.len()).find(|t| !done[*t] && needs(*t).all(|n| done[n]));
        let Some(next) = ready else { break };
        done[next] = true;
        order.push(next);
    }
    if let Some(start) = done.iter().position(|done| !done) {
        // Every table that is left needs one that is left, so following them must come back.
        let mut path = vec![start];
        loop {
            let last = path[path.len() - 1];
            let Some(next) = needs(last).find(|n| !done[*n]) else { break };
            if let Some(first) = path.iter().position(|t| *t == next) {
                path.drain(..first);
                path.push(next);
                break;
            }
            path.push(next);
        }
        let names: Vec<&str> = path.iter().map(|t| tables[*t].name.as_str()).collect();
        problems.add(
            defs[start].place.as_ref(),
            format!(
                "tables refer to each other in a circle ({}); remove one of the references",
                names.join(" → ")
            ),
        );
    }
    order
}
