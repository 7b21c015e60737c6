//! References to types, as written in SDL: `[Poll!]!`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A reference to a type, by name, with its list and non-null wrappers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TypeRef {
    Named(Arc<str>),
    List(Box<TypeRef>),
    NonNull(Box<TypeRef>),
}

/// Why a text is not a type reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a type: {reason}")]
pub struct TypeRefError {
    /// The text that was read.
    pub text: String,
    /// What was found, at which character, and what was expected.
    pub reason: String,
}

impl TypeRef {
    /// Reads a type reference as SDL writes it. White space between its parts is allowed.
    ///
    /// # Errors
    ///
    /// Says what was found, at which character (from 1), and what was expected.
    pub fn parse(text: &str) -> Result<Self, TypeRefError> {
        let chars: Vec<char> = text.chars().collect();
        let mut reader = Reader { chars: &chars, at: 0 };
        let parsed = reader.type_ref().and_then(|ty| {
            reader.skip_space();
            match reader.at == chars.len() {
                true => Ok(ty),
                false => Err(reader.expected("the end")),
            }
        });
        parsed.map_err(|reason| TypeRefError { text: text.to_owned(), reason })
    }

    /// The innermost name.
    pub fn name(&self) -> &str {
        match self {
            TypeRef::Named(name) => name,
            TypeRef::List(inner) | TypeRef::NonNull(inner) => inner.name(),
        }
    }

    /// Whether it is a list, null or not.
    pub fn is_list(&self) -> bool {
        matches!(self.nullable(), TypeRef::List(_))
    }

    /// Whether null is not a value of this type.
    pub fn is_non_null(&self) -> bool {
        matches!(self, TypeRef::NonNull(_))
    }

    /// This type without its outer non-null wrapper, if it has one.
    pub fn nullable(&self) -> &TypeRef {
        match self {
            TypeRef::NonNull(inner) => inner,
            other => other,
        }
    }
}

impl FromStr for TypeRef {
    type Err = TypeRefError;

    fn from_str(text: &str) -> Result<Self, TypeRefError> {
        TypeRef::parse(text)
    }
}

impl fmt::Display for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypeRef::Named(name) => f.write_str(name),
            TypeRef::List(inner) => write!(f, "[{inner}]"),
            TypeRef::NonNull(inner) => write!(f, "{inner}!"),
        }
    }
}

/// More wrappers than any schema needs, and few enough that recursion is safe.
const MAX_LISTS: usize = 16;

struct Reader<'t> {
    chars: &'t [char],
    at: usize,
}

impl Reader<'_> {
    fn type_ref(&mut self) -> Result<TypeRef, String> {
        self.nested(0)
    }

    fn nested(&mut self, lists: usize) -> Result<TypeRef, String> {
        self.skip_space();
        let inner = if self.take('[') {
            if lists == MAX_LISTS {
                return Err(format!("lists are nested deeper than {MAX_LISTS} levels"));
            }
            let inner = self.nested(lists + 1)?;
            self.skip_space();
            if !self.take(']') {
                return Err(self.expected("\"]\""));
            }
            TypeRef::List(Box::new(inner))
        } else {
            TypeRef::Named(self.name()?)
        };
        self.skip_space();
        Ok(if self.take('!') { TypeRef::NonNull(Box::new(inner)) } else { inner })
    }

    fn name(&mut self) -> Result<Arc<str>, String> {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_') {
            self.at += 1;
        }
        if start == self.at {
            return Err(self.expected("a type name"));
        }
        if self.chars[start].is_ascii_digit() {
            self.at = start;
            return Err(self.expected("a type name, which starts with a letter or \"_\""));
        }
        Ok(self.chars[start..self.at].iter().collect::<String>().into())
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.chars.get(self.at) == Some(&c);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> String {
        match self.chars.get(self.at) {
            Some(c) => format!("expected {what} at character {}, found {c:?}", self.at + 1),
            None => format!("expected {what} at the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        TypeRef::parse(text).unwrap_err().reason
    }

    #[test]
    fn what_sdl_writes_is_read_and_written_back() {
        for text in ["Poll", "Poll!", "[Poll!]!", "[[Int]!]", "_x1"] {
            assert_eq!(TypeRef::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(TypeRef::parse(" [ Poll ! ] ").unwrap().to_string(), "[Poll!]");
        assert_eq!(TypeRef::parse("[Poll!]!").unwrap().name(), "Poll");
    }

    #[test]
    fn errors_say_what_was_expected_and_where() {
        assert_eq!(reason("[Poll!"), "expected \"]\" at the end");
        assert_eq!(reason(""), "expected a type name at the end");
        assert_eq!(reason("Poll!!"), "expected the end at character 6, found '!'");
        assert_eq!(reason("[]"), "expected a type name at character 2, found ']'");
        assert_eq!(reason("Poll]"), "expected the end at character 5, found ']'");
        assert!(reason("1x").starts_with("expected a type name, which starts with a letter"));
        assert!(reason(&"[".repeat(5000)).starts_with("lists are nested deeper than 16"));
        assert_eq!(
            TypeRef::parse("é").unwrap_err().to_string(),
            "\"é\" is not a type: expected a type name at character 1, found 'é'"
        );
    }
}
