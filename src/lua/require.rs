//! `require` over the plugin's snapshot in memory. It never touches a disk.

use std::sync::Arc;

use mlua::{Function, Lua};

use super::error::ScriptError;
use super::modules::Modules;
use super::natives;

/// Turns what a script wrote into the key of a module.
///
/// `./` and `../` are relative to the requiring module and stay inside the plugin's folder; the
/// ending may be left out.
fn resolve(modules: &Modules, from: &str, name: &str) -> Result<String, String> {
    let path = if name.starts_with("@std/") {
        name.to_owned()
    } else if name.starts_with("./") || name.starts_with("../") {
        if from.starts_with('@') {
            return Err(format!("cannot require \"{name}\" from {from}"));
        }
        relative(from, name)
            .ok_or_else(|| format!("\"{name}\" in {from} leads out of the plugin's folder"))?
    } else if let Some(path) = name.strip_prefix('@') {
        let own = path.split('/').next().unwrap_or_default();
        return Err(format!(
            "cannot require \"{name}\": \"{own}\" is not a declared dependency that exports it"
        ));
    } else {
        return Err(format!(
            "cannot require \"{name}\": write \"./{name}\" for a module of this plugin, or \
             \"@std/{name}\" for one of the standard library"
        ));
    };
    let candidates =
        [path.clone(), format!("{path}.lua"), format!("{path}.luau"), format!("{path}/init.lua")];
    if let Some(key) = candidates.into_iter().find(|key| modules.get(key).is_some()) {
        return Ok(key);
    }
    let nearest = modules
        .keys()
        .map(|key| (strsim::jaro_winkler(key.trim_end_matches(".lua"), &path), key))
        .filter(|(similarity, _)| *similarity > 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    Err(match nearest {
        Some((_, key)) => format!("there is no module \"{name}\"; did you mean \"{key}\"?"),
        None => format!("there is no module \"{name}\" (looked for {path}.lua)"),
    })
}

fn relative(from: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The module that called the function which called us.
fn caller(lua: &Lua) -> Option<String> {
    for level in 1..32 {
        let source = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            (source.what != "C")
                .then(|| source.source.map(|s| s.trim_start_matches('=').to_owned()))
        })?;
        if let Some(Some(source)) = source
            && !source.starts_with("__mlua")
            && !source.starts_with("@host/")
        {
            return Some(source);
        }
    }
    None
}

/// The two host functions that the prelude builds `require` from: `resolve(name) -> key` and
/// `load(key) -> function`.
pub fn functions(lua: &Lua, modules: Arc<Modules>) -> mlua::Result<(Function, Function)> {
    let known = Arc::clone(&modules);
    let resolve = lua.create_function(move |lua, name: String| {
        let from = caller(lua).unwrap_or_default();
        resolve(&known, &from, &name).map_err(mlua::Error::runtime)
    })?;
    let load = lua.create_function(move |lua, key: String| load(lua, &modules, &key))?;
    Ok((resolve, load))
}

/// Whether a function is running in the current coroutine.
pub fn on_stack(lua: &Lua, function: Function) -> mlua::Result<bool> {
    for level in 1.. {
        match lua.inspect_stack(level, |debug| debug.function() == function) {
            Some(false) => {}
            found => return Ok(found.is_some()),
        }
    }
    Ok(false)
}

/// The main function of the module under `key`.
pub fn load(lua: &Lua, modules: &Modules, key: &str) -> mlua::Result<Function> {
    match modules.get(key) {
        Some(Ok(bytecode)) => {
            let function = lua
                .load(&**bytecode)
                .set_name(format!("={key}"))
                .set_mode(mlua::chunk::ChunkMode::Binary)
                .into_function()?;
            match natives::of(lua, key)? {
                Some(native) => function.bind(native),
                None => Ok(function),
            }
        }
        Some(Err(error)) => Err(mlua::Error::external(SyntaxFailure(error.clone()))),
        None => Err(mlua::Error::runtime(format!("there is no file {key}"))),
    }
}

/// A module that does not compile, on its way through Lua to whoever asked for it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxFailure(pub ScriptError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_folder() {
        let modules = Modules::compile([
            ("init.lua", ""),
            ("a/b.lua", ""),
            ("a/init.lua", ""),
            ("c.luau", ""),
        ]);
        let find = |from, name| resolve(&modules, from, name);
        assert_eq!(find("init.lua", "./a/b").as_deref(), Ok("a/b.lua"));
        assert_eq!(find("a/b.lua", "../c").as_deref(), Ok("c.luau"));
        assert_eq!(find("init.lua", "./a").as_deref(), Ok("a/init.lua"));
        assert!(find("a/b.lua", "../../etc/passwd").unwrap_err().contains("leads out"));
        assert!(find("init.lua", "a/b").unwrap_err().contains("\"./a/b\""));
        assert!(find("init.lua", "@other/x").unwrap_err().contains("not a declared dependency"));
        assert!(find("init.lua", "./a/bb").unwrap_err().contains("did you mean \"a/b.lua\""));
    }
}
