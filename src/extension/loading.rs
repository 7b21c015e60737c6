//! A plugin's files while they are being run for what they declare.

use std::collections::HashMap;
use std::sync::Arc;

use mlua::{Function, Lua, Table, Value as LuaValue};

use crate::error::{Phase, Problem};
use crate::lua::ScriptError;
use crate::lua::require::SyntaxFailure;
use crate::parts::Parts;
use crate::permission::Grant;
use crate::plugin::generation::{Generation, GenerationHandle};
use crate::plugin::manifest::Manifest;
use crate::plugin::source::Source;

/// A VM's functions that the host may call, by the key under which they were declared.
pub type Handlers = HashMap<Arc<str>, Function>;

/// What extension points see of a plugin while it loads. All of this happens inside the VM.
pub struct Loading<'a> {
    pub manifest: &'a Manifest,
    pub source: &'a Source,
    pub lua: &'a Lua,
    /// What an administrator lets the plugin do.
    pub granted: &'a Grant,
    /// Refers to the generation that this becomes.
    pub generation: GenerationHandle,
    /// The active plugins that it depends on, and what they depend on; `None` if some of them are not
    /// active, or if this was looked at before.
    pub dependencies: Option<Vec<Arc<Generation>>>,
    pub handlers: Handlers,
    pub parts: Parts,
    pub problems: Vec<Problem>,
    /// Oddities that are no errors.
    pub warnings: Vec<Problem>,
    import: &'a Function,
    /// Files that were run; `None` for one that failed, which is reported once.
    imported: HashMap<String, Option<LuaValue>>,
}

impl<'a> Loading<'a> {
    /// Nothing has run yet.
    pub fn new(
        manifest: &'a Manifest,
        source: &'a Source,
        lua: &'a Lua,
        granted: &'a Grant,
        import: &'a Function,
        generation: GenerationHandle,
        dependencies: Option<Vec<Arc<Generation>>>,
    ) -> Self {
        Loading {
            manifest,
            source,
            lua,
            granted,
            generation,
            dependencies,
            handlers: Handlers::new(),
            parts: Parts::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
            import,
            imported: HashMap::new(),
        }
    }

    /// Runs a file, once, and gives what it returned. `None` after a problem.
    pub async fn import(&mut self, file: &str) -> Option<LuaValue> {
        if let Some(known) = self.imported.get(file) {
            return known.clone();
        }
        let result = if self.source.get(file).is_none() {
            self.problem(Problem::new(Phase::Load, format!("there is no file \"{file}\"")));
            None
        } else {
            match self.import.call_async::<LuaValue>(file).await {
                Ok(value) => Some(value),
                Err(error) => {
                    self.lua_problem(&error, file);
                    None
                }
            }
        };
        self.imported.insert(file.to_owned(), result.clone());
        result
    }

    /// The table that a file returned. `None` after a problem.
    pub async fn module(&mut self, file: &str) -> Option<Table> {
        match self.import(file).await? {
            LuaValue::Table(table) => Some(table),
            other => {
                let found = match other {
                    // What `require` makes of nothing.
                    LuaValue::Boolean(true) => "nothing".to_owned(),
                    other => described(&other),
                };
                let message =
                    format!("the file must return a table of functions; it returns {found}");
                let problem = Problem::new(Phase::Load, message).in_file(file);
                if !self.problems.contains(&problem) {
                    self.problem(problem);
                }
                None
            }
        }
    }

    /// What a file exports under `name`. `None` after a problem, which says that `wanted_by` (a
    /// path in the manifest) needs it.
    pub async fn export(&mut self, file: &str, name: &str, wanted_by: &str) -> Option<LuaValue> {
        let module = self.module(file).await?;
        match module.get::<LuaValue>(name) {
            Ok(LuaValue::Nil) => {
                let exported = exports(&module);
                let hint = match exported.as_slice() {
                    [] => "the file exports nothing".to_owned(),
                    names => format!("it exports {}", names.join(", ")),
                };
                let message =
                    format!("{wanted_by} names \"{name}\", which {file} does not export; {hint}");
                self.problem(Problem::new(Phase::Load, message).in_file(file));
                None
            }
            Ok(value) => Some(value),
            Err(error) => {
                self.lua_problem(&error, file);
                None
            }
        }
    }

    /// A function that a file exports; see [`Loading::export`].
    pub async fn function(&mut self, file: &str, name: &str, wanted_by: &str) -> Option<Function> {
        match self.export(file, name, wanted_by).await? {
            LuaValue::Function(function) => Some(function),
            other => {
                let message = format!(
                    "{wanted_by} names \"{name}\", which must be a function; it is {}",
                    described(&other)
                );
                self.problem(Problem::new(Phase::Load, message).in_file(file));
                None
            }
        }
    }

    /// Lets the host call `function` under `key`.
    pub fn handler(&mut self, key: impl Into<Arc<str>>, function: Function) {
        self.handlers.insert(key.into(), function);
    }

    /// Adds a problem, with its source line.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(self.source.illustrate(problem));
    }

    /// Adds what a Lua error says as a problem. `file` is where it is if the error does not know.
    pub fn lua_problem(&mut self, error: &mlua::Error, file: &str) {
        let script = match error.downcast_ref::<SyntaxFailure>() {
            Some(SyntaxFailure(script)) => script.clone(),
            None => ScriptError::from_mlua(error),
        };
        self.problem(script_problem(Phase::Load, &script, file));
    }
}

/// A script error as a plugin problem.
pub fn script_problem(phase: Phase, script: &ScriptError, file: &str) -> Problem {
    let problem = Problem::new(phase, script.message());
    match (&script.file, script.line) {
        (Some(at), Some(line)) => problem.in_file(at.clone()).at_line(line),
        _ => problem.in_file(file),
    }
}

/// What kind of value it is, in the words of Luau, which has one kind of number.
pub fn described(value: &LuaValue) -> String {
    let kind = match value {
        LuaValue::Integer(_) => "number",
        other => other.type_name(),
    };
    format!("a {kind}")
}

fn exports(module: &Table) -> Vec<String> {
    let mut names: Vec<String> = module
        .pairs::<String, LuaValue>()
        .filter_map(|pair| pair.ok().map(|(name, _)| name))
        .collect();
    names.sort();
    names
}
