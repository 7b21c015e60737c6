//! Reading YAML values of an expected shape, collecting a problem for each that is not.

use std::str::FromStr;

use indexmap::IndexMap;

use super::interpolate::Variables;
use super::yaml::{Entry, Item, Node};
use crate::error::{Phase, Problem};
use crate::nearest::nearest;

/// Collects what is wrong with a Compose file. Readers return `None` exactly when they have reported a
/// problem, so that a caller can go on and report the rest.
pub struct Reader<'f> {
    file: &'f str,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// A value and where it is.
#[derive(Clone, Copy)]
pub struct At<'v> {
    pub item: &'v Item,
    /// The path that leads to it.
    pub path: &'v str,
}

impl<'f> Reader<'f> {
    pub fn new(file: &'f str) -> Self {
        Reader { file, problems: Vec::new(), warnings: Vec::new() }
    }

    fn place(&self, path: &str, line: u32, message: &str) -> Problem {
        Problem::new(Phase::Load, format!("{path}: {message}")).in_file(self.file).at_line(line)
    }

    pub fn problem(&mut self, path: &str, line: u32, message: impl AsRef<str>) {
        let problem = self.place(path, line, message.as_ref());
        self.problems.push(problem);
    }

    pub fn warning(&mut self, path: &str, line: u32, message: impl AsRef<str>) {
        let warning = self.place(path, line, message.as_ref());
        self.warnings.push(warning);
    }

    /// Reports that a value is not what was expected.
    pub fn expected<T>(&mut self, at: At<'_>, what: &str) -> Option<T> {
        let found = match &at.item.node {
            Node::Null => "nothing".to_owned(),
            Node::Text(text) => format!("{text:?}"),
            Node::List(_) => "a list".to_owned(),
            Node::Map(_) => "a mapping".to_owned(),
        };
        self.problem(at.path, at.item.line, format!("expected {what}, found {found}"));
        None
    }

    /// The value of a parser, or a problem that says what it says.
    pub fn parsed<T>(&mut self, at: At<'_>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(at.path, at.item.line, message)).ok()
    }

    /// Puts variables in everywhere.
    pub fn interpolate(&mut self, item: &mut Item, path: &str, variables: &Variables) {
        match &mut item.node {
            Node::Null => {}
            Node::Text(text) if !text.contains('$') => {}
            Node::Text(text) => {
                let mut missing = Vec::new();
                match variables.expand(text, &mut missing) {
                    Ok(expanded) => *text = expanded,
                    Err(message) => self.problem(path, item.line, message),
                }
                missing.dedup();
                for name in missing {
                    let message = format!(
                        "the variable {name} is not set and stands for nothing; variables are those of \
                         docker.env in the manifest, and environment variables that the plugin is granted"
                    );
                    self.warning(path, item.line, message);
                }
            }
            Node::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.interpolate(item, &format!("{path}[{index}]"), variables);
                }
            }
            Node::Map(entries) => {
                for entry in entries {
                    self.interpolate(&mut entry.value, &join(path, &entry.key), variables);
                }
            }
        }
    }

    /// The entries of a mapping; nothing has none.
    pub fn map<'v>(&mut self, at: At<'v>) -> Option<&'v [Entry]> {
        match &at.item.node {
            Node::Map(entries) => Some(entries),
            Node::Null => Some(&[]),
            _ => self.expected(at, "a mapping"),
        }
    }

    /// Reports a key that is none of those that are read.
    pub fn unknown(&mut self, path: &str, entry: &Entry, known: &[&str]) {
        if entry.key.starts_with("x-") {
            return;
        }
        let message = match refused(&entry.key) {
            Some(reason) => format!("is not allowed: {reason}"),
            None => match nearest(&entry.key, known.iter().copied()) {
                Some(near) => format!("is not supported; did you mean {near:?}?"),
                None => "is not supported".to_owned(),
            },
        };
        self.problem(&join(path, &entry.key), entry.line, message);
    }

    pub fn list<'v>(&mut self, at: At<'v>) -> Option<&'v [Item]> {
        match &at.item.node {
            Node::List(items) => Some(items),
            Node::Null => Some(&[]),
            _ => self.expected(at, "a list"),
        }
    }

    pub fn text<'v>(&mut self, at: At<'v>) -> Option<&'v str> {
        match &at.item.node {
            Node::Text(text) => Some(text),
            _ => self.expected(at, "a text"),
        }
    }

    pub fn non_empty(&mut self, at: At<'_>) -> Option<String> {
        match &at.item.node {
            Node::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => self.expected(at, "a text that is not empty"),
        }
    }

    pub fn boolean(&mut self, at: At<'_>) -> Option<bool> {
        match &at.item.node {
            Node::Text(text) if text == "true" => Some(true),
            Node::Text(text) if text == "false" => Some(false),
            _ => self.expected(at, "true or false"),
        }
    }

    /// A number or another value that is written as a text.
    pub fn value<T: FromStr>(&mut self, at: At<'_>, what: &str) -> Option<T> {
        self.value_by(at, what, |text| text.parse().ok())
    }

    /// A value that `read` makes of a text; `what` says in words what is expected.
    pub fn value_by<T>(
        &mut self,
        at: At<'_>,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let found = match &at.item.node {
            Node::Text(text) => read(text.trim()),
            _ => None,
        };
        found.or_else(|| self.expected(at, what))
    }

    /// A list of texts.
    pub fn texts(&mut self, at: At<'_>) -> Option<Vec<String>> {
        let items = self.list(at)?;
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", at.path);
            texts.push(self.text(At { item, path: &path })?.to_owned());
        }
        Some(texts)
    }

    /// A mapping of names to texts, or a list of `NAME=TEXT`. A name without a text has `None`.
    pub fn pairs(&mut self, at: At<'_>) -> Option<IndexMap<String, (Option<String>, u32)>> {
        let mut pairs = IndexMap::new();
        match &at.item.node {
            Node::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{}[{index}]", at.path);
                    let text = self.text(At { item, path: &path })?;
                    let (name, value) = match text.split_once('=') {
                        Some((name, value)) => (name, Some(value.to_owned())),
                        None => (text, None),
                    };
                    pairs.insert(name.to_owned(), (value, item.line));
                }
            }
            _ => {
                for entry in self.map(at)? {
                    let path = join(at.path, &entry.key);
                    let value = match &entry.value.node {
                        Node::Null => None,
                        _ => Some(self.text(At { item: &entry.value, path: &path })?.to_owned()),
                    };
                    pairs.insert(entry.key.clone(), (value, entry.line));
                }
            }
        }
        Some(pairs)
    }

    /// As [`Reader::pairs`], where a name without a text has an empty one.
    pub fn labels(&mut self, at: At<'_>) -> Option<IndexMap<String, String>> {
        let pairs = self.pairs(at)?;
        for (name, (_, line)) in &pairs {
            let is_taken = RESERVED_LABELS.iter().any(|prefix| name.starts_with(prefix));
            if is_taken {
                self.problem(&join(at.path, name), *line, "the host sets this label itself");
                return None;
            }
        }
        Some(
            pairs.into_iter().map(|(name, (value, _))| (name, value.unwrap_or_default())).collect(),
        )
    }

    /// A command: a list of words, or a line that is split as a shell does.
    pub fn command(&mut self, at: At<'_>) -> Option<Vec<String>> {
        match &at.item.node {
            Node::Text(line) => {
                let split = shell_words::split(line).map_err(|error| error.to_string());
                self.parsed(at, split)
            }
            _ => self.texts(at),
        }
    }
}

const RESERVED_LABELS: [&str; 2] = ["com.docker.compose.", "dev.moondock."];

/// `path.key`, quoted where the key has a dot itself.
pub fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.contains('.')) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}[{key:?}]"),
        (false, false) => format!("{path}.{key}"),
    }
}

/// Why a key of Compose is not carried out, if there is more to say than that.
fn refused(key: &str) -> Option<&'static str> {
    Some(match key {
        "privileged" | "cap_add" | "security_opt" | "credential_spec" | "userns_mode"
        | "sysctls" => "it would give the container rights on this machine",
        "network_mode" | "pid" | "ipc" | "uts" | "cgroup" | "cgroup_parent" | "volumes_from"
        | "external_links" | "links" => {
            "containers of a plugin share nothing with this machine or with other plugins; use networks"
        }
        "devices" | "device_cgroup_rules" | "gpus" | "device_read_bps" => {
            "containers of a plugin have no devices of this machine"
        }
        "external" => "containers of a plugin use only what is their own",
        "driver_opts" => "it could lead out of the plugin's folder",
        "container_name" | "name" => "the host names what it makes, so that nothing clashes",
        "extends" | "include" => "put everything into one file",
        "secrets" | "configs" => {
            "use environment, env_file or a bind mount inside the plugin's folder"
        }
        _ => return None,
    })
}
