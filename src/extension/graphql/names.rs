//! Names: which GraphQL allows, and which are taken.

/// The types whose fields come from all owners.
pub(super) const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// Why a text is not a name (specification, sections 2.1.9 and 3), if it is none.
pub(super) fn misnamed(name: &str) -> Option<&'static str> {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Some("expected letters, digits and \"_\", not starting with a digit");
    }
    name.starts_with("__").then_some("names starting with \"__\" are reserved")
}

/// Whether a name is a literal already, and therefore no value of an enum.
pub(super) fn is_literal(name: &str) -> bool {
    ["true", "false", "null"].contains(&name)
}

/// Whether an enum may have a value of this name.
pub(super) fn is_enum_value(name: &str) -> bool {
    misnamed(name).is_none() && !is_literal(name)
}
