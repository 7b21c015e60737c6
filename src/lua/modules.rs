//! The compiled modules of one plugin generation, shared by its VMs.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use mlua::chunk::Compiler;

use super::error::{ScriptError, ScriptErrorKind};

/// The standard library: what `require("@std/…")` finds. Part of the binary.
static STANDARD: LazyLock<BTreeMap<String, Compiled>> = LazyLock::new(|| {
    static FILES: include_dir::Dir<'_> =
        include_dir::include_dir!("$CARGO_MANIFEST_DIR/lua-stdlib");
    let mut modules = BTreeMap::new();
    for file in FILES.files() {
        let path = file.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        // `x.d.luau` documents a module for editors.
        if name.ends_with(".d") || path.extension().is_none_or(|ext| ext != "luau") {
            continue;
        }
        if let Some(source) = file.contents_utf8() {
            modules.insert(format!("@std/{name}"), compile(source));
        }
    }
    modules
});

/// Bytecode that we compiled ourselves, or why that failed. Luau gives no safety guarantee for
/// bytecode from elsewhere, so nothing else is ever loaded.
pub type Compiled = Result<Arc<[u8]>, ScriptError>;

/// Modules by key: the path in the plugin's folder, or `@std/NAME`.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    own: BTreeMap<String, Compiled>,
}

impl Modules {
    /// Compiles each `(key, source)`. This takes about a millisecond for 5 KB of source, and there
    /// is no way to stop it: bound the size of the sources, and keep it off the async workers.
    pub fn compile<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Modules {
        let own = sources
            .into_iter()
            .map(|(key, source)| {
                let compiled = compile(source)
                    .map_err(|error| ScriptError { file: Some(key.to_owned()), ..error });
                (key.to_owned(), compiled)
            })
            .collect();
        Modules { own }
    }

    /// The module under `key`.
    pub fn get(&self, key: &str) -> Option<&Compiled> {
        self.own.get(key).or_else(|| STANDARD.get(key))
    }

    /// All keys that a plugin can require, its own first.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.own.keys().chain(STANDARD.keys()).map(String::as_str)
    }
}

fn compile(source: &str) -> Compiled {
    let bytecode = Compiler::new().compile(source).map_err(|error| {
        let mut script = ScriptError::from_mlua(&error);
        // The compiler knows no chunk name: it gives `:LINE: message`.
        if let ScriptErrorKind::Syntax(message) = &mut script.kind
            && let Some((line, rest)) =
                message.trim_start_matches(':').split_once(':').filter(|_| script.line.is_none())
            && let Ok(line) = line.trim().parse()
        {
            script.line = Some(line);
            *message = rest.trim().to_owned();
        }
        script
    })?;
    Ok(bytecode.into())
}
