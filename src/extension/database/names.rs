//! Names: which are allowed, how they are spelled in the database, and which was probably meant.

use sha2::{Digest, Sha256};

use crate::nearest::nearest;

/// The most characters that the name of a table or column may have.
pub const MAX_LENGTH: usize = 48;

/// Whether `name` may be the name of a table, column, enum or index: a letter, then letters, digits
/// and underscores, all ASCII, at most [`MAX_LENGTH`].
pub fn is_valid(name: &str) -> bool {
    name.len() <= MAX_LENGTH
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `authorId` → `author_id`, `HTTPServer` → `http_server`. Not injective (`a_b` and `aB` meet), so
/// the names of a set are checked against each other.
pub fn snake_case(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = String::with_capacity(name.len() + 4);
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            let before = bytes[i - 1];
            let begins_word = before.is_ascii_lowercase() || before.is_ascii_digit();
            let ends_acronym =
                before.is_ascii_uppercase() && bytes.get(i + 1).is_some_and(u8::is_ascii_lowercase);
            if begins_word || ends_acronym {
                out.push('_');
            }
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The longest name that PostgreSQL does not cut off, in bytes.
const MAX_PHYSICAL: usize = 63;

/// The name in the database of a plugin's table.
pub fn physical_table(plugin_id: &str, table: &str) -> String {
    bounded(format!("{}_{}", snake_case(plugin_id), snake_case(table)))
}

/// Whether a name in the database means something else than a table of that name. PostgreSQL finds its
/// own `pg_…` before a plugin's; SQLite makes no `sqlite_…`, and a table would hide its functions
/// `pragma_…` and `json_…` from everybody.
pub fn is_reserved(physical: &str) -> bool {
    ["pg_", "sqlite_", "pragma_"].iter().any(|prefix| physical.starts_with(prefix))
        || matches!(physical, "json_each" | "json_tree")
}

/// The name in PostgreSQL of the type of a plugin's enum. Types and tables share their names there.
pub fn physical_enum(plugin_id: &str, name: &str) -> String {
    bounded(format!("{}_{}_enum", snake_case(plugin_id), snake_case(name)))
}

/// The name as it is, if PostgreSQL takes all of it, else its beginning and a hash of the whole.
pub fn bounded(name: String) -> String {
    if name.len() <= MAX_PHYSICAL {
        return name;
    }
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash[..5].iter().map(|byte| format!("{byte:02x}")).collect();
    // Names are ASCII, so any cut is between characters.
    format!("{}_{hash}", &name[..MAX_PHYSICAL - 11])
}

/// `; did you mean "x"?` with the nearest candidate, `; there is …` with all of a few, or nothing.
pub fn hint<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.collect();
    match nearest(name, candidates.iter().copied()) {
        Some(candidate) => format!("; did you mean \"{candidate}\"?"),
        None if !candidates.is_empty() && candidates.len() <= 12 => {
            format!("; there is {}", candidates.join(", "))
        }
        None => String::new(),
    }
}

/// A name from outside, quoted and cut for a message.
pub fn quoted(name: &str) -> String {
    let mut text: String = name.chars().take(MAX_LENGTH).collect();
    if text.len() < name.len() {
        text.push_str("...");
    }
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_in_snake_case() {
        for (name, expected) in [
            ("authorId", "author_id"),
            ("HTTPServer", "http_server"),
            ("userID", "user_id"),
            ("a_B", "a_b"),
            ("line2Text", "line2_text"),
            ("already_snake", "already_snake"),
            ("X", "x"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
        assert_eq!(physical_table("my_plugin", "userVotes"), "my_plugin_user_votes");
        let long = physical_table(&"p".repeat(100), "userVotes");
        assert_eq!(long.len(), 63);
        assert_ne!(long, physical_table(&"p".repeat(100), "userVote"));
    }

    #[test]
    fn only_plain_identifiers_are_names() {
        for name in ["a", "A1_b", &"x".repeat(48)] {
            assert!(is_valid(name), "{name}");
        }
        for name in
            ["", "1a", "_a", "a b", "a\"b", "a;drop table x", "a\0", "é", "ａ", &"x".repeat(49)]
        {
            assert!(!is_valid(name), "{name}");
        }
    }

    #[test]
    fn names_of_the_databases_are_reserved() {
        for (plugin, table, reserved) in [
            ("pg", "authid", true),
            ("pgStat", "activity", true),
            ("pgadmin", "activity", false),
            ("PG", "class", true),
            ("sqlite", "schema", true),
            ("pragma", "foreignKeyCheck", true),
            ("json", "each", true),
            ("json", "eachOne", false),
            ("page", "views", false),
        ] {
            assert_eq!(is_reserved(&physical_table(plugin, table)), reserved, "{plugin} {table}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let hint = |name| hint(name, ["title", "authorId"].into_iter());
        assert_eq!(hint("titel"), "; did you mean \"title\"?");
        assert_eq!(hint("author_id"), "; did you mean \"authorId\"?");
        assert_eq!(hint("xyzzy"), "; there is title, authorId");
        assert_eq!(quoted(&"x".repeat(60)).len(), 53);
    }
}
