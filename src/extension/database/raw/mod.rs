//! SQL that plugins write: text in, a statement that can touch nothing but the plugin's own tables out.
//!
//! The text is taken apart, and a statement is written anew from its syntax tree. So the database
//! never reads what the author wrote, and where the parser and the database disagree about a text,
//! it is the parser's reading that runs. Everything is refused that is not on a list of what is
//! allowed: every `match` over the tree names what it takes and refuses the rest, and every struct
//! of it is taken apart field by field, so that a part which a later version of the parser adds
//! does not compile until somebody has decided about it.
//!
//! All names are written quoted, but those of functions, types and collations, which are on lists.
//! A word of the author is therefore never a keyword to the database.

mod call;
mod change;
mod checker;
mod expression;
mod forms;
mod functions;
mod operators;
mod order;
mod place;
mod query;
mod source;
mod statement;
mod tokens;
mod types;
mod values;
mod writer;

#[cfg(test)]
mod tests;

use sqlparser::ast::Statement;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::model::TableSet;
use crate::store::{DbError, Dialect};

pub use functions::is_allowed as is_allowed_function;

use checker::Checker;

/// What a statement is for, which decides what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Part of a call: rows are read and written.
    Call,
    /// Part of a migration, which may also change the tables.
    Migration,
}

/// What a text turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    Statement(RawStatement),
    /// In migrations only.
    Change(Change),
}

/// A statement that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawStatement {
    /// The text between the parameters, in the order of their values: one piece more than there are
    /// parameters.
    pub pieces: Vec<String>,
    /// Whether any part of it changes or locks rows.
    pub writes: bool,
    /// Whether it gives rows, be they none.
    pub returns_rows: bool,
    /// The names that it gives to common table expressions.
    pub subqueries: Vec<String>,
}

/// A change to one of the plugin's tables. `table` is its declared name; columns are as they are
/// called in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    RenameColumn {
        table: String,
        from: String,
        to: String,
    },
    DropColumn {
        table: String,
        column: String,
    },
    DropTable {
        table: String,
    },
    RenameTable {
        table: String,
        /// The new name, as it is declared.
        to: String,
    },
}

/// The deepest nesting that the parser follows, in calls of its own.
const MAX_RECURSION: usize = 120;

/// More stack than a check needs, in bytes; without optimization it takes up to 1.6 MB.
const STACK: usize = 2 << 20;

/// Takes `sql` apart, checks it, and writes it again. `{name}` in it is the plugin's table of that
/// declared name (or, as a type in PostgreSQL, its enum), and each `?` is a parameter.
///
/// A result that has no name by `AS` gets one from the database, which makes it up from the text: it
/// is not the author's.
///
/// # Errors
/// `invalid`, with line and column: the text is not one statement of this database, or it does
/// something that plugins may not.
pub fn check(
    dialect: Dialect,
    set: &TableSet,
    sql: &str,
    purpose: Purpose,
) -> Result<Checked, DbError> {
    // The limits bound how much stack this takes, but not how much of it the caller has left.
    stacker::maybe_grow(STACK, 2 * STACK, || check_here(dialect, set, sql, purpose))
}

fn check_here(
    dialect: Dialect,
    set: &TableSet,
    sql: &str,
    purpose: Purpose,
) -> Result<Checked, DbError> {
    let tokens = tokens::read(dialect, set, sql, purpose)?;
    statement::check_kind(dialect, &tokens, purpose)?;
    let statement = parse(dialect, tokens)?;
    if let Some(change) = change::of(dialect, set, &statement)? {
        return match purpose {
            Purpose::Migration => Ok(Checked::Change(change)),
            Purpose::Call => Err(invalid(START, "tables are changed in migrations only")),
        };
    }
    let mut checker = Checker::new(dialect, set);
    let returns_rows = checker.statement(&statement)?;
    Ok(Checked::Statement(checker.finish(returns_rows)))
}

fn parse(dialect: Dialect, tokens: Vec<TokenWithSpan>) -> Result<Statement, DbError> {
    let mut parser = Parser::new(tokens::grammar(dialect))
        .with_recursion_limit(MAX_RECURSION)
        .with_tokens_with_locations(tokens);
    let statement = parser.parse_statement().map_err(parser_error)?;
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token_ref();
    match rest.token {
        Token::EOF => Ok(statement),
        _ => {
            let found = cut(&rest.token.to_string());
            Err(invalid(
                rest.span.start,
                format!("expected the end of the statement, found {found}"),
            ))
        }
    }
}

/// Where errors are that are about the text as a whole.
const START: Location = Location { line: 1, column: 1 };

fn invalid(at: Location, message: impl std::fmt::Display) -> DbError {
    DbError::invalid(format!("raw SQL, line {}, column {}: {message}", at.line, at.column))
}

fn parser_error(error: ParserError) -> DbError {
    let text = match &error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => return invalid(START, "it is nested too deeply"),
    };
    match text.rsplit_once(" at Line: ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location { line: line.parse().ok()?, column: column.parse().ok()? }))
    }) {
        // What the parser says of a word that cannot be where it is.
        Some((message, at)) if message.contains("Word(Word {") => invalid(at, "unexpected word"),
        Some((message, at)) => invalid(at, lower_first(&cut(message))),
        // The end of the text has no place.
        None if text.ends_with("found: EOF") => DbError::invalid(format!(
            "raw SQL: the text ends too early: {}",
            lower_first(&cut(text))
        )),
        None => invalid(START, lower_first(&cut(text))),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// What may be a whole string of the author, cut for a message.
fn cut(text: &str) -> String {
    const MAX: usize = 200;
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
