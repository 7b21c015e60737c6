//! A JSON text with the line of every value in it, and the keys that occur twice.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A parsed JSON text that knows where its values are.
pub(super) struct Document<'t> {
    pub value: serde_json::Value,
    /// The keys that occur more than once in their object: path and line of the later one.
    pub duplicates: Vec<(String, u32)>,
    text: &'t str,
    lines: HashMap<String, u32>,
    line_starts: Vec<usize>,
}

/// Why a text is not JSON.
pub(super) struct SyntaxError {
    pub message: String,
    pub line: u32,
    pub column: u32,
}

impl<'t> Document<'t> {
    /// Parses `text`. serde_json's recursion limit, met by the first pass, bounds the second one.
    pub fn parse(text: &'t str) -> Result<Self, SyntaxError> {
        let value = serde_json::from_str(text).map_err(syntax_error)?;
        let raw: &RawValue = serde_json::from_str(text).map_err(syntax_error)?;
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        let mut document =
            Document { value, duplicates: Vec::new(), text, lines: HashMap::new(), line_starts };
        document.locate(raw, String::new())?;
        Ok(document)
    }

    /// The line of the value at `path`, or of the innermost object around it that exists.
    pub fn line(&self, path: &str) -> Option<u32> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = parent_path(path)?;
        }
    }

    /// The text of a line, from 1.
    pub fn excerpt(&self, line: u32) -> Option<String> {
        line_of(self.text, line)
    }

    fn locate(&mut self, raw: &'t RawValue, path: String) -> Result<(), SyntaxError> {
        // The raw value borrows from the text, so the distance of the two addresses is its offset.
        let offset = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let line = self.line_starts.partition_point(|start| *start <= offset) as u32;
        match raw.get().as_bytes().first() {
            Some(b'{') => {
                let entries: Entries<'t> = serde_json::from_str(raw.get()).map_err(syntax_error)?;
                let mut seen = HashSet::new();
                for (key, value) in entries.0 {
                    let child = child_path(&path, &key);
                    self.locate(value, child.clone())?;
                    if !seen.insert(key) {
                        let line = self.lines.get(&child).copied().unwrap_or(line);
                        self.duplicates.push((child, line));
                    }
                }
            }
            Some(b'[') => {
                let items: Vec<&'t RawValue> =
                    serde_json::from_str(raw.get()).map_err(syntax_error)?;
                for (index, value) in items.into_iter().enumerate() {
                    self.locate(value, format!("{path}[{index}]"))?;
                }
            }
            _ => {}
        }
        self.lines.insert(path, line);
        Ok(())
    }
}

/// The path of a key inside the object at `path`.
pub(super) fn child_path(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[{key:?}]"),
    }
}

/// The line with this number, from 1, without its line break.
pub(crate) fn line_of(text: &str, line: u32) -> Option<String> {
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    text.lines().nth(index).map(str::to_owned)
}

fn parent_path(path: &str) -> Option<&str> {
    if path.is_empty() {
        return None;
    }
    Some(path.rfind(['.', '[']).map_or("", |end| &path[..end]))
}

fn syntax_error(error: serde_json::Error) -> SyntaxError {
    let message = error.to_string();
    // serde_json appends the place, which the caller shows in its own way.
    let message = match message.rfind(" at line ") {
        Some(end) => message[..end].to_owned(),
        None => message,
    };
    SyntaxError { message, line: error.line().max(1) as u32, column: error.column().max(1) as u32 }
}

/// The entries of an object as they are written, duplicates included.
struct Entries<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_line() {
        let text = "{\n \"a\": [\n  1,\n  { \"b\\n\": true }\n ],\n \"a\": 2\n}";
        let Ok(document) = Document::parse(text) else { panic!("it is JSON") };
        assert_eq!(document.line(""), Some(1));
        assert_eq!(document.line("a[0]"), Some(3));
        assert_eq!(document.line("a[1][\"b\\n\"]"), Some(4));
        assert_eq!(document.line("a[1].missing"), Some(4));
        assert_eq!(document.duplicates, [("a".to_owned(), 6)]);
        assert_eq!(document.excerpt(6).as_deref(), Some(" \"a\": 2"));
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let Err(error) = Document::parse("{\n  \"a\" 1\n}") else { panic!("it is no JSON") };
        assert_eq!((error.line, error.column), (2, 7));
        assert_eq!(error.message, "expected `:`");
        let deep = "[".repeat(100_000);
        assert!(Document::parse(&deep).is_err());
    }
}
