--- sort of millions of equal keys (any)
local t = table.create(3e6, 1)
-- call
table.sort(t)
--- sort of millions of equal keys behind a false length (any)
local t = setmetatable(table.create(3e6, 1), { __len = function() return 0 end })
-- call
table.sort(t)
--- sort with a native comparator (any)
local t = table.create(2e6, 0)
-- call
table.sort(t, bit32.btest)
--- sort with a bad comparator
local t = table.create(1e5, 1)
-- call
while true do pcall(table.sort, t, function() return true end) end
--- sort with a random comparator
local t = table.create(1e5, 1)
-- call
while true do pcall(table.sort, t, function() return math.random() < 0.5 end) end
--- sort of long texts
local a, b = ("x"):rep(10e6) .. "a", ("x"):rep(10e6) .. "b"
local t = {}
for i = 1, 5000 do t[i] = if i % 2 == 0 then a else b end
-- call
table.sort(t)
--- foreach with a native function (any)
local t = table.create(3e6, 1)
-- call
table.foreach(t, math.randomseed)
--- foreachi with a native function (any)
local t = table.create(3e6, 1)
-- call
table.foreachi(t, math.randomseed)
--- move of a huge range of nothing
table.move({}, 1, 2147483646, 1)
--- move of a huge range to another table
table.move({}, 1, 1e9, 1, {})
--- move of a huge range given as text
table.move({}, "1", "2000000000", "1", {})
--- move of a huge negative range
table.move({}, -2147483648, -2, 1, {})
--- move without an end
table.move({}, 1, math.huge, 1)
--- move with metamethods on the source
table.move(setmetatable({}, { __index = function() while true do end end }), 1, 2e9, 1, {})
--- move with metamethods on the target
table.move({}, 1, 2e9, 1, setmetatable({}, { __newindex = function() while true do end end }))
--- move of millions
local t = table.create(3e6, 1)
-- call
while true do table.move(t, 1, 3e6, 2) end
--- concat of millions (any)
local t = table.create(2e6, 1)
-- call
return #table.concat(t, ",")
--- concat of millions given as text (any)
local t = table.create(2e6, 1)
-- call
return #table.concat(t, ",", "1", "2000000")
--- concat behind a false length
local t = setmetatable(table.create(2e6, 1), { __len = function() return 0 end })
-- call
while true do pcall(table.concat, t, ",") end
--- concat in a loop
local t = table.create(1e5, 1)
-- call
while true do table.concat(t, ",") end
--- concat of long texts
local t = table.create(90000, ("x"):rep(1e6))
-- call
while true do pcall(table.concat, t) end
--- insert at the front
local t = {}
while true do table.insert(t, 1, 0) end
--- insert at the front of millions
local t = table.create(1.9e6, 1)
-- call
while true do table.insert(t, 1, 0) end
--- insert at the front of a scattered table
local t = {}
for i = 4e5, 1, -1 do t[i] = i end
-- call
while true do table.insert(t, 1, 0) table.remove(t, 1) end
--- remove from the front
local t = table.create(3e6, 1)
-- call
while true do table.remove(t, 1) end
--- unpack of a huge range
return table.unpack({}, 1, 1e9)
--- unpack of a huge range in a loop
while true do pcall(table.unpack, {}, 1, 1e8) end
--- unpack of as much as goes
local t = table.create(7900, 1)
-- call
while true do select("#", table.unpack(t)) end
--- clone in a loop
local t = table.create(1e6, 1)
-- call
while true do table.clone(t) end
--- find in millions
local t = table.create(3e6, 1)
-- call
while true do table.find(t, 2) end
--- create in a loop
while true do table.create(1e6, 0) end
--- create beyond the memory
while true do pcall(table.create, 1e8, 1) end
--- clear, maxn and freeze
local t = table.create(3e6, 1)
-- call
while true do table.maxn(t) table.clear(t) t[1] = 1 end
--- pack and select
local t = table.create(7900, 1)
-- call
while true do for i = 1, 7900 do local _ = select(i, table.unpack(t)) end end
--- buffer fill
local b = buffer.create(30e6)
-- call
while true do buffer.fill(b, 0, 1) end
--- buffer copy
local b = buffer.create(20e6)
-- call
while true do buffer.copy(b, 0, b) end
--- buffer to text and back
local b = buffer.create(10e6)
-- call
while true do buffer.fromstring(buffer.tostring(b)) end
--- buffer reads and writes
local b = buffer.create(8)
-- call
while true do buffer.writef64(b, 0, buffer.readf64(b, 0) + 1) end
--- bit32
local n = 1
while true do n = bit32.lrotate(bit32.bxor(n, 12345), 3) end
--- growing hash part
while true do
	local t = {}
	pcall(function() for i = 1, 1e9 do t[i + 0.5] = i end end)
end
--- weak tables
local t = setmetatable({}, { __mode = "kv" })
while true do t[{}] = {} end
