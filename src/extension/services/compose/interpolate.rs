//! Variables in the values of a Compose file, as the Compose Specification has them ("Interpolation"):
//! `$NAME`, `${NAME}`, with `:-`, `-`, `:?`, `?`, `:+` and `+`, nested, and `$$` for a dollar.

use std::collections::BTreeMap;

/// How deep variables may be nested in defaults.
const MAX_DEPTH: usize = 16;

/// What the names stand for.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a variable, over what it was.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Puts the values in. Names without one are noted in `missing` and stand for nothing.
    ///
    /// # Errors
    /// What is wrong with the text, or what it says about a variable that is required.
    pub fn expand(&self, text: &str, missing: &mut Vec<String>) -> Result<String, String> {
        self.expand_at(text, missing, 0)
    }

    fn expand_at(
        &self,
        text: &str,
        missing: &mut Vec<String>,
        depth: usize,
    ) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err(format!("variables are nested more than {MAX_DEPTH} deep"));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let end = closing(after).ok_or_else(|| {
                    format!("\"${{{after}\" has no closing brace; write $$ for a dollar sign")
                })?;
                out.push_str(&self.braced(&after[..end], missing, depth)?);
                rest = &after[end + 1..];
            } else {
                let end = name_end(rest);
                if end == 0 {
                    return Err("\"$\" is followed by no name; write $$ for a dollar sign".into());
                }
                out.push_str(&self.value(&rest[..end], missing));
                rest = &rest[end..];
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, name: &str, missing: &mut Vec<String>) -> String {
        match self.get(name) {
            Some(value) => value.to_owned(),
            None => {
                missing.push(name.to_owned());
                String::new()
            }
        }
    }

    fn braced(
        &self,
        inside: &str,
        missing: &mut Vec<String>,
        depth: usize,
    ) -> Result<String, String> {
        let end = name_end(inside);
        let (name, rest) = inside.split_at(end);
        if name.is_empty() {
            return Err(format!("\"${{{inside}}}\" names no variable"));
        }
        if rest.is_empty() {
            return Ok(self.value(name, missing));
        }
        let (counts_empty, operator) = match rest.strip_prefix(':') {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let value = self.get(name).filter(|value| !(counts_empty && value.is_empty()));
        let mut operand = |text: &str| self.expand_at(text, missing, depth + 1);
        let mut chars = operator.chars();
        let kind = chars.next();
        let text = chars.as_str();
        match (kind, value) {
            (Some('-' | '?'), Some(value)) => Ok(value.to_owned()),
            (Some('-'), None) | (Some('+'), Some(_)) => operand(text),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => {
                let said = operand(text)?;
                let said = if said.is_empty() { String::new() } else { format!(": {said}") };
                Err(format!("the variable {name} is required and not set{said}"))
            }
            _ => Err(format!(
                "\"${{{inside}}}\" cannot be read; expected such as ${{{name}:-default}}"
            )),
        }
    }
}

/// Where the name at the start of `text` ends.
fn name_end(text: &str) -> usize {
    let is_part = |(at, c): (usize, char)| {
        c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit())
    };
    text.char_indices().find(|&found| !is_part(found)).map_or(text.len(), |(at, _)| at)
}

/// Where the brace is that closes one just before `text`.
fn closing(text: &str) -> Option<usize> {
    let (mut open, mut before) = (0, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let mut variables = Variables::default();
        variables.set("A", "1");
        variables.set("EMPTY", "");
        variables.set("B_2", "two");
        variables.expand(text, &mut Vec::new())
    }

    #[test]
    fn values_are_put_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A/${B_2}x", "1/twox"),
            ("$$A costs $$5", "$A costs $5"),
            ("${NONE}|$NONE|", "||"),
            ("${NONE:-d}${NONE-d}${EMPTY:-d}${EMPTY-d}${A:-d}", "ddd1"),
            ("${A:+r}${A+r}${EMPTY:+r}${EMPTY+r}${NONE:+r}${NONE+r}", "rrr"),
            ("${A:?no}${EMPTY?no}", "1"),
            ("${NONE:-${ALSO:-x${A}}}y", "x1y"),
            ("${NONE:-a:b-c?d}", "a:b-c?d"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (text, part) in [
            ("${A", "no closing brace"),
            ("$", "no name"),
            ("cost: $5", "no name"),
            ("${}", "names no variable"),
            ("${A!x}", "cannot be read"),
            ("${A:}", "cannot be read"),
            ("${NONE:?set it}", "the variable NONE is required and not set: set it"),
            ("${NONE?}", "the variable NONE is required and not set"),
            ("${EMPTY:?x$A}", "not set: x1"),
        ] {
            let error = expand(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let deep = format!("{}x{}", "${N:-".repeat(40), "}".repeat(40));
        assert!(expand(&deep).unwrap_err().contains("nested"));
    }

    #[test]
    fn missing_names_are_noted() {
        let mut missing = Vec::new();
        let out = Variables::default().expand("$X ${Y} ${Z:-z}", &mut missing);
        assert_eq!((out.as_deref(), missing), (Ok("  z"), vec!["X".to_owned(), "Y".to_owned()]));
    }
}
