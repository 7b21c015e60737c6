//! A look at the tokens of a document before it is parsed: the parser recurses once for each open
//! bracket, so nesting must be bounded first, and it keeps only the last of two input fields with
//! one name (specification, section 5.6.3), so those must be found here.

use async_graphql::Pos;

/// More nesting than any document needs; few enough for the parser's recursion on a small stack.
pub(super) const MAX_NESTING: usize = 64;

/// What a document must not contain.
#[derive(Debug, PartialEq)]
pub(super) enum Finding {
    /// There are more tokens than allowed.
    TooLong,
    /// Brackets are nested deeper than [`MAX_NESTING`].
    TooDeep(Pos),
    /// An input object has a field twice.
    DuplicateInputField { name: String, at: Pos },
}

/// Looks through a document of at most `max_tokens`. Malformed text is left for the parser to find.
pub(super) fn scan(text: &str, max_tokens: usize) -> Option<Finding> {
    let mut tokens = 0usize;
    let mut open: Vec<Bracket> = Vec::new();
    let mut parentheses = 0usize;
    // A name is the key of an input field if a colon follows and no other token.
    let mut last_name: Option<(&str, usize)> = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        if !matches!(bytes[start], b'#' | b' ' | b'\t' | b'\n' | b'\r' | b',') {
            tokens += 1;
            if tokens > max_tokens {
                return Some(Finding::TooLong);
            }
        }
        match bytes[start] {
            b'0'..=b'9' | b'-' | b'.' => {
                while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || b".+-".contains(b))
                {
                    at += 1;
                }
            }
            b'"' => at = end_of_string(bytes, start),
            b'#' => {
                while at < bytes.len() && !matches!(bytes[at], b'\n' | b'\r') {
                    at += 1;
                }
                continue;
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' => continue,
            b'(' | b'[' | b'{' => {
                if open.len() == MAX_NESTING {
                    return Some(Finding::TooDeep(position(text, start)));
                }
                parentheses += usize::from(bytes[start] == b'(');
                // Inside parentheses a brace opens an object; elsewhere a selection set.
                open.push(match (bytes[start], parentheses) {
                    (b'{', 1..) => Bracket::Object(Vec::new()),
                    (b'(', _) => Bracket::Parenthesis,
                    _ => Bracket::Other,
                });
            }
            b')' | b']' | b'}' => {
                if let Some(Bracket::Parenthesis) = open.pop() {
                    parentheses -= 1;
                }
            }
            b':' => {
                if let (Some(Bracket::Object(keys)), Some((name, from))) =
                    (open.last_mut(), last_name)
                {
                    if keys.contains(&name) {
                        let at = position(text, from);
                        return Some(Finding::DuplicateInputField { name: name.to_owned(), at });
                    }
                    keys.push(name);
                }
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                    at += 1;
                }
                last_name = Some((&text[start..at], start));
                continue;
            }
            _ => {}
        }
        last_name = None;
    }
    None
}

enum Bracket<'t> {
    Parenthesis,
    /// An input object and the keys seen in it.
    Object(Vec<&'t str>),
    Other,
}

/// The index after the string that starts at `start`, or the end of the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    if bytes[start..].starts_with(b"\"\"\"") {
        let mut at = start + 3;
        while at < bytes.len() {
            if bytes[at..].starts_with(b"\\\"\"\"") {
                at += 4;
            } else if bytes[at..].starts_with(b"\"\"\"") {
                return at + 3;
            } else {
                at += 1;
            }
        }
        return at;
    }
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            b'\n' | b'\r' => return at,
            _ => at += 1,
        }
    }
    at.min(bytes.len())
}

fn position(text: &str, at: usize) -> Pos {
    let before = &text[..at];
    let line_start = before.rfind(['\n', '\r']).map_or(0, |newline| newline + 1);
    let newlines = before.matches('\n').count();
    // A lone carriage return ends a line too.
    let returns = before.matches('\r').count() - before.matches("\r\n").count();
    Pos { line: newlines + returns + 1, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Option<Finding> {
        super::scan(text, 10_000)
    }

    #[test]
    fn nesting_is_bounded_and_strings_and_comments_do_not_count() {
        let deep = |n: usize| format!("{{a(x:{}1{})}}", "[".repeat(n), "]".repeat(n));
        assert_eq!(scan(&deep(MAX_NESTING - 2)), None);
        assert!(matches!(scan(&deep(MAX_NESTING - 1)), Some(Finding::TooDeep(_))));
        let brackets = "{[(".repeat(100);
        assert_eq!(scan(&format!("{{a(x:\"{brackets}\") #{brackets}\n}}")), None);
        assert_eq!(scan(&format!("{{a(x:\"\"\"{brackets} \\\"\"\" \" \"\"\")}}")), None);
        assert_eq!(scan(&format!("{{a(x:\"\\\"{brackets}\")}}")), None);
    }

    #[test]
    fn input_fields_must_be_unique_and_selections_need_not() {
        assert_eq!(scan("{ a: x a: x f(i: {a: 1, b: {a: A}, c: [{a: 1}, {a: 2}]}) }"), None);
        assert_eq!(
            scan("query(\n$v: I = {a: 1 a: 2}) { x }"),
            Some(Finding::DuplicateInputField {
                name: "a".to_owned(),
                at: Pos { line: 2, column: 15 }
            })
        );
    }

    #[test]
    fn tokens_are_counted() {
        let count = |text: &str| (0..100).find(|max| super::scan(text, *max).is_none());
        assert_eq!(
            count("query Q { a(x: -1.5e+3, y: \"b c\") @skip(if: true) ...F } # c c"),
            Some(21)
        );
    }

    #[test]
    fn nonsense_is_left_to_the_parser() {
        for text in ["\"", "\"\\", "\"\"\"", ")}]", "é{\"é", ":::", "{a(b:{:", "\"\"\"\\"] {
            assert_eq!(scan(text), None, "{text}");
        }
    }
}
