//! The text as tokens: what can be refused without knowing the grammar, the plugin's names, and the
//! parameters.

use sqlparser::dialect::{Dialect as Grammar, PostgreSqlDialect, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::super::model::TableSet;
use super::super::names;
use super::{Purpose, START, cut, invalid, lower_first};
use crate::store::{DbError, Dialect};

/// The longest text, in bytes.
const MAX_LENGTH: usize = 100_000;
/// The most tokens.
const MAX_TOKENS: usize = 20_000;
/// The deepest nesting of brackets.
const MAX_DEPTH: usize = 60;
/// The most tokens between two commas. A chain such as `1 + 1 + …` is a tree as deep as it is long,
/// and whatever walks over the tree needs stack for it.
const MAX_RUN: usize = 2_000;
/// The most joins; each may be inside of the one before it. SQLite takes no more tables either.
const MAX_JOINS: usize = 64;
/// The most queries that UNION and its like put together, for they are a chain too.
const MAX_COMPOUND: usize = 200;

/// How the text is read.
pub(super) fn grammar(dialect: Dialect) -> &'static dyn Grammar {
    match dialect {
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::Postgres => &PostgreSqlDialect {},
    }
}

/// The tokens of `sql`, where `{name}` has become the quoted name in the database and the nth `?`
/// the placeholder `?n`. There is no other placeholder.
pub(super) fn read(
    dialect: Dialect,
    set: &TableSet,
    sql: &str,
    purpose: Purpose,
) -> Result<Vec<TokenWithSpan>, DbError> {
    if sql.len() > MAX_LENGTH {
        let message = format!("at most {MAX_LENGTH} bytes are allowed, found {}", sql.len());
        return Err(invalid(START, message));
    }
    let tokens = Tokenizer::new(grammar(dialect), sql)
        .tokenize_with_location()
        .map_err(|e| invalid(e.location, lower_first(&cut(&e.message))))?;
    check_characters(sql, &tokens)?;
    check_size(&tokens)?;
    let tokens = resolve_names(dialect, set, tokens, purpose)?;
    number_parameters(dialect, tokens)
}

/// Only strings and comments may hold more than ASCII: there are too many letters that look like
/// others, or like nothing. NUL ends the text for SQLite.
fn check_characters(sql: &str, tokens: &[TokenWithSpan]) -> Result<(), DbError> {
    let mut chars = sql.chars();
    let mut at = START;
    for token in tokens {
        let mut first = None;
        while at < token.span.end {
            let Some(c) = chars.next() else { break };
            first.get_or_insert(c);
            if c == '\0' {
                return Err(invalid(at, "there is a NUL character"));
            }
            if !c.is_ascii() && !may_hold_any_character(&token.token) {
                let message = format!(
                    "there is a {c:?} (U+{:04X}) outside of strings and comments, where only ASCII is allowed",
                    u32::from(c)
                );
                return Err(invalid(at, message));
            }
            match c {
                '\n' => at = Location { line: at.line + 1, column: 1 },
                _ => at.column += 1,
            }
        }
        // 0x1F reads as the blob X'1F', which is another value.
        if first == Some('0') && matches!(token.token, Token::HexStringLiteral(_)) {
            return Err(invalid(token.span.start, "write the number in decimal"));
        }
    }
    Ok(())
}

fn may_hold_any_character(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::Whitespace(
                Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)
            )
    )
}

/// Bounds how deep the syntax tree can become, because parsing, walking and dropping it recurse.
fn check_size(tokens: &[TokenWithSpan]) -> Result<(), DbError> {
    /// Between a pair of brackets: the bound of the depth since the last comma, and the largest.
    #[derive(Default)]
    struct Level {
        run: usize,
        deepest: usize,
    }
    let mut levels = vec![Level::default()];
    let (mut count, mut joins, mut compound) = (0, 0, 0);
    for TokenWithSpan { token, span } in tokens {
        match token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket => levels.push(Level::default()),
            Token::RParen | Token::RBracket if levels.len() > 1 => {
                let inner = levels.pop().unwrap_or_default();
                if let Some(level) = levels.last_mut() {
                    level.run = level.run.max(inner.run.max(inner.deepest)) + 1;
                }
            }
            Token::Comma => {
                if let Some(level) = levels.last_mut() {
                    level.deepest = level.deepest.max(std::mem::take(&mut level.run));
                }
            }
            token => {
                match token {
                    Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                        Keyword::JOIN => joins += 1,
                        Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => compound += 1,
                        _ => {}
                    },
                    _ => {}
                }
                if let Some(level) = levels.last_mut() {
                    level.run += 1;
                }
            }
        }
        count += 1;
        let too_much = if count > MAX_TOKENS {
            format!("at most {MAX_TOKENS} words and signs are allowed")
        } else if levels.len() > MAX_DEPTH {
            format!("brackets are nested at most {MAX_DEPTH} deep")
        } else if levels.last().is_some_and(|level| level.run > MAX_RUN) {
            format!("at most {MAX_RUN} words and signs are allowed between two commas")
        } else if joins > MAX_JOINS {
            format!("at most {MAX_JOINS} joins are allowed")
        } else if compound > MAX_COMPOUND {
            format!("at most {MAX_COMPOUND} UNION, EXCEPT and INTERSECT are allowed")
        } else {
            continue;
        };
        return Err(invalid(span.start, too_much));
    }
    Ok(())
}

/// Puts quoted names in the place of `{name}`.
fn resolve_names(
    dialect: Dialect,
    set: &TableSet,
    tokens: Vec<TokenWithSpan>,
    purpose: Purpose,
) -> Result<Vec<TokenWithSpan>, DbError> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter();
    while let Some(open) = tokens.next() {
        match open.token {
            Token::LBrace => {}
            Token::RBrace => return Err(invalid(open.span.start, "there is a } without a {")),
            _ => {
                out.push(open);
                continue;
            }
        }
        let (name, close) = match (tokens.next(), tokens.next()) {
            (
                Some(TokenWithSpan { token: Token::Word(word), .. }),
                Some(TokenWithSpan { token: Token::RBrace, span }),
            ) if word.quote_style.is_none() => (word.value, span),
            _ => {
                let message = "expected the name of a table and } directly behind {";
                return Err(invalid(open.span.start, message));
            }
        };
        let span = open.span.union(&close);
        let token = if let Some(table) = set.table(&name) {
            Token::make_word(&table.physical, Some('"'))
        } else if let Some(ty) = set.enums().iter().find(|e| e.name == name)
            && dialect == Dialect::Postgres
        {
            Token::make_word(&ty.physical, Some('"'))
        } else if purpose == Purpose::Migration && follows_rename_to(&out) {
            // The name that a table gets is not in the set yet. A word that is quoted and not
            // resolved is refused everywhere else.
            Token::make_word(&name, Some('"'))
        } else {
            let hint = names::hint(&name, set.tables().iter().map(|table| table.name.as_str()));
            let message = format!("the plugin has no table {}{hint}", names::quoted(&name));
            return Err(invalid(open.span.start, message));
        };
        out.push(TokenWithSpan { token, span });
    }
    Ok(out)
}

fn follows_rename_to(tokens: &[TokenWithSpan]) -> bool {
    let mut before = tokens.iter().rev().filter_map(|token| match &token.token {
        Token::Whitespace(_) => None,
        Token::Word(word) => Some(word.keyword),
        _ => Some(Keyword::NoKeyword),
    });
    before.next() == Some(Keyword::TO) && before.next() == Some(Keyword::RENAME)
}

/// Numbers the parameters, so that their order can be checked once they are in the tree.
fn number_parameters(
    dialect: Dialect,
    mut tokens: Vec<TokenWithSpan>,
) -> Result<Vec<TokenWithSpan>, DbError> {
    let mut count = 0;
    let mut behind_operand = false;
    for TokenWithSpan { token, span } in &mut tokens {
        let is_parameter = match token {
            Token::Whitespace(_) => continue,
            Token::Placeholder(text) => text == "?",
            // What PostgreSQL's grammar makes of ?, where it is an operator for JSON.
            Token::Question => true,
            Token::QuestionAnd
            | Token::QuestionPipe
            | Token::QuestionMarkDash
            | Token::QuestionMarkSharp
            | Token::QuestionMarkDashVerticalBar
            | Token::QuestionMarkDoubleVerticalBar => {
                return Err(invalid(span.start, operator_with_question_mark(token)));
            }
            Token::CustomBinaryOperator(text) if text.contains('?') => {
                return Err(invalid(span.start, operator_with_question_mark(token)));
            }
            _ => false,
        };
        if is_parameter {
            if behind_operand && dialect == Dialect::Postgres {
                let message = "expected an operator, found ?, which is a parameter; for JSON write jsonb_exists(value, key)";
                return Err(invalid(span.start, message));
            }
            count += 1;
            *token = Token::Placeholder(format!("?{count}"));
        } else if let Token::Placeholder(text) = token {
            let message = format!("write ? for a parameter, not {}", names::quoted(text));
            return Err(invalid(span.start, message));
        }
        behind_operand = match token {
            Token::Word(word) => word.quote_style.is_some() || word.keyword == Keyword::NoKeyword,
            Token::RParen
            | Token::RBracket
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_) => true,
            _ => false,
        };
    }
    Ok(tokens)
}

fn operator_with_question_mark(token: &Token) -> String {
    format!(
        "{token} cannot be used, because ? is a parameter; put spaces around a parameter, and for JSON write jsonb_exists, jsonb_exists_any or jsonb_exists_all"
    )
}
