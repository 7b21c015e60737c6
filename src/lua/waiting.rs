//! Where a script may wait for the host.

use mlua::Lua;

/// An error unless the running code can be suspended. Without this check a call would work when its
/// answer happens to be there at once, and fail in production.
///
/// # Errors
/// Inside a metamethod, a sort comparator, a `gsub` callback and the like, which Luau cannot suspend.
pub fn check_can_wait(lua: &Lua, what: &str) -> mlua::Result<()> {
    // SAFETY: during a callback this is the coroutine that runs, and the function only reads it.
    if unsafe { mlua::ffi::lua_isyieldable(lua.state()) } != 0 {
        return Ok(());
    }
    Err(mlua::Error::runtime(format!(
        "{what} waits for the host, which is not possible in a metamethod, a sort comparator, a \
         string.gsub callback or an xpcall handler; call it before and keep the result"
    )))
}
