//! Errors on their way between Lua and the host.

use std::sync::Arc;

use mlua::{FromLua, IntoLua, Lua};

use super::{bridge, watchdog::DeadlinePassed};
use crate::error::{Error, code};
use crate::value::{Map, Value};

/// An error that the host raises in Lua. `pcall` gives it to the script as a value with `code`,
/// `message`, `kind` and `extensions`; if the script lets it go, the client sees it as written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .error.message)]
pub struct Failure {
    pub error: Error,
    /// What kind of host error it is, such as `uniqueViolation`.
    pub kind: Option<String>,
}

impl Failure {
    /// A failure with no kind.
    pub fn new(error: Error) -> Self {
        Failure { error, kind: None }
    }

    /// A failure that is the script's mistake: wrong arguments to a host function.
    pub fn misuse(message: impl Into<String>) -> mlua::Error {
        mlua::Error::runtime(message.into())
    }

    /// As something a host function can return.
    pub fn into_lua_error(self) -> mlua::Error {
        mlua::Error::external(self)
    }
}

/// Why a call into Lua did not give a value.
#[derive(Debug, Clone)]
pub struct ScriptError {
    pub kind: ScriptErrorKind,
    /// The module in which it happened, if known.
    pub file: Option<String>,
    /// The line in that module, from 1.
    pub line: Option<u32>,
    /// Luau's traceback, if there is one.
    pub traceback: Option<String>,
}

#[derive(Debug, Clone)]
pub enum ScriptErrorKind {
    /// The script, or a host function it called, failed with an error meant for the client.
    Failed(Box<Failure>),
    /// Any other Lua error.
    Runtime(String),
    /// The source does not compile.
    Syntax(String),
    /// The time limit passed.
    Deadline,
    /// The memory limit was reached.
    Memory,
    /// A host function panicked.
    Panic(String),
}

impl ScriptError {
    /// An error with no place.
    pub fn new(kind: ScriptErrorKind) -> Self {
        ScriptError { kind, file: None, line: None, traceback: None }
    }

    /// Whether the VM in which it happened must not be used again.
    pub fn is_fatal(&self) -> bool {
        use ScriptErrorKind as K;
        matches!(self.kind, K::Deadline | K::Memory | K::Panic(_))
    }

    /// What happened, without its place.
    pub fn message(&self) -> String {
        match &self.kind {
            ScriptErrorKind::Failed(failure) => failure.error.message.clone(),
            ScriptErrorKind::Runtime(message) | ScriptErrorKind::Syntax(message) => message.clone(),
            ScriptErrorKind::Deadline => "the time limit was exceeded".into(),
            ScriptErrorKind::Memory => "the memory limit was exceeded".into(),
            ScriptErrorKind::Panic(message) => format!("a host function panicked: {message}"),
        }
    }

    /// Reads an error that came out of mlua. Places in it are module keys, as given to
    /// [`super::Modules`].
    pub fn from_mlua(error: &mlua::Error) -> Self {
        if error.downcast_ref::<DeadlinePassed>().is_some() {
            return ScriptError::new(ScriptErrorKind::Deadline);
        }
        if let Some(failure) = error.downcast_ref::<Failure>() {
            let mut script = ScriptError::new(ScriptErrorKind::Failed(Box::new(failure.clone())));
            if let mlua::Error::CallbackError { traceback, .. } = error {
                script.traceback = Some(frames(traceback));
            }
            return script;
        }
        match error {
            mlua::Error::MemoryError(_) => ScriptError::new(ScriptErrorKind::Memory),
            mlua::Error::SyntaxError { message, .. } => {
                ScriptError::placed(message, ScriptErrorKind::Syntax)
            }
            mlua::Error::RuntimeError(text) => ScriptError::placed(text, ScriptErrorKind::Runtime),
            mlua::Error::CallbackError { traceback, cause } => {
                let mut script = ScriptError::from_mlua(cause);
                if script.traceback.is_none() {
                    script.traceback = Some(frames(traceback));
                }
                if script.line.is_none() {
                    (script.file, script.line) = first_place(traceback);
                }
                script
            }
            mlua::Error::WithContext { context, cause } => {
                let mut script = ScriptError::from_mlua(cause);
                if let ScriptErrorKind::Runtime(message) = &mut script.kind {
                    *message = format!("{context}: {message}");
                }
                script
            }
            other => ScriptError::new(ScriptErrorKind::Runtime(other.to_string())),
        }
    }

    fn placed(text: &str, kind: impl FnOnce(String) -> ScriptErrorKind) -> Self {
        let (message, traceback) = match text.split_once("\nstack traceback:\n") {
            Some((message, traceback)) => (message, Some(frames(cut(traceback)))),
            None => (text, None),
        };
        // mlua knows a memory error raised through `error` only by its text.
        if message == "not enough memory" {
            return ScriptError::new(ScriptErrorKind::Memory);
        }
        let (mut file, mut line, message) = split_place(cut(message));
        if let (None, Some(traceback)) = (line, &traceback) {
            (file, line) = first_place(traceback);
        }
        ScriptError { kind: kind(message.to_owned()), file, line, traceback }
    }
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: {}", self.message()),
            _ => f.write_str(&self.message()),
        }
    }
}

impl std::error::Error for ScriptError {}

impl From<ScriptError> for Error {
    /// A failure meant for the client stays as it is; anything else is `unexpected`.
    fn from(script: ScriptError) -> Error {
        match script.kind {
            ScriptErrorKind::Failed(failure) if failure.error.code != code::UNEXPECTED => {
                failure.error
            }
            _ => {
                let mut message = script.to_string();
                if let Some(traceback) = &script.traceback {
                    message.push_str("\nstack traceback:\n");
                    message.push_str(traceback);
                }
                Error::unexpected(message)
            }
        }
    }
}

/// The longest message that is kept, in bytes. A script can raise one as large as its memory.
const MAX_MESSAGE: usize = 8 * 1024;

fn cut(text: &str) -> &str {
    &text[..bridge::boundary(text, MAX_MESSAGE)]
}

/// Splits `path/to/file.lua:12: message`.
fn split_place(text: &str) -> (Option<String>, Option<u32>, &str) {
    let mut from = 0;
    // A file name has no line break; what follows one is not a place.
    let first_line = text.lines().next().unwrap_or_default();
    while let Some(colon) = first_line[from..].find(':').map(|at| at + from) {
        let after = &text[colon + 1..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && after[digits..].starts_with(':') {
            let line = after[..digits].parse().ok();
            let message = after[digits + 1..].trim_start();
            return (Some(text[..colon].to_owned()), line, message);
        }
        from = colon + 1;
    }
    (None, None, text)
}

/// A traceback without its heading and without the frames of the host and of mlua.
fn frames(traceback: &str) -> String {
    let is_own = |line: &&str| {
        let line = line.trim();
        !(line == "stack traceback:" || line.starts_with("__mlua") || line.starts_with("[C]"))
    };
    traceback.lines().filter(is_own).collect::<Vec<_>>().join("\n")
}

/// The first Lua frame of a traceback.
fn first_place(traceback: &str) -> (Option<String>, Option<u32>) {
    for frame in traceback.lines().map(str::trim) {
        if frame.starts_with('[') || frame.starts_with("__mlua") || frame.starts_with("@host/") {
            continue;
        }
        if let (Some(file), Some(line), _) = split_place(frame) {
            return (Some(file), Some(line));
        }
        // The last part of a frame is its line: `init.lua:12`, perhaps followed by a function.
        let place = frame.split_whitespace().next().unwrap_or_default();
        if let Some((file, line)) = place.rsplit_once(':')
            && let Ok(line) = line.parse()
        {
            return (Some(file.to_owned()), Some(line));
        }
    }
    (None, None)
}

/// Gives host errors, which mlua wraps in an opaque userdata, the fields that scripts read.
pub fn install_fields(lua: &Lua) -> mlua::Result<()> {
    let index = lua.create_function(|lua, (error, key): (mlua::Value, String)| {
        let mlua::Value::Error(error) = error else { return Ok(mlua::Value::Nil) };
        let script = ScriptError::from_mlua(&error);
        let (code, kind, extensions) = match &script.kind {
            ScriptErrorKind::Failed(failure) => {
                let error = &failure.error;
                (error.code.as_str(), failure.kind.as_deref(), error.extensions.clone())
            }
            ScriptErrorKind::Deadline => (code::UNEXPECTED, Some("timeout"), Map::new()),
            _ => (code::UNEXPECTED, None, Map::new()),
        };
        match key.as_str() {
            "code" => code.into_lua(lua),
            "message" => script.message().into_lua(lua),
            "kind" => kind.into_lua(lua),
            "extensions" => bridge::to_lua(lua, &Value::Map(extensions)),
            // What an error says about itself beyond these, such as a table and its columns.
            other => match extensions.get(other) {
                Some(value) => bridge::to_lua(lua, value),
                None => Ok(mlua::Value::Nil),
            },
        }
    })?;
    let tostring = lua.create_function(|lua, error: mlua::Value| {
        let text = match &error {
            mlua::Value::Error(error) => ScriptError::from_mlua(error).to_string(),
            other => String::from_lua(other.clone(), lua)?,
        };
        text.into_lua(lua)
    })?;
    let sample = mlua::Value::Error(Box::new(mlua::Error::external(Arc::new(DeadlinePassed))));
    // SAFETY: the closure leaves its three arguments on the stack and pushes two values for the
    // time of a `lua_setfield` each; `exec_raw` runs it protected.
    unsafe {
        lua.exec_raw::<mlua::MultiValue>((index, tostring, sample), |state| {
            use mlua::ffi;
            if ffi::lua_getmetatable(state, 3) != 0 {
                ffi::lua_pushvalue(state, 1);
                ffi::lua_setfield(state, -2, c"__index".as_ptr());
                ffi::lua_pushvalue(state, 2);
                ffi::lua_setfield(state, -2, c"__tostring".as_ptr());
            }
            ffi::lua_settop(state, 0);
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_split_from_messages() {
        assert_eq!(
            split_place("graphql/queries.lua:12: attempt to index nil with 'x'"),
            (Some("graphql/queries.lua".into()), Some(12), "attempt to index nil with 'x'")
        );
        assert_eq!(split_place("time is 12:30 now"), (None, None, "time is 12:30 now"));
        assert_eq!(split_place(":::"), (None, None, ":::"));
    }
}
