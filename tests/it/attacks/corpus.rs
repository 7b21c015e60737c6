//! The attack shapes in `tests/attacks`: what a hostile or careless plugin does to hold a thread or
//! to fill the memory. Read by the tests and by `benches/attacks.rs`.

use std::path::Path;

/// How long each shape's call may take, in milliseconds.
pub const TIMEOUT_MS: u64 = 50;

/// One thing that a resolver does.
pub struct Shape {
    /// The file it is from, and the id of its plugin.
    pub group: String,
    pub id: String,
    pub name: String,
    /// Whether a value is an acceptable answer: the host may simply be fast at it.
    pub may_succeed: bool,
    /// Runs when the plugin loads, and so costs the call no time.
    setup: String,
    call: String,
}

/// For texts that are longer than what `string.rep` makes at once.
const LONG: &str = "local function long(text, count) \
     local part = text:rep(count / 4) return part .. part .. part .. part end";

/// The groups, which are the names of the files.
pub const GROUPS: [&str; 5] = ["loops", "metamethods", "strings", "tables", "memory"];

/// The shapes of one file. Each begins with a line `--- NAME`, which may end in `(any)`; a line
/// `-- call` ends what is prepared at load.
pub fn shapes(group: &str) -> Vec<Shape> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks").join(group);
    let text = std::fs::read_to_string(path.with_extension("lua")).unwrap();
    let parts = text.strip_prefix("--- ").unwrap().split("\n--- ");
    parts.enumerate().map(|(index, part)| shape(group, index, part)).collect()
}

fn shape(group: &str, index: usize, part: &str) -> Shape {
    let (title, source) = part.split_once('\n').unwrap();
    let (setup, call) = source.split_once("-- call\n").unwrap_or(("", source));
    Shape {
        group: group.to_owned(),
        id: format!("{group}_{index}"),
        name: title.trim_end_matches(" (any)").to_owned(),
        may_succeed: title.ends_with(" (any)"),
        setup: setup.to_owned(),
        call: call.to_owned(),
    }
}

impl Shape {
    /// The plugin's main module, with the public fields `run: JSON` and `ready: Boolean`.
    pub fn main(&self) -> String {
        let Shape { setup, call, .. } = self;
        format!(
            "local M = {{}}\n{LONG}\n{setup}\nfunction M.register(builder)\n\
             builder:queryField(\"run\", {{ type = \"JSON\", auth = \"public\", \
             resolve = function(_, args, ctx)\n{call}\nend }})\n\
             builder:queryField(\"ready\", {{ type = \"Boolean\", auth = \"public\", \
             resolve = function() return true end }})\nend\nreturn M\n"
        )
    }

    /// The plugin's manifest.
    pub fn manifest(&self) -> String {
        format!(
            r#"{{ "name": "Attack", "pluginId": "{}", "version": "1.0.0", "description": "{}",
                "author": "Tests", "main": "init.lua",
                "extensionPoints": {{ "graphql":
                    [{{ "type": "query", "name": "fields", "builderDefinition": "register" }}] }},
                "runtime": {{ "timeoutMs": {TIMEOUT_MS}, "memoryMb": 64 }} }}"#,
            self.id, self.name
        )
    }

    /// The GraphQL document that is answered once the plugin has loaded.
    pub fn probe(&self) -> String {
        format!("{{ {}_ready }}", self.id)
    }

    /// The GraphQL document that runs it.
    pub fn query(&self) -> String {
        format!("{{ {}_run }}", self.id)
    }
}
