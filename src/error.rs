//! What went wrong, in the shape every surface shows it: the terminal, the log, `Plugin.errors`
//! and GraphQL.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::{Map, Value};

/// The error codes that clients see in `extensions.code`.
pub mod code {
    /// No credentials were sent.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// The caller's role does not allow this.
    pub const UNAUTHORIZED_ACTION: &str = "unauthorized_action";
    /// An argument is wrong; `extensions.issues` says which and why.
    pub const INVALID_ARGUMENTS: &str = "invalid_arguments";
    /// An argument names something that does not exist.
    pub const NOT_FOUND: &str = "arguments_associated_resources_not_found";
    /// What the arguments name exists, but its state does not allow the action.
    pub const FORBIDDEN_ON_ARGUMENTS: &str = "forbidden_action_on_arguments_associated_resources";
    /// Anything else; the message is masked and the request id leads to the log.
    pub const UNEXPECTED: &str = "unexpected";
    /// The GraphQL document cannot be read.
    pub const GRAPHQL_PARSE_FAILED: &str = "graphql_parse_failed";
    /// The GraphQL document does not fit the schema.
    pub const GRAPHQL_VALIDATION_FAILED: &str = "graphql_validation_failed";
    /// The operation cannot be executed over this transport, such as a mutation over `GET`.
    pub const GRAPHQL_OPERATION_NOT_ALLOWED: &str = "graphql_operation_not_allowed";
    /// The operation asks for more than a limit allows; `extensions` say which, and by how much.
    pub const GRAPHQL_LIMIT_EXCEEDED: &str = "graphql_limit_exceeded";
    /// The caller may not ask what the schema is.
    pub const GRAPHQL_INTROSPECTION_DISABLED: &str = "graphql_introspection_disabled";
    /// Executing the operation took longer than it may.
    pub const GRAPHQL_TIMEOUT: &str = "graphql_timeout";
    /// A subscription has ended, because its plugin is another version now.
    pub const PLUGIN_RELOADED: &str = "plugin_reloaded";
    /// A subscription has ended, because its plugin is no longer active.
    pub const PLUGIN_DEACTIVATED: &str = "plugin_deactivated";
}

/// Where in a plugin's life something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Reading the plugin's folder.
    Source,
    /// Reading and validating `manifest.json`.
    Manifest,
    /// Compiling and running the plugin's files, and reading their declarations.
    Load,
    Install,
    Activate,
    Deactivate,
    Uninstall,
    /// A handler failed while serving.
    Call,
}

impl Phase {
    /// The name as it is shown and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Source => "source",
            Phase::Manifest => "manifest",
            Phase::Load => "load",
            Phase::Install => "install",
            Phase::Activate => "activate",
            Phase::Deactivate => "deactivate",
            Phase::Uninstall => "uninstall",
            Phase::Call => "call",
        }
    }
}

impl Phase {
    /// Whether it is a step of the plugin's life, rather than the reading of a version of it.
    pub fn is_step(self) -> bool {
        matches!(self, Phase::Install | Phase::Activate | Phase::Deactivate | Phase::Uninstall)
    }

    /// The phase of this name; an unknown one counts as a call's.
    pub fn parse(name: &str) -> Self {
        [
            Phase::Source,
            Phase::Manifest,
            Phase::Load,
            Phase::Install,
            Phase::Activate,
            Phase::Deactivate,
            Phase::Uninstall,
        ]
        .into_iter()
        .find(|phase| phase.as_str() == name)
        .unwrap_or(Phase::Call)
    }
}

/// One thing that is wrong with a plugin: what, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub phase: Phase,
    /// What was found and what was expected.
    pub message: String,
    /// The file, relative to the plugin's folder, with forward slashes.
    pub file: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u32>,
    /// The column in that line, from 1, where the source tells.
    pub column: Option<u32>,
    /// The source line it is about, for terminals.
    pub excerpt: Option<String>,
    /// The code that clients see, if it is not the usual one of the step that failed.
    #[serde(default)]
    pub code: Option<String>,
}

impl Problem {
    /// A problem with no place.
    pub fn new(phase: Phase, message: impl Into<String>) -> Self {
        Problem {
            phase,
            message: message.into(),
            file: None,
            line: None,
            column: None,
            excerpt: None,
            code: None,
        }
    }

    /// Names the file, relative to the plugin's folder.
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Lets clients see this code.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Names the line, from 1.
    pub fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// Names the column, from 1.
    pub fn at_column(mut self, column: u32) -> Self {
        self.column = Some(column);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: {}", self.message),
            (Some(file), None) => write!(f, "{file}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

/// An error with a stable code. `message` is meant for the person who made the request, except
/// under [`code::UNEXPECTED`], where surfaces mask it and the log has it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// One of [`code`], or a plugin's own.
    pub code: String,
    pub message: String,
    /// Further keys of `extensions`.
    pub extensions: Map,
    /// The plugin problems behind it, if it is about a plugin's folder, code or life.
    pub problems: Vec<Problem>,
}

impl Error {
    /// Whether it is meant for clients as it is, and not masked.
    pub fn is_for_clients(&self) -> bool {
        self.code != code::UNEXPECTED
    }

    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Error {
            code: code.into(),
            message: message.into(),
            extensions: Map::new(),
            problems: Vec::new(),
        }
    }

    /// A failure of the host itself, masked for clients.
    pub fn unexpected(message: impl fmt::Display) -> Self {
        Error::new(code::UNEXPECTED, message.to_string())
    }

    /// `invalid_arguments` with one issue.
    pub fn invalid_argument(path: &[&str], message: impl Into<String>) -> Self {
        let message = message.into();
        let mut issue = Map::new();
        let path = path.iter().map(|p| Value::from(*p)).collect::<Vec<_>>();
        issue.insert("argumentPath".into(), path.into());
        issue.insert("message".into(), message.clone().into());
        Error::new(code::INVALID_ARGUMENTS, message).with("issues", Value::List(vec![issue.into()]))
    }

    /// `arguments_associated_resources_not_found` for one argument.
    pub fn not_found(path: &[&str], message: impl Into<String>) -> Self {
        Error { code: code::NOT_FOUND.into(), ..Error::invalid_argument(path, message) }
    }

    /// An error made of plugin problems. The message lists them all.
    pub fn from_problems(problems: Vec<Problem>) -> Self {
        let message = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
        Error { problems, ..Error::new(code::UNEXPECTED, message) }
    }

    /// Says which field of `input` it is about, if it is about arguments and does not say so yet.
    pub fn about(self, argument: &str) -> Self {
        let about_arguments = [code::FORBIDDEN_ON_ARGUMENTS, code::NOT_FOUND];
        if !about_arguments.contains(&&*self.code) || self.extensions.contains_key("issues") {
            return self;
        }
        let issues = Error::invalid_argument(&["input", argument], &self.message).extensions;
        let mut extensions = self.extensions;
        extensions.extend(issues);
        Error { extensions, ..self }
    }

    /// Adds a key to `extensions`.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(key.into(), value.into());
        self
    }
}

/// A result with the host's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
