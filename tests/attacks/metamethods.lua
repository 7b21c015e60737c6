--- __index loop
return setmetatable({}, { __index = function() while true do end end }).x
--- __index chain
local t = {}
for i = 1, 1e6 do t = setmetatable({}, { __index = t }) end
while true do pcall(function() return t.x end) end
--- __newindex loop
setmetatable({}, { __newindex = function() while true do end end }).x = 1
--- __index that catches
local t = setmetatable({}, { __index = function() while true do pcall(function() while true do end end) end end })
return t.x
--- __add loop
return setmetatable({}, { __add = function() while true do end end }) + 1
--- __eq loop
local m = { __eq = function() while true do end end }
return setmetatable({}, m) == setmetatable({}, m)
--- __lt loop
local m = { __lt = function() while true do end end }
return setmetatable({}, m) < setmetatable({}, m)
--- __le loop
local m = { __le = function() while true do end end }
return setmetatable({}, m) <= setmetatable({}, m)
--- __concat loop
return setmetatable({}, { __concat = function() while true do end end }) .. "x"
--- __tostring loop
return tostring(setmetatable({}, { __tostring = function() while true do end end }))
--- __call loop
return setmetatable({}, { __call = function() while true do end end })()
--- __len loop
return #setmetatable({}, { __len = function() while true do end end })
--- __unm loop
return -setmetatable({}, { __unm = function() while true do end end })
--- __iter loop
for _ in setmetatable({}, { __iter = function() while true do end end }) do end
--- iterator without end
for _ in function() return 1 end do end
--- iterator that loops
for _ in function() while true do end end do end
--- error object whose __tostring loops
error(setmetatable({}, { __tostring = function() while true do end end }))
--- error objects whose __tostring loops, caught
while true do
	local ok, e = pcall(error, setmetatable({}, { __tostring = function() while true do end end }))
	pcall(tostring, e)
end
--- returned table whose metamethods loop (any)
local loop = function() while true do end end
return setmetatable({ 1 }, { __index = loop, __iter = loop, __len = loop, __tostring = loop, __pairs = loop })
--- logged table whose metamethods loop (any)
local loop = function() while true do end end
ctx.logger:debug("x", setmetatable({ 1 }, { __index = loop, __iter = loop, __len = loop }))
--- host function given a value whose __tostring loops (any)
ctx:emit(ctx.plugin.id .. ":x", setmetatable({}, { __tostring = function() while true do end end }))
--- sort with a comparator that loops
table.sort({ 3, 2, 1 }, function() while true do end end)
--- gsub callback that loops
return (string.gsub("x", "x", function() while true do end end))
--- foreach callback that loops
table.foreach({ 1 }, function() while true do end end)
--- gsub table whose __index loops
return (string.gsub("x", "x", setmetatable({}, { __index = function() while true do end end })))
