//! Files of environment variables, as Compose reads them: `NAME=VALUE` lines.

use super::interpolate::Variables;

/// The variables of a file, in its order. Values may be quoted: in single quotes they are taken as they
/// are; elsewhere variables are put in.
///
/// # Errors
/// The line, from 1, and what is wrong with it.
pub fn parse(text: &str, variables: &Variables) -> Result<Vec<(String, String)>, (u32, String)> {
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let name_and_value = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let Some((name, value)) = name_and_value.filter(|(name, _)| is_name(name)) else {
            return Err((number, format!("expected NAME=VALUE, found {line:?}")));
        };
        let value = match value.chars().next() {
            Some('\'') => {
                quoted(value, '\'').ok_or((number, "the quote is not closed".to_owned()))?
            }
            Some('"') => {
                let inner =
                    quoted(value, '"').ok_or((number, "the quote is not closed".to_owned()))?;
                let inner = inner.replace("\\n", "\n").replace("\\\"", "\"");
                expand(&inner, variables).map_err(|message| (number, message))?
            }
            _ => {
                let plain = value.split(" #").next().unwrap_or_default().trim_end();
                expand(plain, variables).map_err(|message| (number, message))?
            }
        };
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

fn expand(text: &str, variables: &Variables) -> Result<String, String> {
    variables.expand(text, &mut Vec::new())
}

/// Whether an environment variable may be called so.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn quoted(value: &str, quote: char) -> Option<String> {
    let inner = value.strip_prefix(quote)?;
    let mut before = ' ';
    let end = inner.char_indices().find(|&(_, c)| {
        let closes = c == quote && (before != '\\' || quote == '\'');
        before = c;
        closes
    })?;
    let rest = inner[end.0 + 1..].trim();
    (rest.is_empty() || rest.starts_with('#')).then(|| inner[..end.0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_variables() {
        let mut variables = Variables::default();
        variables.set("HOST", "db");
        let text = "# comment\n\nA=1\nexport B = two words # said\nC='$HOST'\nD=\"x ${HOST}\\n\\\"y\\\"\"\nE=\nF=a#b\n";
        let pairs = parse(text, &variables).unwrap();
        let shown: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(shown, ["A=1", "B=two words", "C=$HOST", "D=x db\n\"y\"", "E=", "F=a#b"]);
        for (text, line) in
            [("A=1\nB", 2), ("1A=x", 1), ("A='x", 1), ("A=\"x\" y", 1), ("A=${x", 1)]
        {
            assert_eq!(parse(text, &variables).unwrap_err().0, line, "{text}");
        }
    }
}
