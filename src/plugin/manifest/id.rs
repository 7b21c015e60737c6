//! Plugin ids: what is one, and how to derive one from any text.

/// The longest plugin id, in characters.
pub const MAX_PLUGIN_ID: usize = 100;

/// Whether `id` matches `^[a-zA-Z][a-zA-Z0-9_]*$` and has at most [`MAX_PLUGIN_ID`] characters.
pub fn is_plugin_id(id: &str) -> bool {
    id.len() <= MAX_PLUGIN_ID
        && id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Derives a plugin id from any text: `My Plugin!` becomes `my_plugin`. The result always
/// satisfies [`is_plugin_id`].
pub fn generate_plugin_id(name: &str) -> String {
    let mut id = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            id.push(c);
        } else if !id.is_empty() && !id.ends_with('_') {
            id.push('_');
        }
    }
    let id = id.trim_end_matches('_');
    let mut id = if id.starts_with(|c: char| c.is_ascii_lowercase()) {
        id.to_owned()
    } else {
        format!("plugin_{id}")
    };
    id.truncate(MAX_PLUGIN_ID);
    // The cut may fall behind a separator, and an empty name leaves the bare prefix.
    id.truncate(id.trim_end_matches('_').len());
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_derived_from_any_text() {
        for (name, id) in [
            ("My Plugin!", "my_plugin"),
            ("  Hello -- World  ", "hello_world"),
            ("polls", "polls"),
            ("2fa", "plugin_2fa"),
            ("", "plugin"),
            ("!!!", "plugin"),
            ("Éclair", "clair"),
            ("日本語", "plugin"),
            ("snake_case__name", "snake_case_name"),
        ] {
            assert_eq!(generate_plugin_id(name), id, "{name:?}");
        }
    }

    #[test]
    fn derived_ids_are_valid() {
        let long = "a".repeat(99) + " b";
        assert_eq!(generate_plugin_id(&long), "a".repeat(99));
        for name in ["x", "9", "_", "a\0b", &long, &"9".repeat(300), "\u{212a}elvin"] {
            let id = generate_plugin_id(name);
            assert!(is_plugin_id(&id), "{name:?} became {id:?}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for id in ["", "1a", "_a", "a-b", "a b", "é", "a.b", &"a".repeat(101)] {
            assert!(!is_plugin_id(id), "{id:?}");
        }
    }
}
