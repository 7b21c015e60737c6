//! `moondock plugin plan`: what an upgrade would change in the database, for people.

use crate::value::Value;

/// The plan as text: what changes, what runs, what stands in the way, and the SQL.
pub(super) fn describe(plan: &Value) -> String {
    let list = |key: &str| match plan.get(key) {
        Some(Value::List(list)) => list.as_slice(),
        _ => &[],
    };
    let (changes, migrations) = (list("changes"), list("migrations"));
    let (refused, sql) = (list("refused"), list("sql"));
    if changes.is_empty() && migrations.is_empty() && refused.is_empty() {
        return "nothing to change in the database\n".to_owned();
    }
    let mut out = String::new();
    for change in changes {
        let text = |key: &str| change.get(key).and_then(Value::as_str).unwrap_or_default();
        let loses = change.get("losesData").and_then(Value::as_bool).unwrap_or_default();
        let mark = if loses { "  (loses data)" } else { "" };
        out.push_str(&format!("{:<12} {}{mark}\n", text("action"), text("description")));
    }
    for migration in migrations.iter().filter_map(Value::as_str) {
        out.push_str(&format!("{:<12} migrations/{migration}\n", "run"));
    }
    if !refused.is_empty() {
        out.push_str("\nThis cannot be done:\n");
        for reason in refused.iter().filter_map(Value::as_str) {
            out.push_str(&format!("- {reason}\n"));
        }
    }
    if !sql.is_empty() {
        out.push('\n');
        for statement in sql.iter().filter_map(Value::as_str) {
            let end = if statement.starts_with("--") { "" } else { ";" };
            out.push_str(&format!("{statement}{end}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        describe(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_plan_says_what_changes_and_what_stands_in_the_way() {
        let empty = r#"{"changes":[],"migrations":[],"refused":[],"sql":[]}"#;
        assert_eq!(shown(empty), "nothing to change in the database\n");
        let plan = r#"{"changes":[{"action":"dropColumn","description":"a.b is dropped","losesData":true}],
            "migrations":["0001_x"],"refused":["a.b needs a migration"],
            "sql":["ALTER TABLE a","-- migrations/0001_x"]}"#;
        assert_eq!(
            shown(plan),
            "dropColumn   a.b is dropped  (loses data)\nrun          migrations/0001_x\n\n\
             This cannot be done:\n- a.b needs a migration\n\nALTER TABLE a;\n-- migrations/0001_x\n"
        );
    }
}
