//! Reading JSON values of an expected shape, collecting a problem for each that is not.

use std::ops::RangeInclusive;

use serde_json::Value as Json;

use super::MANIFEST_FILE;
use super::document::{Document, child_path};
use crate::error::{Phase, Problem};
use crate::nearest::nearest;
use crate::value::Value;

/// A value and where it is.
#[derive(Clone)]
pub(super) struct Node<'v> {
    pub json: &'v Json,
    pub path: String,
}

/// Collects what is wrong. Readers return `None` exactly when they have reported a problem, so that
/// a caller can go on and report the rest.
#[derive(Default)]
pub(super) struct Check<'d> {
    document: Option<&'d Document<'d>>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl<'d> Check<'d> {
    /// A check of a text; problems name the manifest and the line.
    pub fn of(document: &'d Document<'d>) -> Self {
        Check { document: Some(document), ..Check::default() }
    }

    fn place(&self, path: &str, message: String) -> Problem {
        let shown = if path.is_empty() { "the whole document" } else { path };
        let problem = Problem::new(Phase::Manifest, format!("{shown}: {message}"));
        let Some(document) = self.document else { return problem };
        let mut problem = problem.in_file(MANIFEST_FILE);
        problem.line = document.line(path);
        problem.excerpt = problem.line.and_then(|line| document.excerpt(line));
        problem
    }

    pub fn problem(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.place(path, message.into());
        self.problems.push(problem);
    }

    pub fn warning(&mut self, path: &str, message: impl Into<String>) {
        let warning = self.place(path, message.into());
        self.warnings.push(warning);
    }

    /// Reports that `node` is not what was expected.
    pub fn expected(&mut self, node: &Node<'_>, what: &str) {
        let found = Value::from(node.json).excerpt();
        self.problem(&node.path, format!("expected {what}, found {found}"));
    }

    /// The entries of an object, after a warning for each key that is not in `known`.
    pub fn object<'v>(&mut self, node: &Node<'v>, known: &[&str]) -> Option<Fields<'v>> {
        let fields = self.map(node)?;
        for key in fields.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!("; did you mean {near:?}?"),
                None => String::new(),
            };
            self.warning(&child_path(&node.path, key), format!("unknown key{hint}"));
        }
        Some(fields)
    }

    /// The entries of an object with any keys.
    pub fn map<'v>(&mut self, node: &Node<'v>) -> Option<Fields<'v>> {
        match node.json {
            Json::Object(map) => Some(Fields { map, path: node.path.clone() }),
            _ => {
                self.expected(node, "an object");
                None
            }
        }
    }

    pub fn list<'v>(&mut self, node: &Node<'v>) -> Option<Vec<Node<'v>>> {
        let Json::Array(items) = node.json else {
            self.expected(node, "a list");
            return None;
        };
        let at = |(index, json)| Node { json, path: format!("{}[{index}]", node.path) };
        Some(items.iter().enumerate().map(at).collect())
    }

    pub fn string<'v>(&mut self, node: &Node<'v>) -> Option<&'v str> {
        self.string_where(node, "a string", |_| true)
    }

    pub fn non_empty<'v>(&mut self, node: &Node<'v>) -> Option<&'v str> {
        self.string_where(node, "a non-empty string", |s| !s.trim().is_empty())
    }

    /// A string that satisfies `test`; `what` says in words what that is.
    pub fn string_where<'v>(
        &mut self,
        node: &Node<'v>,
        what: &str,
        test: impl FnOnce(&str) -> bool,
    ) -> Option<&'v str> {
        match node.json.as_str() {
            Some(text) if test(text) => Some(text),
            _ => {
                self.expected(node, what);
                None
            }
        }
    }

    pub fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        let value = node.json.as_bool();
        if value.is_none() {
            self.expected(node, "true or false");
        }
        value
    }

    pub fn integer(&mut self, node: &Node<'_>, range: RangeInclusive<i64>) -> Option<i64> {
        let value = node.json.as_i64().filter(|i| range.contains(i));
        if value.is_none() {
            let what = if range == (i64::MIN..=i64::MAX) {
                "a whole number".to_owned()
            } else {
                format!("a whole number from {} to {}", range.start(), range.end())
            };
            self.expected(node, &what);
        }
        value
    }

    /// One of a few words, each with what it stands for.
    pub fn one_of<T: Copy>(&mut self, node: &Node<'_>, choices: &[(&str, T)]) -> Option<T> {
        let found = node.json.as_str();
        if let Some((_, value)) = choices.iter().find(|(word, _)| Some(*word) == found) {
            return Some(*value);
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        let what = match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => words.concat(),
        };
        let near = found.and_then(|f| nearest(f, choices.iter().map(|(word, _)| *word)));
        let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        let found = Value::from(node.json).excerpt();
        self.problem(&node.path, format!("expected {what}, found {found}{hint}"));
        None
    }

    /// A list of strings, each satisfying `test` and none twice.
    pub fn strings(
        &mut self,
        node: &Node<'_>,
        what: &str,
        test: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut strings: Vec<String> = Vec::new();
        for item in self.list(node).unwrap_or_default() {
            let Some(text) = self.string_where(&item, what, &test) else { continue };
            if strings.iter().any(|s| s == text) {
                self.problem(&item.path, format!("{text:?} is in the list twice"));
            } else {
                strings.push(text.to_owned());
            }
        }
        strings
    }
}

/// The entries of an object.
pub(super) struct Fields<'v> {
    pub map: &'v serde_json::Map<String, Json>,
    pub path: String,
}

impl<'v> Fields<'v> {
    /// The value under `key`, if the key is there.
    pub fn get(&self, key: &str) -> Option<Node<'v>> {
        let json = self.map.get(key)?;
        Some(Node { json, path: child_path(&self.path, key) })
    }

    /// The value under `key`; its absence is a problem that says what was expected.
    pub fn required(&self, check: &mut Check<'_>, key: &str, what: &str) -> Option<Node<'v>> {
        let node = self.get(key);
        if node.is_none() {
            let path = child_path(&self.path, key);
            check.problem(&path, format!("expected {what}, but it is missing"));
        }
        node
    }

    /// A required, non-empty string.
    pub fn required_text(&self, check: &mut Check<'_>, key: &str) -> Option<String> {
        let node = self.required(check, key, "a non-empty string")?;
        check.non_empty(&node).map(str::to_owned)
    }

    /// An optional string; empty is absent.
    pub fn text(&self, check: &mut Check<'_>, key: &str) -> Option<String> {
        let node = self.get(key)?;
        check.string(&node).filter(|s| !s.is_empty()).map(str::to_owned)
    }

    /// An optional boolean.
    pub fn flag(&self, check: &mut Check<'_>, key: &str, default: bool) -> bool {
        self.get(key).and_then(|node| check.boolean(&node)).unwrap_or(default)
    }

    /// Each entry with its place.
    pub fn entries(&self) -> impl Iterator<Item = (&'v str, Node<'v>)> {
        let path = self.path.clone();
        self.map
            .iter()
            .map(move |(key, json)| (key.as_str(), Node { json, path: child_path(&path, key) }))
    }
}
