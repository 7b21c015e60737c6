local M = {}

local MAX_LENGTH = 100000

-- The container may be about to be started again.
local function ask(ctx, args)
	local url = ctx.services.summarizer.url
	local ok, response = pcall(function()
		return url and ctx.http:post(url .. "/cgi-bin/summarize", {
			query = { sentences = args.sentences },
			headers = { ["content-type"] = "text/plain; charset=utf-8" },
			body = args.text,
		})
	end)
	if ok and response then
		return response
	end
	if url then
		ctx.logger:warn("the service does not answer", { reason = tostring(response) })
	end
	ctx:fail("summarizer_unavailable", "The summarizer is not running; try again in a moment")
end

function M.register(builder)
	builder:objectType("Summary", {
		description = "What a text comes down to.",
		fields = {
			text = { type = "String!", description = "The sentences together." },
			sentences = { type = "[String!]!", description = "As they are in the text, in its order." },
		},
	})

	builder:queryField("summarize", {
		type = "Summary!",
		description = "The sentences of a text that say the most.",
		args = {
			text = { type = "String!", minLength = 1, maxLength = MAX_LENGTH },
			sentences = { type = "Int!", default = 3, min = 1, max = 50, description = "How many." },
		},
		resolve = function(_, args, ctx)
			local response = ask(ctx, args)
			if response.status ~= 200 then
				error("the service answers " .. response.status .. ": " .. response.body)
			end
			local sentences = {}
			for line in string.gmatch(response.body, "[^\n]+") do
				table.insert(sentences, line)
			end
			return { text = table.concat(sentences, " "), sentences = sentences }
		end,
	})
end

return M
