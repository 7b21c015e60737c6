local words = require("./words")

local M = {}

-- The texts of a post.
local TEXTS = { "title", "body" }

function M.register(builder)
	builder:enumType("WordAction", {
		values = {
			{ name = "MASK", description = "Stars take the word's place." },
			{ name = "REFUSE", description = "The post is not published." },
		},
	})
	builder:objectFromTable("FilteredWord", "words", { description = "A word that posts should not have." })
	builder:queryField("words", {
		type = "[FilteredWord!]!",
		auth = "administrator",
		description = "All words, in their order.",
		resolve = function(_, _, ctx)
			return ctx.db:from("words"):orderBy("word"):all()
		end,
	})
	builder:mutationField("set", {
		type = "FilteredWord!",
		auth = "administrator",
		description = "Adds a word, or changes what happens to it.",
		args = {
			word = { type = "String!", minLength = 1, maxLength = 100 },
			action = { type = "WordAction!", default = "MASK" },
		},
		resolve = function(_, args, ctx)
			local word = words.normalized(args.word)
			if not word then
				ctx:invalid({ { path = { "word" }, message = "It must be one word" } })
			end
			return ctx.db:upsert("words", { word = word, action = args.action }, { "word" })
		end,
	})
	builder:mutationField("remove", {
		type = "Boolean!",
		auth = "administrator",
		description = "Removes a word; false if it was not there.",
		args = { word = "String!" },
		resolve = function(_, args, ctx)
			return ctx.db:delete("words", { word = words.normalized(args.word) or "" }) == 1
		end,
	})
end

function M.filter(post, ctx)
	local list = {}
	for _, entry in ctx.db:from("words"):all() do
		list[entry.word] = entry
	end
	for _, field in TEXTS do
		if type(post[field]) == "string" then
			post[field] = words.replace(post[field], list, function(found, entry)
				if entry.action == "REFUSE" then
					ctx:fail("forbidden_words", `Posts must not have the word "{found}"`, {
						field = field,
						word = found,
					})
				end
				return words.masked(found)
			end)
		end
	end
	return post
end

return M
