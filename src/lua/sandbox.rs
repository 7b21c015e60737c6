//! What a script can reach. Everything not listed here is removed before any script runs, and what
//! remains is made read-only.

use std::sync::Arc;

use mlua::chunk::Compiler;
use mlua::{Function, IntoLua, Lua, Table, Thread, Value};

use super::error::install_fields;
use super::modules::Modules;
use super::require;
use super::watchdog;

/// The globals of a VM and, for tables, their members.
pub const GLOBALS: &[(&str, &[&str])] = &[
    ("_G", &[]),
    ("_VERSION", &[]),
    ("assert", &[]),
    (
        "bit32",
        &[
            "arshift", "band", "bnot", "bor", "btest", "bxor", "byteswap", "countlz", "countrz",
            "extract", "lrotate", "lshift", "replace", "rrotate", "rshift",
        ],
    ),
    (
        "buffer",
        &[
            "copy",
            "create",
            "fill",
            "fromstring",
            "len",
            "readbits",
            "readf32",
            "readf64",
            "readi16",
            "readi32",
            "readi8",
            "readstring",
            "readu16",
            "readu32",
            "readu8",
            "tostring",
            "writebits",
            "writef32",
            "writef64",
            "writei16",
            "writei32",
            "writei8",
            "writestring",
            "writeu16",
            "writeu32",
            "writeu8",
        ],
    ),
    (
        "coroutine",
        &["close", "create", "isyieldable", "resume", "running", "status", "wrap", "yield"],
    ),
    ("error", &[]),
    ("getmetatable", &[]),
    ("ipairs", &[]),
    (
        "math",
        &[
            "abs",
            "acos",
            "asin",
            "atan",
            "atan2",
            "ceil",
            "clamp",
            "cos",
            "cosh",
            "deg",
            "exp",
            "floor",
            "fmod",
            "frexp",
            "huge",
            "isfinite",
            "isinf",
            "isnan",
            "ldexp",
            "lerp",
            "log",
            "log10",
            "map",
            "max",
            "min",
            "modf",
            "noise",
            "pi",
            "pow",
            "rad",
            "random",
            "randomseed",
            "round",
            "sign",
            "sin",
            "sinh",
            "sqrt",
            "tan",
            "tanh",
        ],
    ),
    ("next", &[]),
    ("os", &["clock", "date", "difftime", "time"]),
    ("pairs", &[]),
    ("pcall", &[]),
    ("print", &[]),
    ("rawequal", &[]),
    ("rawget", &[]),
    ("rawlen", &[]),
    ("rawset", &[]),
    ("require", &[]),
    ("select", &[]),
    ("setmetatable", &[]),
    (
        "string",
        &[
            "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack",
            "packsize", "rep", "reverse", "split", "sub", "unpack", "upper",
        ],
    ),
    (
        "table",
        &[
            "clear", "clone", "concat", "create", "find", "foreach", "foreachi", "freeze", "getn",
            "insert", "isfrozen", "maxn", "move", "pack", "remove", "sort", "unpack",
        ],
    ),
    ("tonumber", &[]),
    ("tostring", &[]),
    ("type", &[]),
    ("typeof", &[]),
    ("unpack", &[]),
    ("utf8", &["char", "charpattern", "codepoint", "codes", "len", "offset"]),
    ("xpcall", &[]),
];

/// Where the prelude's `bracket` is kept.
const BRACKET: &str = "moondock.bracket";

/// A Lua function `(self, body, options)` that calls `body` with what `open(self, body, options,
/// attempt)` gives, and then `close(token, ok, error)`, which says whether to do it all once more. It
/// gives and raises what `body` does. All of it happens in the caller's coroutine, so that `body` may
/// wait, and errors stay the values that they are.
///
/// # Errors
/// Only when the VM has no memory for it.
pub fn bracket(lua: &Lua, open: Function, close: Function) -> mlua::Result<Function> {
    lua.named_registry_value::<Function>(BRACKET)?.call((open, close))
}

/// A function that is made when a userdata's type is made known to a VM, so that scripts find it
/// without a call into the host.
pub struct Made(pub fn(&Lua) -> mlua::Result<Function>);

impl IntoLua for Made {
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        (self.0)(lua).map(Value::Function)
    }
}

/// A function of the host's own in Lua: what `source` returns when it is called with `parts`. It has no
/// line numbers, so that errors do not claim to be from there.
///
/// # Errors
/// Only when the VM has no memory for it.
pub fn host_function(
    lua: &Lua,
    source: &str,
    parts: impl mlua::IntoLuaMulti,
) -> mlua::Result<Function> {
    let compiler = Compiler::new().set_debug_level(0);
    lua.load(source).set_compiler(compiler).set_name("=@host/ctx").call(parts)
}

/// Makes a fresh VM safe for other people's code and returns the function that imports a module by
/// its key. `log` receives what scripts `print`.
///
/// # Errors
/// Only when the VM has no memory for it.
pub fn install(lua: &Lua, modules: Arc<Modules>, log: Function) -> mlua::Result<Function> {
    let globals = lua.globals();
    let (resolve, load) = require::functions(lua, modules)?;
    let host = lua.create_table()?;
    host.set("resolve", resolve)?;
    host.set("load", load)?;
    host.set("onStack", lua.create_function(require::on_stack)?)?;
    host.set("print", log)?;
    host.set("pending", Lua::poll_pending())?;
    let preempted =
        lua.create_function(|_, thread: Thread| Ok(watchdog::was_preempted(&thread)))?;
    host.set("preempted", preempted)?;
    host.set("plainFind", lua.create_function(plain_find)?)?;
    host.set("plainSplit", lua.create_function(plain_split)?)?;
    host.set("isNative", lua.create_function(|_, f: Function| Ok(f.info().what == "C"))?)?;
    // Without line numbers, so that an error of a library function does not claim to be from there.
    let compiler = Compiler::new().set_debug_level(0);
    let bounds = lua.load(include_str!("bounds.luau")).set_compiler(compiler);
    bounds.set_name("=@host/bounds").call::<()>(&host)?;
    let (import, bracket): (Function, Function) =
        lua.load(include_str!("prelude.luau")).set_name("=@host/prelude").call(host)?;
    lua.set_named_registry_value(BRACKET, bracket)?;
    install_fields(lua)?;
    let seed: Function = globals.get::<Table>("math")?.get("randomseed")?;
    seed.call::<()>(uuid::Uuid::new_v4().as_fields().0)?;
    prune(&globals)?;
    lua.sandbox(true)?;
    // The sandbox puts a writable table before the read-only one; `_G` must mean the same.
    let globals = lua.globals();
    globals.raw_set("_G", &globals)?;
    if let Some(metatable) = globals.metatable() {
        // With another metatable the modules that run later would have no globals at all.
        metatable.set_readonly(false);
        metatable.raw_set("__metatable", false)?;
        metatable.set_readonly(true);
    }
    Ok(import)
}

fn prune(globals: &Table) -> mlua::Result<()> {
    for name in names(globals)? {
        let Some((_, members)) = GLOBALS.iter().find(|(known, _)| *known == name) else {
            globals.raw_set(name, Value::Nil)?;
            continue;
        };
        if members.is_empty() {
            continue;
        }
        let library: Table = globals.raw_get(name)?;
        for member in names(&library)? {
            if !members.contains(&member.as_str()) {
                library.raw_set(member, Value::Nil)?;
            }
        }
    }
    Ok(())
}

fn names(table: &Table) -> mlua::Result<Vec<String>> {
    table.pairs::<String, Value>().map(|pair| pair.map(|(name, _)| name)).collect()
}

/// `string.find` for plain text in linear time. Positions are in bytes, from 1.
fn plain_find(
    _: &Lua,
    (text, pattern, init): (mlua::LuaString, mlua::LuaString, i64),
) -> mlua::Result<(Option<usize>, Option<usize>)> {
    let text = text.as_bytes();
    let pattern = pattern.as_bytes();
    let start = match init {
        0 => 0,
        init if init > 0 => usize::try_from(init - 1).unwrap_or(usize::MAX),
        init => {
            text.len().saturating_sub(usize::try_from(init.unsigned_abs()).unwrap_or(usize::MAX))
        }
    };
    let Some(rest) = text.get(start..) else { return Ok((None, None)) };
    Ok(match memchr::memmem::find(rest, &pattern) {
        Some(at) => (Some(start + at + 1), Some(start + at + pattern.len())),
        None => (None, None),
    })
}

/// How many parts [`plain_split`] makes at once; the watchdog does not reach it.
const PARTS: usize = 4096;

/// `string.split` in linear time, some parts at a time: appends to `parts` from the byte `from` on,
/// and gives where to go on. The separator is not empty.
fn plain_split(
    lua: &Lua,
    (parts, text, separator, from): (Table, mlua::LuaString, mlua::LuaString, usize),
) -> mlua::Result<Option<usize>> {
    let text = text.as_bytes();
    let separator = separator.as_bytes();
    let mut from = from.saturating_sub(1);
    let rest = text.get(from..).unwrap_or_default();
    let start = from;
    for at in memchr::memmem::find_iter(rest, &*separator).take(PARTS) {
        parts.raw_push(lua.create_string(&text[from..start + at])?)?;
        from = start + at + separator.len();
    }
    if memchr::memmem::find(&text[from..], &separator).is_some() {
        return Ok(Some(from + 1));
    }
    parts.raw_push(lua.create_string(&text[from..])?)?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandboxed() -> Lua {
        let lua = super::super::vm::bare().unwrap();
        let log = lua.create_function(|_, _: String| Ok(())).unwrap();
        install(&lua, Arc::default(), log).unwrap();
        lua
    }

    #[test]
    fn the_reachable_globals_are_exactly_the_listed_ones() {
        let lua = sandboxed();
        let globals: Table = lua.globals().metatable().unwrap().raw_get("__index").unwrap();
        let found: String = lua
            .load(
                r"
                local lines = {}
                for name, value in ... do
                    local members = {}
                    if type(value) == 'table' and name ~= '_G' then
                        for member in value do table.insert(members, member) end
                        table.sort(members)
                    end
                    table.insert(lines, name .. '=' .. table.concat(members, ','))
                end
                table.sort(lines)
                return table.concat(lines, '\n')",
            )
            .call(globals)
            .unwrap();
        let mut expected: Vec<String> =
            GLOBALS.iter().map(|(name, members)| format!("{name}={}", members.join(","))).collect();
        expected.sort();
        assert_eq!(found, expected.join("\n"));
    }

    #[test]
    fn escapes_are_closed() {
        let lua = sandboxed();
        for source in [
            "string.x = 1",
            "getmetatable('').__index = 1",
            "getmetatable('').__index.upper = nil",
            "setfenv(0, {})",
            "getfenv(0)",
            "loadstring('return 1')()",
            "load('return 1')()",
            "newproxy(true)",
            "collectgarbage('count')",
            "debug.info(1, 'f')",
            "io.open('/etc/passwd')",
            "os.execute('true')",
            "os.getenv('HOME')",
            "rawset(string, 'x', 1)",
            "getmetatable(_G).__index = {}",
            "setmetatable(_G, {})",
            "table.clear(string)",
            "require('./x')",
            "require('/etc/passwd')",
            "require('socket')",
        ] {
            assert!(lua.load(source).exec().is_err(), "{source} works");
        }
    }

    #[test]
    fn long_searches_give_what_short_ones_give() {
        let lua = sandboxed();
        let same: bool = lua
            .load(
                r"
                local big = string.rep('a', 2000000) .. 'needle' .. string.rep('b', 10)
                local i, j = string.find(big, 'needle', 1, true)
                local k, l = string.find(big, 'needle')
                local m = string.find(big, 'needle', -16)
                local n = string.find(big, string.rep('a', 3) .. 'x', 5, true)
                local parts = string.split(string.rep('ab,', 400000), ',')
                return i == 2000001 and j == 2000006 and k == i and l == j and m == i and n == nil
                    and #parts == 400001 and parts[1] == 'ab' and parts[400001] == ''",
            )
            .eval()
            .unwrap();
        assert!(same);
    }

    #[test]
    fn large_tables_give_what_small_ones_give() {
        let lua = sandboxed();
        lua.load(
            r"
            local t = {}
            for i = 1, 250000 do t[i] = 250001 - i end
            table.sort(t)
            for i = 1, 250000 do assert(t[i] == i) end
            assert(#table.concat(t, ',') == 1638894, #table.concat(t, ','))
            assert(string.sub(table.concat(t, ',', 3), 1, 6) == '3,4,5,')
            table.move(t, 1, 200000, 2)
            assert(t[1] == 1 and t[2] == 1 and t[200001] == 200000 and t[200002] == 200002)
            table.move(t, 2, 200001, 1)
            assert(t[1] == 1 and t[200000] == 200000)",
        )
        .exec()
        .unwrap();
    }
}
