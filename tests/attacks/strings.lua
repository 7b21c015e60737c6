--- pattern a?^n a^n
local n = 40
return string.find(("a"):rep(n), ("a?"):rep(n) .. ("a"):rep(n) .. "b")
--- pattern of captures (.-)^n
return string.find(("a"):rep(3000), ("(.-)"):rep(10) .. "b")
--- pattern a-^n
return string.find(("a"):rep(200), ("a-"):rep(20) .. "b")
--- pattern a*^n in a pcall loop
while true do pcall(string.find, ("a"):rep(20000), ("a*"):rep(5) .. "b") end
--- balanced pattern
return string.find(("("):rep(1e6), "%b()")
--- balanced pattern over a long text (any)
local s = long("(", 36e6)
-- call
return string.find(s, "%b()")
--- set pattern
return string.find(("a"):rep(1e6), "[abc]*d")
--- set with many members
local s, set = ("b"):rep(1e5), "[" .. ("a"):rep(1e5) .. "b]*"
-- call
while true do pcall(string.find, s, set) end
--- set with many members in gsub
local s, set = ("b"):rep(1e5), "[" .. ("a"):rep(1e5) .. "b]*"
-- call
while true do pcall(string.gsub, s, set, "") end
--- set with many members in gmatch
local s, set = ("b"):rep(1e5), "[" .. ("a"):rep(1e5) .. "b]*"
-- call
while true do pcall(function() for _ in string.gmatch(s, set) do end end) end
--- set over a long text
local s = long("b", 36e6)
-- call
while true do pcall(string.match, s, "[%a%d%s%p]*$") end
--- frontier pattern
return string.find(("a"):rep(1e6), ("%f[%w]%w*"):rep(8) .. "b")
--- back reference
return string.find(("a"):rep(1e5), "(a*)%1b")
--- gsub quadratic
return (string.gsub(("a"):rep(1e6), ".-b", ""))
--- gsub of every character
while true do string.gsub(("x"):rep(5e6), "x", "yy") end
--- gsub that grows
local s = "x"
while true do s = string.gsub(s, "x", "xx") end
--- gmatch quadratic
for _ in string.gmatch(("a"):rep(1e6), ".-b") do end
--- gmatch of empty matches
while true do for _ in string.gmatch(("a"):rep(1e6), "") do end end
--- match of a literal
local a, b = ("a"):rep(1e6), ("a"):rep(5e5) .. "b"
-- call
return string.match(a, b)
--- plain find 2 MB in 1 MB (any)
local a, b = ("a"):rep(2e6), ("a"):rep(1e6) .. "b"
-- call
return string.find(a, b, 1, true)
--- plain find without the flag (any)
local a, b = ("a"):rep(2e6), ("a"):rep(1e6) .. "b"
-- call
return (a:find(b))
--- plain find in a loop
local a, b = ("a"):rep(2e6), ("a"):rep(1e6) .. "b"
-- call
while true do string.find(a, b, 1, true) end
--- plain find of a coerced number
local a = ("1"):rep(2e6)
-- call
while true do string.find(a, 111111112, "1", true) end
--- split quadratic (any)
local a, b = ("a"):rep(2e6), ("a"):rep(1e6) .. "b"
-- call
return #string.split(a, b)
--- split into many (any)
local s = (","):rep(3e6)
-- call
return #string.split(s, ",")
--- split into many by two bytes (any)
local s = (", "):rep(1.5e6)
-- call
return #string.split(s, ", ")
--- split into characters (any)
local s = ("ab"):rep(1e6)
-- call
return #string.split(s, "")
--- split in a loop
local s = (","):rep(1e6)
-- call
while true do string.split(s) end
--- split with a numeric separator
local s = ("1"):rep(3e6)
-- call
while true do string.split(s, 1) end
--- rep beyond the memory
return #("x"):rep(1e9)
--- rep beyond the memory in a pcall loop
while true do pcall(string.rep, "x", 1e9) end
--- rep in a loop
while true do local _ = long("x", 30e6) end
--- rep of nothing (any)
return #string.rep("", 1e15)
--- upper, lower and reverse of a long text
local s = long("x", 15e6)
-- call
while true do local _ = #s:upper(), #s:lower(), #s:reverse() end
--- format %q of a long text
local s = ("\0"):rep(5e6)
-- call
while true do pcall(string.format, "%q", s) end
--- format with a long format
local f = long("%%", 10e6)
-- call
while true do pcall(string.format, f) end
--- format with many long values
local s = ("x"):rep(1e6)
-- call
while true do pcall(string.format, ("%s"):rep(1000), table.unpack(table.create(1000, s))) end
--- format of wide floats
while true do string.format(("%99.99f"):rep(100), table.unpack(table.create(100, 1e308))) end
--- pack of a long text
local s = ("x"):rep(10e6)
-- call
while true do pcall(string.pack, "z", s) end
--- pack with a long format
local f = long(" ", 36e6)
-- call
while true do pcall(string.pack, f) pcall(string.packsize, f) pcall(string.unpack, f, "") end
--- os.date with a long format
local f = ("%c"):rep(2e6)
-- call
while true do pcall(os.date, f) end
--- byte, char and unpack of as much as goes
local s = ("x"):rep(7000)
-- call
while true do string.char(string.byte(s, 1, -1)) end
--- byte of a long text
local s = long("x", 30e6)
-- call
while true do pcall(string.byte, s, 1, -1) end
--- utf8.len of a long text
local s = long("x", 36e6)
-- call
while true do pcall(utf8.len, s) end
--- utf8.offset in a long text
local s = long("x", 36e6)
-- call
while true do pcall(utf8.offset, s, 36e6) end
--- utf8.codes over continuation bytes
local s = long("\x80", 36e6)
-- call
while true do pcall(function() for _ in utf8.codes(s) do end end) end
--- utf8.codepoint of a long text
local s = long("x", 36e6)
-- call
while true do pcall(utf8.codepoint, s, 1, -1) end
--- utf8.char
while true do utf8.char(table.unpack(table.create(7000, 0x20AC))) end
--- tonumber of a long text
local s = long("1", 30e6)
-- call
while true do local _ = tonumber(s), tonumber(s, 16) end
--- arithmetic on a long text
local s = long("1", 30e6)
-- call
while true do local _ = s + 1 end
--- comparison of long texts
local a, b = long("x", 8e6) .. "a", long("x", 8e6) .. "b"
-- call
while true do local _ = a < b end
--- tostring of numbers
local s = 0
while true do s = #(s .. "") end
--- error with a long message
local s = long("x", 20e6)
-- call
error(s)
--- error with a message of colons
local s = (":"):rep(2e6)
-- call
error(s)
--- error with a message of lines
local s = (":\n"):rep(2e6)
-- call
error(s)
--- failure with a long message
ctx:fail("long", ("x"):rep(5e6))
--- print of a long text (any)
print(long("x", 20e6))
--- log of a long text
local s = long("\xff", 15e6)
-- call
while true do ctx.logger:debug(s, { s }) end
