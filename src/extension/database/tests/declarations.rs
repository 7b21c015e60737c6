//! Every problem of a set of declarations is found, and says where it is.

use super::*;
use ColumnType as T;

fn problems(
    tables: Vec<TableDef>,
    enums: Vec<EnumDef>,
    relations: Vec<RelationDef>,
) -> Vec<String> {
    let problems = TableSet::new("polls", tables, enums, relations).unwrap_err();
    problems.into_iter().map(|p| p.message).collect()
}

#[test]
fn a_correct_set_resolves() {
    let set = polls().unwrap();
    let names: Vec<&str> = set.tables().iter().map(|t| t.physical.as_str()).collect();
    assert_eq!(names, ["polls_poll_votes", "polls_polls"]);
    assert_eq!(set.creation_order, [1, 0]);
    let votes = &set.tables()[0];
    assert_eq!(votes.indexes[0].physical, "polls_poll_votes_poll_id_user_id_key");
    assert_eq!(votes.columns[1].foreign_key.map(|k| (k.table, k.column)), Some((1, 0)));
}

#[test]
fn all_problems_of_columns_are_found_at_once() {
    let bad = table(
        "polls",
        &[
            ("id", T::Uuid, "primaryKey"),
            ("otherId", T::Uuid, "primaryKey"),
            ("a b", T::Text, ""),
            ("userId", T::Text, ""),
            ("user_id", T::Text, ""),
            ("id", T::Text, ""),
            ("state", T::Enum("pol_state".into()), ""),
            ("n", T::Integer, "default=\"x\""),
            ("at", T::Text, "now"),
            ("r", T::Text, "random"),
            ("s", T::Serial, ""),
            ("j", T::Json, "unique"),
            ("z", T::Text, "default=null"),
        ],
    );
    let found = problems(vec![bad], vec![enumeration("poll_state", &["open"])], vec![]);
    let expected = [
        "polls.\"a b\": a name is a letter",
        "polls.userId and polls.user_id are both user_id in the database; rename one",
        "polls.id: the column is declared twice",
        "polls.state: unknown enum \"pol_state\"; declare it with t.enumType and list it in the manifest; did you mean \"poll_state\"?",
        "polls.n: the default is wrong: expected a whole number between",
        "polls.at: defaultNow is for timestamp, date and time, this is text",
        "polls.r: defaultRandom is for uuid, this is text",
        "polls.s: a serial column must be the primary key",
        "polls.j: a json column cannot",
        "polls.z: the default is null",
    ];
    for text in expected {
        assert!(found.iter().any(|m| m.starts_with(text)), "{text}\nin {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn tables_enums_and_indexes_are_checked() {
    let mut indexed = table("a", &[("x", T::Text, ""), ("j", T::Json, "")]);
    let index = |columns: &[&str]| IndexDef {
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        unique: false,
        name: None,
    };
    indexed.indexes = vec![
        index(&["y"]),
        index(&[]),
        index(&["x", "x"]),
        index(&["j"]),
        IndexDef { name: Some("a\"b".into()), ..index(&["x"]) },
    ];
    let found = problems(
        vec![
            indexed,
            table("userVotes", &[("x", T::Text, "")]),
            table("user_votes", &[("x", T::Text, "")]),
            table("twice", &[("x", T::Text, "")]),
            table("twice", &[("x", T::Text, "")]),
            table("empty", &[]),
            table("dröp", &[("x", T::Text, "")]),
        ],
        vec![enumeration("e", &["a", "a", "", "x\0"]), enumeration("e", &[])],
        vec![],
    );
    for text in [
        "table a: index on (y): unknown column \"y\"",
        "table a: index on (): it has no columns",
        "table a: index on (x, x): column x is there twice",
        "table a: index on (j): column j is json",
        "table a: index on (x): name \"a\\\"b\": a name is",
        "table userVotes and table user_votes are both polls_user_votes in the database",
        "table twice is declared twice",
        "table empty: it has no columns",
        "table \"dröp\": a name is a letter",
        "enum \"e\": value \"a\" is there twice",
        "enum \"e\": value \"\": a value is",
        "enum \"e\": value \"x\\0\": a value is",
        "enum \"e\": it has no values",
        "enum \"e\": is declared twice",
    ] {
        assert!(found.iter().any(|m| m.starts_with(text)), "{text}\nin {found:#?}");
    }
}

#[test]
fn references_must_lead_somewhere() {
    let a = table("a", &[("id", T::Uuid, "primaryKey"), ("n", T::Integer, "")]);
    let b = table(
        "b",
        &[
            ("x", T::Uuid, "references=a.id"),
            ("y", T::Text, "references=a.id"),
            ("z", T::Integer, "references=a.n"),
            ("w", T::Uuid, "references=c.id"),
            ("v", T::Uuid, "notNull"),
        ],
    );
    let found = problems(
        vec![a, b],
        vec![],
        vec![
            relation("b.v", "a.id", OnDelete::SetNull),
            relation("b.nope", "a.id", OnDelete::Cascade),
        ],
    );
    assert_eq!(
        found,
        [
            "relation \"relation\": onDelete = \"setNull\", but b.v cannot be null",
            "relation \"relation\": table b has no column \"nope\"; there is x, y, z, w, v",
            "b.y: references: b.y is text, but a.id is uuid; give them the same type",
            "b.z: references: a.n must be a primary key or unique; add :unique() to it",
            "b.w: references: unknown table \"c\"; did you mean \"a\"?",
        ]
    );
}

#[test]
fn a_circle_of_references_is_named() {
    let one = |name: &str, to: &str| {
        let to = format!("references={to}.id");
        table(name, &[("id", T::Uuid, "primaryKey"), ("next", T::Uuid, &to)])
    };
    let found = problems(vec![one("x", "a"), one("a", "b"), one("b", "a")], vec![], vec![]);
    assert_eq!(
        found,
        ["tables refer to each other in a circle (a → b → a); remove one of the references"]
    );
    TableSet::new("p", vec![one("tree", "tree")], vec![], vec![]).unwrap();
}

#[test]
fn a_problem_knows_its_file() {
    let mut empty = table("empty", &[]);
    empty.place = Some(Place { file: "database/tables.lua".into(), line: Some(3) });
    let problems = TableSet::new("p", vec![empty], vec![], vec![]).unwrap_err();
    assert_eq!(problems[0].to_string(), "database/tables.lua:3: table empty: it has no columns");
    let reserved = table("x", &[("y", T::Text, "")]);
    let problems = TableSet::new("sqlite", vec![reserved], vec![], vec![]).unwrap_err();
    assert!(problems[0].message.contains("reserved"));
}
