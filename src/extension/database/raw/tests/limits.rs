//! Texts that are large or deep. None may take the stack or the time of the host.

use std::time::{Duration, Instant};

use super::*;

/// What an answer may take, in a build without optimization on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// One text for each way of repeating something `n` times.
fn shapes(n: usize) -> Vec<(&'static str, String)> {
    let nest = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    vec![
        ("parens", format!("select {}", nest("(", "1", ")"))),
        ("open parens", format!("select {}", "(".repeat(n))),
        ("not", format!("select {}", nest("not ", "1", ""))),
        ("minus", format!("select {}", nest("- ", "1", ""))),
        ("plus", format!("select {}1", "1+".repeat(n))),
        ("and", format!("select * from {{notes}} where {} true", "id = 1 and ".repeat(n))),
        ("concat left", format!("select {}1{}", "(".repeat(n), "+1+1)".repeat(n))),
        ("cast", format!("select {}", nest("cast(", "1", " as integer)"))),
        ("colon", format!("select 1{}", "::int".repeat(n))),
        ("isnull", format!("select 1{}", " is null".repeat(n))),
        ("notnull", format!("select 1{}", " notnull".repeat(n))),
        ("collate", format!("select 'x'{}", " collate \"C\"".repeat(n))),
        ("between", format!("select {}1", "1 between 1 and ".repeat(n))),
        ("like", format!("select {}1", "1 like ".repeat(n))),
        ("in", format!("select 1{}", " in (1)".repeat(n))),
        ("glob", format!("select 1{}", " glob 'a'".repeat(n))),
        ("call", format!("select {}", nest("lower(", "1", ")"))),
        ("coalesce", format!("select {}", nest("coalesce(1, ", "1", ", 2)"))),
        ("case", format!("select {}", nest("case when 1 then ", "1", " end"))),
        ("case left", format!("select {}", nest("case ", "1", " when 1 then 1 end"))),
        ("subquery", format!("select {}", nest("(select ", "1", ")"))),
        ("exists", format!("select {}", nest("exists (select ", "1", ")"))),
        ("from", format!("select * from {}", nest("(select * from ", "{notes}", ") x"))),
        ("from parens", format!("select * from {}", nest("(", "{notes}", ")"))),
        ("from parens open", format!("select * from {}", "(".repeat(n))),
        (
            "from join parens",
            format!("select * from {}", nest("(", "{notes}", " join {notes} on true)")),
        ),
        (
            "from join right",
            format!("select * from {}", nest("({notes} join ", "{notes}", " on true)")),
        ),
        ("join", format!("select * from {{notes}}{}", " join {notes} on true".repeat(n))),
        (
            "join deep",
            format!("select * from {{notes}}{}{}", " join {notes}".repeat(n), " on true".repeat(n)),
        ),
        ("union", format!("select 1{}", " union select 1".repeat(n))),
        ("union parens", nest("(", "select 1", " union select 1)")),
        ("intersect", format!("select 1{}", " union select 1 intersect select 2".repeat(n))),
        ("with", nest("with x as (", "select 1", ") select * from x")),
        ("list", format!("select {}1", "1,".repeat(n))),
        (
            "values",
            format!("insert into {{notes}} (id, title) values {}(1, 'x')", "(1, 'x'),".repeat(n)),
        ),
        ("array", format!("select {}", nest("array[", "1", "]"))),
        ("brackets", format!("select array{}", nest("[", "1", "]"))),
        ("subscript", format!("select a{}", "[1]".repeat(n))),
        ("subscript nested", format!("select a{}", nest("[a", "", "]"))),
        ("interval", format!("select {}'1 day'", "interval ".repeat(n))),
        ("position", format!("select {}", nest("position(", "1", ")"))),
        ("current_time", format!("select {}", nest("current_time(", "x", ")"))),
        ("if", format!("select {}", nest("if(", "x", ""))),
        ("dots", format!("select a{}", ".a".repeat(n))),
        ("type", format!("select cast(1 as {})", nest("array<", "int", ">"))),
        ("type []", format!("select 1::int{}", "[]".repeat(n))),
        ("row", format!("select {}", nest("row(", "1", ")"))),
        ("any", format!("select 1 {}", nest("= any (select 1 ", "", ")"))),
        ("window", format!("select {}", nest("sum(1) over (order by ", "1", ")"))),
        ("date", format!("select {}'x'", "date ".repeat(n))),
        ("case-", format!("select {}c", "case-".repeat(n))),
        ("not-b", format!("select a{}", ".not-b".repeat(n))),
        ("comma case", format!("select {}c", "case when a,".repeat(n))),
        ("lateral", format!("select * from {}", nest("lateral (select * from ", "{notes}", ") x"))),
        ("comment", format!("{} select 1", nest("/*", "", "*/"))),
        ("in parens", format!("select 1 in {}", nest("((select 1), ", "1", ")"))),
        ("in sub", format!("select 1 in {}", nest("(select 1 in ", "(1)", ")"))),
        ("at", format!("select 1{}", " at time zone 'x'".repeat(n))),
        ("semi", ";".repeat(n)),
        ("quote", "'".repeat(n)),
        ("dollar", "$".repeat(n)),
        ("brace", "{".repeat(n)),
        ("question", format!("select {}?", "?,".repeat(n))),
    ]
}

#[test]
fn no_text_takes_the_stack_or_the_time() {
    for dialect in DIALECTS {
        for n in [5, 25, 58, 190, 990, 9_000, 30_000] {
            for (name, sql) in shapes(n) {
                let start = Instant::now();
                // Less stack than a check may take.
                let thread = std::thread::Builder::new().stack_size(256 * 1024);
                let answer = thread.spawn(move || call(dialect, &sql).map(drop)).unwrap().join();
                assert!(answer.is_ok(), "{name} {n}");
                assert!(start.elapsed() < PATIENCE, "{name} {n}: {:?}", start.elapsed());
            }
        }
    }
}

#[test]
fn what_people_write_is_within_the_limits() {
    let accepted = |sql: &str| call(Dialect::Sqlite, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    for (name, sql) in shapes(20) {
        if matches!(name, "parens" | "subquery" | "case" | "call" | "from" | "exists" | "union") {
            accepted(&sql);
        }
    }
    accepted(&format!("select {}1", "1+".repeat(900)));
    accepted(&format!("select * from {{notes}} where {}id = 0", "id = ? or ".repeat(400)));
    accepted(&format!("select * from {{notes}} where id in ({}?)", "?, ".repeat(5_000)));
    let rows = "(?, ?, ?), ".repeat(2_000);
    let insert =
        accepted(&format!("insert into {{notes}} (id, title, votes) values {rows}(1, 2, 3)"));
    assert_eq!(insert.pieces.len(), 6_001);
    accepted(&format!("select * from {{notes}} n{}", " join {notes} using (id)".repeat(64)));
    accepted(&format!("select 1{}", " union all select 1".repeat(200)));
}

#[test]
fn limits_are_named() {
    for (sql, expected) in [
        ("-".repeat(100_001), "at most 100000 bytes are allowed, found 100001"),
        (format!("select {}1", "1,".repeat(10_000)), "at most 20000 words and signs are allowed"),
        (
            format!("select {}1", "1+".repeat(1_001)),
            "at most 2000 words and signs are allowed between two commas",
        ),
        (format!("select {}", "(".repeat(99_000)), "brackets are nested at most 60 deep"),
        (format!("select {}1", "not ".repeat(20_000)), "at most 2000 words and signs"),
        (format!("select {}1", "- ".repeat(1_000)), "it is nested too deeply"),
        (format!("select 1{}", " is null".repeat(400)), "it is nested too deeply"),
        (
            format!("select * from {{notes}} n{}", " join {notes} using (id)".repeat(65)),
            "at most 64 joins are allowed",
        ),
        (
            format!("select 1{}", " union select 1".repeat(201)),
            "at most 200 UNION, EXCEPT and INTERSECT are allowed",
        ),
    ] {
        let error = call(Dialect::Sqlite, &sql).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
