//! Arbitrary text: whatever it is, a check ends with an answer, and what is accepted stays accepted
//! and names no foreign table.

use std::ops::ControlFlow;

use proptest::prelude::*;
use sqlparser::ast::visit_relations;

use super::*;

/// What soup is made of. `secrets` stands for all tables that are not the plugin's.
#[rustfmt::skip]
const TOKENS: &[&str] = &[
    "select", "SELECT", "distinct", "all", "from", "where", "group by", "having", "order by", "limit",
    "offset", "union", "union all", "except", "intersect", "values", "with", "recursive", "as",
    "materialized", "insert", "into", "default values", "on conflict", "do nothing", "do update set",
    "returning", "update", "set", "delete", "join", "left join", "natural join", "cross join", "on",
    "using", "lateral", "only", "table", "in", "not", "exists", "between", "and", "or", "like",
    "ilike", "escape", "is", "null", "true", "case", "when", "then", "else", "end", "cast", "::", "over",
    "partition by", "rows", "filter", "window", "for update", "array", "interval", "date", "any",
    "collate", "nocase", "\"C\"", "at time zone", "extract", "year", "substring", "trim", "both",
    "position", "overlay", "placing", "grouping sets", "explain", "pragma", "attach", "drop", "create",
    "alter", "copy", "do", "merge", "truncate", "returning *", "or replace", "or rollback", "indexed by",
    "match", "glob", "regexp", "operator", "xml", "default", "current_user", "current_timestamp",
    "{notes}", "{noteTags}", "{secrets}", "{", "}", "journal_notes", "secrets", "\"secrets\"",
    "[secrets]", "`secrets`", "main.secrets", "pg_catalog", "sqlite_master", "x", "y", "id", "title",
    "notes", "n", "\"n\"", "lower", "count", "json_each", "unnest", "load_extension", "pg_sleep",
    "text", "integer", "regclass", "?", "?", "$1", ":a", "@", "1", "1.5", "0x1", "'a'", "'it''s'",
    "'\\'", "E'\\''", "x'00'", "U&'a'", "$$", "$$a$$", "\"", "'", "(", "(", "(", ")", ")", ")", "[",
    "]", ",", ",", ",", ".", ".", ";", "*", "+", "-", "- -", "--", "\n", "/*", "*/", "/", "%", "||",
    "=", "<>", "<", ">=", "->", "->>", "#>", "@>", "~", "&", "|", "^", "!", "\\", "é", "\u{200b}",
];

/// A legal statement in which some words are replaced, removed, doubled or added.
fn mutated() -> impl Strategy<Value = (Dialect, String)> {
    let statement =
        prop_oneof![Just(Dialect::Sqlite), Just(Dialect::Postgres)].prop_flat_map(|d| {
            let statements: Vec<&str> = super::legal::statements(d).collect();
            (Just(d), proptest::sample::select(statements))
        });
    let change = (any::<proptest::sample::Index>(), 0..4u8, proptest::sample::select(TOKENS));
    (statement, proptest::collection::vec(change, 1..4)).prop_map(|((dialect, sql), changes)| {
        let mut words = words(sql);
        for (place, kind, token) in changes {
            if words.is_empty() {
                break;
            }
            let i = place.index(words.len());
            match kind {
                0 => words[i] = token.to_owned(),
                1 => drop(words.remove(i)),
                2 => words.insert(i, words[i].clone()),
                _ => words.insert(i, token.to_owned()),
            }
        }
        (dialect, words.join(" "))
    })
}

/// Words, and everything else character by character.
fn words(sql: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut in_word = false;
    for c in sql.chars() {
        let is_word = c.is_alphanumeric() || matches!(c, '_' | '{' | '}' | '\'' | '"' | ':' | '>');
        match out.last_mut() {
            Some(last) if is_word && in_word => last.push(c),
            _ if c == ' ' => {}
            _ => out.push(c.into()),
        }
        in_word = is_word;
    }
    out
}

fn verify(dialect: Dialect, sql: &str) {
    let Ok(statement) = call(dialect, sql) else { return };
    let text = joined(&statement);
    assert_eq!(call(dialect, &text).as_ref(), Ok(&statement), "{sql}\n{text}");
    let text = numbered(&statement, if dialect == Dialect::Sqlite { "?" } else { "$" });
    let parsed = Parser::parse_sql(tokens::grammar(dialect), &text);
    let parsed = parsed.unwrap_or_else(|e| panic!("{sql}\n{text}\n{e}"));
    assert_eq!(parsed.len(), 1, "{sql}\n{text}");
    let _ = visit_relations(&parsed, |name| {
        let name = name.to_string().replace(['"', '`'], "").to_ascii_lowercase();
        // A common table of any name but this one may come out of the soup.
        let is_foreign = name.contains("secrets") || name.contains('.') || name.contains("sqlite_");
        assert!(!is_foreign || text.contains("WITH"), "{sql}\n{text}");
        ControlFlow::<()>::Continue(())
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_text_gets_an_answer(sql in ".{0,200}", postgres: bool) {
        verify(if postgres { Dialect::Postgres } else { Dialect::Sqlite }, &sql);
    }

    #[test]
    fn token_soup_gets_an_answer(
        tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 1..40),
        postgres: bool,
    ) {
        let sql = tokens.join(" ");
        verify(if postgres { Dialect::Postgres } else { Dialect::Sqlite }, &sql);
        verify(if postgres { Dialect::Postgres } else { Dialect::Sqlite }, &format!("select {sql}"));
    }

    #[test]
    fn mutated_statements_get_an_answer((dialect, sql) in mutated()) {
        verify(dialect, &sql);
    }
}
