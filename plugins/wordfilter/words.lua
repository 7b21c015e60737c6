-- Finding words in a text. A word is a run of letters, digits and underscores, and of any characters beyond
-- ASCII; case is ignored for the letters A to Z. Words of the list are compared whole and as they are, so
-- nothing in them is a pattern.
local words = {}

local WORD = "[%w_\128-\255]+"

-- Calls `replace` for every word of a text that is in `list`, with the entry of the list, and puts what it
-- gives in the word's place.
function words.replace(text, list, replace)
	return (string.gsub(text, WORD, function(found)
		local entry = list[string.lower(found)]
		return entry and replace(found, entry)
	end))
end

-- As many stars as the word has characters.
function words.masked(found)
	return string.rep("*", utf8.len(found) or #found)
end

-- The form in which a word is in the list, or nil if it is not one word.
function words.normalized(text)
	local trimmed = string.match(text, "^%s*(.-)%s*$")
	if string.match(trimmed, `^{WORD}$`) then
		return string.lower(trimmed)
	end
	return nil
end

return words
