--- tight loop
while true do end
--- repeat loop
repeat until false
--- for loop
for i = 1, math.huge do end
--- pcall loop
while true do pcall(function() while true do end end) end
--- pcall nested
local function deep(n) if n == 0 then while true do end end while true do pcall(deep, n - 1) end end
deep(20)
--- pcall tree
local function tree() pcall(tree) pcall(tree) end
tree()
--- xpcall whose handler loops
while true do xpcall(error, function() while true do end end) end
--- the deadline error caught
local ok, e = pcall(function() while true do end end)
return { ok = ok, caught = tostring(e) }
--- the deadline error caught and raised again
local ok, e = pcall(function() while true do end end)
error(e)
--- coroutine.wrap loop
coroutine.wrap(function() while true do end end)()
--- coroutine.wrap yield loop
local step = coroutine.wrap(function() while true do coroutine.yield() end end)
while true do step() end
--- coroutine.resume loop
while true do coroutine.resume(coroutine.create(function() while true do end end)) end
--- pcall around coroutines
while true do pcall(coroutine.wrap(function() while true do end end)) end
--- coroutines in coroutines
local function nest(n)
	return coroutine.wrap(function()
		if n == 0 then while true do coroutine.yield(1) end end
		for v in nest(n - 1) do coroutine.yield(v) end
	end)
end
for v in nest(30) do end
--- coroutines deeper than the C stack
local function nest() return coroutine.resume(coroutine.create(nest)) end
while true do nest() end
--- yield loop of the handler itself
while true do coroutine.yield() end
--- yield loop of the handler itself with values
while true do coroutine.yield(1, 2, 3) end
--- tail recursion
local function f() return f() end
return f()
--- deep recursion
local function f(n) return 1 + f(n + 1) end
while true do pcall(f, 1) end
--- deep recursion without pcall (any)
local function f(n) return 1 + f(n + 1) end
return f(1)
--- recursion with wide frames
local function f(...) return 1, f(1, 2, 3, 4, 5, 6, 7, 8, ...) end
while true do pcall(f) end
--- error loop
while true do pcall(error, {}) end
--- print flood
while true do print("flood") end
--- print of many values
while true do print(table.unpack(table.create(7000, "x"))) end
--- logger flood
while true do ctx.logger:debug("flood", { n = 1 }) end
--- emit flood
while true do ctx:emit(ctx.plugin.id .. ":x", { 1, 2, 3 }) end
--- caught failures
while true do pcall(function() ctx:fail("x", "y", { z = 1 }) end) end
--- host errors looked at
local _, e = pcall(function() ctx:fail("x", "y", { z = 1 }) end)
while true do local _ = e.extensions, e.code, e.message, tostring(e) end
--- os.clock and os.date
while true do os.date("%c", os.time()) os.clock() end
--- require of what is not there
while true do pcall(require, "./nowhere") end
