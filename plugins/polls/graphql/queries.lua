local polls = require("../polls")

local M = {}

function M.registerQueries(builder)
	builder:inputType("PollFilter", {
		description = "Which polls to list. What is left out does not matter.",
		fields = {
			state = "PollState",
			mine = { type = "Boolean!", default = false, description = "Only the caller's own." },
		},
	})

	builder:queryField("list", {
		type = "[Poll!]!",
		description = "Polls, the newest first.",
		args = {
			filter = { type = "PollFilter!", default = {} },
			limit = { type = "Int!", default = 20, description = "At most 100." },
			offset = { type = "Int!", default = 0 },
		},
		resolve = function(_, args, ctx)
			local issues = {}
			if args.limit < 1 or args.limit > 100 then
				table.insert(issues, { path = { "limit" }, message = "It must be from 1 to 100" })
			end
			if args.offset < 0 then
				table.insert(issues, { path = { "offset" }, message = "It must not be negative" })
			end
			if #issues > 0 then
				ctx:invalid(issues)
			end
			local query = ctx.db:from("polls")
			local filter = args.filter
			if filter.state and filter.state ~= ctx.null then
				query = query:where({ state = filter.state })
			end
			if filter.mine then
				query = query:where({ authorId = ctx.user.id })
			end
			query = query:orderBy("createdAt", "desc"):limit(args.limit):offset(args.offset)
			return query:with("pollOptions"):all()
		end,
	})

	builder:queryField("page", {
		type = "PollConnection!",
		description = "Polls, the newest first, going on after a cursor.",
		args = {
			first = { type = "Int!", default = 20, min = 1, max = 100 },
			after = "String",
		},
		resolve = function(_, args, ctx)
			local query = ctx.db:from("polls"):orderBy("createdAt", "desc"):with("pollOptions")
			return query:page({ first = args.first, after = args.after })
		end,
	})

	builder:queryField("get", {
		type = "Poll",
		description = "One poll, or null if there is none with this id.",
		args = { id = "UUID!" },
		resolve = function(_, args, ctx)
			return polls.find(ctx, args.id)
		end,
	})
end

return M
