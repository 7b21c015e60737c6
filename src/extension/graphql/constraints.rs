//! What may be said about the values of an argument or input field beyond their type.
//!
//! On a list type `minLength` and `maxLength` bound the length of the (outermost) list, and all
//! other constraints are about its items. Null and absent values are never refused by a constraint.

use std::fmt;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::coerce::Issue;
use super::format::Format;
use super::response::PathSegment;
use super::scalar::Scalar;
use super::tables::{Input, Type, Types};
use super::types::TypeRef;
use crate::value::{Map, Value};

/// The largest compiled pattern, in bytes: matching takes time proportional to it and to the text.
const MAX_PATTERN: usize = 1 << 20;

/// How many issues are reported of one field's arguments: the answer to a long list of wrong items
/// must not be much longer than the list.
const MAX_ISSUES: usize = 100;

/// Constraints on a value; what is `None` is not constrained.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// The least number, itself included. Limits of a `BigInt` beyond 2^53 are compared as doubles.
    pub min: Option<f64>,
    /// The greatest number, itself included.
    pub max: Option<f64>,
    /// The least number of Unicode scalar values in a text, or of items in a list.
    pub min_length: Option<u64>,
    /// The greatest number of Unicode scalar values in a text, or of items in a list.
    pub max_length: Option<u64>,
    /// What must be found in a text.
    pub pattern: Option<Pattern>,
    /// The form of a text.
    pub format: Option<Format>,
}

/// A regular expression, searched for anywhere in the text as in JSON Schema: `^` and `$` tie it to
/// the text's ends. Its syntax is that of the crate `regex`, which matches in linear time and
/// therefore has neither look-around nor back-references.
#[derive(Debug, Clone)]
pub struct Pattern(Arc<Regex>);

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it, or that it is too large.
    pub fn new(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text)
            .size_limit(MAX_PATTERN)
            .dfa_size_limit(MAX_PATTERN)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
                other => other.to_string(),
            })?;
        Ok(Pattern(Arc::new(built)))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Constraints {
    /// Whether nothing is constrained.
    pub fn is_empty(&self) -> bool {
        *self == Constraints::default()
    }

    /// What is wrong with constraining values of this type so.
    pub(super) fn misfits(&self, ty: &TypeRef) -> Vec<String> {
        let scalar = Scalar::by_name(ty.name());
        let is_number = matches!(scalar, Some(Scalar::Int | Scalar::Float | Scalar::BigInt));
        let is_text = matches!(scalar, Some(Scalar::String | Scalar::Id));
        let numbers = "is for numbers (Int, Float, BigInt)";
        let texts = "is for texts (String, ID)";
        let lengths = "is for texts (String, ID) and lists";
        let has_length = is_text || is_list(ty);
        let mut wrong: Vec<String> = [
            ("min", self.min.is_some(), is_number, numbers),
            ("max", self.max.is_some(), is_number, numbers),
            ("minLength", self.min_length.is_some(), has_length, lengths),
            ("maxLength", self.max_length.is_some(), has_length, lengths),
            ("pattern", self.pattern.is_some(), is_text, texts),
            ("format", self.format.is_some(), is_text, texts),
        ]
        .into_iter()
        .filter(|(_, given, fits, _)| *given && !fits)
        .map(|(name, _, _, what)| format!("\"{name}\" {what}, not for \"{ty}\""))
        .collect();
        for (name, limit) in [("min", self.min), ("max", self.max)] {
            if limit.is_some_and(|limit| !limit.is_finite()) {
                wrong.push(format!("\"{name}\" must be a finite number"));
            }
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            wrong.push(format!("\"min\" ({min}) is greater than \"max\" ({max})"));
        }
        if let (Some(min), Some(max)) = (self.min_length, self.max_length)
            && min > max
        {
            wrong.push(format!("\"minLength\" ({min}) is greater than \"maxLength\" ({max})"));
        }
        wrong
    }

    fn length(&self, length: usize, what: &str, wrong: &mut impl FnMut(String)) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        if let Some(min) = self.min_length.filter(|min| length < *min) {
            wrong(format!("It must have at least {min} {what}{}.", plural(min)));
        }
        if let Some(max) = self.max_length.filter(|max| length > *max) {
            wrong(format!("It must have at most {max} {what}{}.", plural(max)));
        }
    }

    fn number(&self, number: f64, wrong: &mut impl FnMut(String)) {
        if let Some(min) = self.min.filter(|min| number < *min) {
            wrong(format!("It must be at least {min}."));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            wrong(format!("It must be at most {max}."));
        }
    }

    fn text(&self, text: &str, wrong: &mut impl FnMut(String)) {
        if let Some(pattern) = self.pattern.as_ref().filter(|p| !p.0.is_match(text)) {
            wrong(format!("It must match the pattern \"{pattern}\"."));
        }
        if let Some(format) = self.format.filter(|format| !format.fits(text)) {
            wrong(format!("It must be {}.", format.noun()));
        }
    }

    /// One value that is neither a list nor null.
    fn single(&self, value: &Value, in_list: bool, wrong: &mut impl FnMut(String)) {
        match value {
            Value::Int(i) => self.number(*i as f64, wrong),
            Value::Float(f) => self.number(*f, wrong),
            // A BigInt that is no exact double comes as digits.
            Value::String(digits) if self.min.is_some() || self.max.is_some() => {
                self.number(digits.parse().unwrap_or(f64::NAN), wrong);
            }
            Value::String(text) => {
                let count = text.chars().count();
                if !in_list {
                    self.length(count, "character", wrong);
                }
                // What is too long is not worth searching.
                let bounded = |max: u64| in_list || u64::try_from(count).is_ok_and(|n| n <= max);
                if self.max_length.is_none_or(bounded) {
                    self.text(text, wrong);
                }
            }
            _ => {}
        }
    }
}

fn is_list(ty: &TypeRef) -> bool {
    matches!(ty.nullable(), TypeRef::List(_))
}

/// Everything in a field's coerced arguments that a constraint refuses.
pub(super) fn check(types: &Types, declared: &[Input], args: &Map) -> Vec<Issue> {
    let mut checker = Checker { types, path: Vec::new(), issues: Vec::new() };
    checker.inputs(declared, args);
    checker.issues
}

/// Everything in the default of one input value that a constraint refuses; paths begin within it.
pub(super) fn check_default(types: &Types, input: &Input, default: &Value) -> Vec<Issue> {
    let mut checker = Checker { types, path: Vec::new(), issues: Vec::new() };
    checker.input(input, default);
    checker.issues
}

struct Checker<'t> {
    types: &'t Types,
    path: Vec<PathSegment>,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    fn issue(&mut self, message: String) {
        if self.issues.len() < MAX_ISSUES {
            self.issues.push(Issue { path: self.path.clone(), found: String::new(), message });
        }
    }

    fn inputs(&mut self, declared: &[Input], values: &Map) {
        for input in declared.iter().filter(|input| input.constrained) {
            if let Some(value) = values.get(&*input.name) {
                self.path.push(PathSegment::Key(input.name.clone()));
                self.input(input, value);
                self.path.pop();
            }
        }
    }

    fn input(&mut self, input: &Input, value: &Value) {
        if let (Some(constraints), Value::List(items)) = (&input.constraints, value)
            && is_list(&input.ty)
        {
            constraints.length(items.len(), "item", &mut |message| self.issue(message));
        }
        self.value(input, &input.ty, value);
    }

    fn value(&mut self, input: &Input, ty: &TypeRef, value: &Value) {
        match (ty, value) {
            (_, Value::Null) => {}
            (TypeRef::NonNull(inner), _) => self.value(input, inner, value),
            (TypeRef::List(inner), Value::List(items)) => {
                for (i, item) in items.iter().enumerate() {
                    self.path.push(PathSegment::Index(i));
                    self.value(input, inner, item);
                    self.path.pop();
                }
            }
            (TypeRef::Named(name), Value::Map(map)) => {
                // The value of a JSON scalar may be a map too.
                if let Some(Type::Input(def)) = self.types.get(name) {
                    self.inputs(&def.fields, map);
                }
            }
            _ => {
                if let Some(constraints) = &input.constraints {
                    let in_list = is_list(&input.ty);
                    constraints.single(value, in_list, &mut |message| self.issue(message));
                }
            }
        }
    }
}
