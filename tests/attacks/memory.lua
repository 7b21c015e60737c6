--- doubling text
local s = "x"
while true do s = s .. s end
--- doubling text, caught
while true do pcall(function() local s = "x" while true do s = s .. s end end) end
--- table bomb
local t = {}
while true do t[#t + 1] = {} end
--- table bomb, caught
while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end
--- nested table bomb
local t = {}
while true do t = { t } end
--- closure bomb
local t = {}
while true do t[#t + 1] = function() return t end end
--- coroutine bomb
local t = {}
while true do t[#t + 1] = coroutine.create(function() coroutine.yield() end) end
--- suspended coroutine bomb
local t = {}
while true do
	local step = coroutine.wrap(function() local x = table.create(1000, 1) coroutine.yield() return x end)
	step()
	t[#t + 1] = step
end
--- buffer bomb
local t = {}
while true do t[#t + 1] = buffer.create(1e6) end
--- buffers beyond the memory
while true do pcall(buffer.create, 1e9) end
--- long texts kept
local t = {}
while true do t[#t + 1] = ("x"):rep(1e6) .. #t end
--- many short texts
local t = {}
while true do t[#t + 1] = tostring(#t) end
--- numbers in a table
local t, n = {}, 0
while true do n += 1 t[n] = n end
--- userdata bomb
local t = {}
while true do t[#t + 1] = ctx.logger end
--- host error bomb
local t = {}
while true do local _, e = pcall(function() ctx:fail("x") end) t[#t + 1] = e end
--- five million values returned
return table.create(5e6, 1)
--- three million values returned
local t = table.create(3e6, 1)
-- call
return t
--- a text of 30 MB returned
return long("x", 30e6)
--- one long text returned many times
return table.create(1e5, ("x"):rep(10e6))
--- shared tables returned
local t = { 1 }
for i = 1, 60 do t = { t, t } end
return t
--- deeply nested value returned
local t = {}
for i = 1, 1e5 do t = { t } end
return t
--- cyclic value returned
local t = {}
t.x = { t }
return t
--- many small objects returned
local t = {}
for i = 1, 2e5 do t[i] = { a = i } end
return t
--- shared tables logged (any)
local t = { 1 }
for i = 1, 60 do t = { t, t } end
ctx.logger:debug("x", t)
--- shared tables raised (any)
local t = { 1 }
for i = 1, 60 do t = { t, t } end
ctx:fail("x", "y", t)
--- shared tables emitted (any)
local t = { 1 }
for i = 1, 60 do t = { t, t } end
ctx:emit(ctx.plugin.id .. ":x", t)
--- millions of values logged (any)
local t = table.create(3e6, 1)
-- call
ctx.logger:debug("x", t)
