//! What must not get through.

use super::*;

const BOTH: &str = include_str!("../../../../../tests/attacks/raw_sql/both.txt");
const SQLITE: &str = include_str!("../../../../../tests/attacks/raw_sql/sqlite.txt");
const POSTGRES: &str = include_str!("../../../../../tests/attacks/raw_sql/postgres.txt");

fn attempts(dialect: Dialect) -> Vec<String> {
    let own = match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    };
    let lines = BOTH.lines().chain(own.lines());
    lines.filter(|line| !line.is_empty() && !line.starts_with("# ")).map(unescaped).collect()
}

#[test]
fn attacks_are_refused() {
    for dialect in DIALECTS {
        let attempts = attempts(dialect);
        assert!(attempts.len() > 120);
        for sql in attempts {
            match call(dialect, &sql) {
                Ok(statement) => panic!("{sql}\nwas accepted as {}", joined(&statement)),
                Err(error) => assert!(error.starts_with("raw SQL"), "{sql}: {error}"),
            }
        }
    }
}

#[test]
fn a_plugin_without_tables_has_none() {
    let set = TableSet::empty("bare");
    for dialect in DIALECTS {
        for sql in
            ["select * from {notes}", "select * from journal_notes", "delete from bare_notes"]
        {
            assert!(check(dialect, &set, sql, Purpose::Call).is_err(), "{sql}");
        }
        assert!(check(dialect, &set, "select 1", Purpose::Call).is_ok());
    }
}

/// The line with every <U+XXXX> replaced by the character.
fn unescaped(line: &str) -> String {
    let mut parts = line.split("<U+");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('>').unwrap();
        out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        out.push_str(rest);
    }
    out
}
