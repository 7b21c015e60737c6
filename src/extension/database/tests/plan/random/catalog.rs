//! What is in the database, and rows to put into it.

use super::*;

/// What is in the database of a set, however it came there: sorted lines.
pub async fn catalog(session: &Session) -> Vec<String> {
    let queries: &[&str] = match session.dialect() {
        Dialect::Sqlite => {
            &["SELECT coalesce(sql, name) FROM sqlite_schema WHERE name LIKE 'p\\_%' ESCAPE '\\'"]
        }
        Dialect::Postgres => &[
            "SELECT concat_ws(' ', table_name, column_name, udt_name, datetime_precision, collation_name, \
             column_default, is_nullable, is_identity) FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name LIKE 'p\\_%'",
            "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conname LIKE 'p\\_%'",
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename LIKE 'p\\_%'",
            "SELECT concat_ws(' ', typname, enumlabel, enumsortorder) FROM pg_enum \
             JOIN pg_type ON pg_type.oid = enumtypid",
        ],
    };
    let mut lines = Vec::new();
    for query in queries {
        for cell in
            session.fetch(Statement::schema_text(*query)).await.unwrap().into_iter().flatten()
        {
            let Cell::Text(line) = cell else { panic!("{cell:?}") };
            lines.push(if session.dialect() == Dialect::Sqlite {
                sorted_columns(&line)
            } else {
                line
            });
        }
    }
    lines.sort();
    lines
}

/// The order of a table's columns does not matter.
fn sorted_columns(sql: &str) -> String {
    if !sql.starts_with("CREATE TABLE") {
        return sql.to_owned();
    }
    let (head, rest) = sql.split_once('(').unwrap();
    let (body, tail) = rest.rsplit_once(')').unwrap();
    let (mut depth, mut quoted) = (0, false);
    let mut parts = vec![String::new()];
    for c in body.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    let mut parts: Vec<&str> = parts.iter().map(|part| part.trim()).collect();
    parts.sort_unstable();
    format!("{} ({}) {}", head.trim(), parts.join(", "), tail.trim())
}

/// A literal that a column takes, a different one for each row.
fn literal(column: &Column, row: i64) -> String {
    match &column.ty {
        T::Text | T::Secret => format!("'{row}'"),
        T::Enum(_) => "'last'".to_owned(),
        T::Timestamp => format!("'2026-01-02T03:04:0{row}.000Z'"),
        T::Date => format!("'2026-01-0{row}'"),
        T::Time => format!("'03:04:0{row}'"),
        T::Decimal => format!("'{row}'"),
        T::Boolean => if row % 2 == 0 { "TRUE" } else { "FALSE" }.to_owned(),
        T::Json => "'[1]'".to_owned(),
        T::Uuid => format!("'6f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f{row}'"),
        T::Blob => format!("'{row}'"),
        _ => row.to_string(),
    }
}

/// Two rows in each table, the second of which refers to the first; fewer where a rule is in the way.
pub async fn fill(session: &Session, set: &TableSet) {
    for table in set.in_creation_order() {
        for row in 1..=2 {
            let savepoint = session.savepoint().await.unwrap();
            let columns: Vec<String> =
                table.columns.iter().map(|c| format!("\"{}\"", c.physical)).collect();
            let values: Vec<String> = table
                .columns
                .iter()
                .map(|c| match (&c.ty, session.dialect()) {
                    _ if c.foreign_key.is_some() => "1".to_owned(),
                    (T::Blob, Dialect::Sqlite) => format!("x'0{row}'"),
                    _ => literal(c, row),
                })
                .collect();
            let sql = format!(
                "INSERT INTO {} ({}) VALUES ({})",
                table.physical,
                columns.join(", "),
                values.join(", ")
            );
            match session.execute(Statement::schema_text(sql.clone())).await {
                Ok(_) => session.release(savepoint).await.unwrap(),
                Err(e) if e.kind == DbErrorKind::UniqueViolation => {
                    session.roll_back_to(savepoint).await.unwrap();
                }
                Err(e) => panic!("{sql}: {e}"),
            }
        }
    }
}

pub async fn counts(session: &Session, set: &TableSet) -> Vec<(String, i64)> {
    let mut counts = Vec::new();
    for table in &set.tables {
        counts.push((table.physical.clone(), count(session, &table.physical).await));
    }
    counts.sort();
    counts
}
