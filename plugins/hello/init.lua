local M = {}

function M.registerGreeting(builder)
	builder:queryField("greet", {
		type = "String!",
		description = "A greeting.",
		auth = "public",
		args = { name = { type = "String!", default = "world", description = "Who is greeted." } },
		resolve = function(_, args, ctx)
			return "Hello, " .. args.name .. "!"
		end,
	})
end

return M
