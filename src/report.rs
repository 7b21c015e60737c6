//! Errors and plugin problems for terminals: the place, the message and the source line.

use std::io::{self, IsTerminal};

use crate::error::{Error, Problem};

const RED: &str = "1;31";
const BOLD: &str = "1";
const DIM: &str = "2";

/// The longest part of a source line that is shown.
const MAX_EXCERPT: usize = 160;

/// Renders for a terminal or for a file.
#[derive(Debug, Clone, Copy)]
pub struct Reporter {
    colors: bool,
}

impl Reporter {
    /// For standard error.
    pub fn stderr() -> Self {
        Reporter { colors: colors_wanted(io::stderr().is_terminal()) }
    }

    /// For standard output.
    pub fn stdout() -> Self {
        Reporter { colors: colors_wanted(io::stdout().is_terminal()) }
    }

    /// With no colors.
    pub fn plain() -> Self {
        Reporter { colors: false }
    }

    /// One problem: where and what, and the source line below it.
    pub fn problem(&self, problem: &Problem) -> String {
        let place = match (&problem.file, problem.line, problem.column) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            (Some(file), Some(line), None) => format!("{file}:{line}"),
            (Some(file), None, _) => file.clone(),
            (None, ..) => String::new(),
        };
        let message = printable(&problem.message, "\n    ");
        let mut text = self.paint(RED, "error: ");
        if !place.is_empty() {
            text.push_str(&self.paint(BOLD, &format!("{}: ", printable(&place, " "))));
        }
        text.push_str(&message);
        text.push('\n');
        if let (Some(excerpt), Some(line)) = (&problem.excerpt, problem.line) {
            text.push_str(&self.excerpt(excerpt, line, problem.column));
        }
        text
    }

    /// Every problem, one after another.
    pub fn problems<'a>(&self, problems: impl IntoIterator<Item = &'a Problem>) -> String {
        problems.into_iter().map(|problem| self.problem(problem)).collect()
    }

    /// An error: its problems if it has any, else its message.
    pub fn error(&self, error: &Error) -> String {
        if error.problems.is_empty() {
            return format!(
                "{}{}\n",
                self.paint(RED, "error: "),
                printable(&error.message, "\n    ")
            );
        }
        self.problems(&error.problems)
    }

    fn excerpt(&self, source: &str, line: u32, column: Option<u32>) -> String {
        let number = line.to_string();
        let blank = " ".repeat(number.len());
        // A tab is as wide as the terminal likes; a space keeps the caret where it belongs.
        let source: String =
            printable(&source.replace('\t', " "), " ").chars().take(MAX_EXCERPT).collect();
        let gutter = |label: &str| self.paint(DIM, &format!("  {label} | "));
        let mut text = format!("{}{}\n", gutter(&number), source.trim_end());
        let offset = column.and_then(|column| usize::try_from(column).ok()?.checked_sub(1));
        if let Some(offset) = offset.filter(|offset| *offset <= source.chars().count()) {
            let caret = self.paint(RED, "^");
            text.push_str(&format!("{}{}{caret}\n", gutter(&blank), " ".repeat(offset)));
        }
        text
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colors { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether to use colors on a stream: on a terminal, unless `NO_COLOR` is set.
pub fn colors_wanted(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The text without control characters: a plugin's message must not command the terminal.
fn printable(text: &str, line_break: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}"))
        .collect();
    lines.join(line_break)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Phase;

    #[test]
    fn a_problem_shows_its_place_and_its_line() {
        let mut problem = Problem::new(Phase::Manifest, "not valid JSON: trailing comma")
            .in_file("manifest.json")
            .at_line(12)
            .at_column(3);
        problem.excerpt = Some("\t\t}".to_owned());
        assert_eq!(
            Reporter::plain().problem(&problem),
            "error: manifest.json:12:3: not valid JSON: trailing comma\n  12 |   }\n     |   ^\n"
        );
        let colored = Reporter { colors: true }.problem(&problem);
        assert!(colored.contains("\x1b[1;31m^\x1b[0m"), "{colored:?}");
    }

    #[test]
    fn what_a_plugin_says_does_not_command_the_terminal() {
        let problem = Problem::new(Phase::Load, "a\x1b[2Jb\nc");
        assert_eq!(Reporter::plain().problem(&problem), "error: a\u{fffd}[2Jb\n    c\n");
        let error = Error::unexpected("plain");
        assert_eq!(Reporter::plain().error(&error), "error: plain\n");
    }
}
