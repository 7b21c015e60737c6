local polls = require("../polls")

local M = {}

function M.registerTypes(builder)
	builder:enumType("PollState", {
		description = "Whether a poll takes votes.",
		values = {
			{ name = "OPEN", description = "Members can vote." },
			{ name = "CLOSED", description = "The result is final." },
		},
	})

	builder:objectFromTable("Poll", "polls", {
		description = "A question with options to vote for.",
		omit = { "authorId" },
		fields = {
			options = {
				type = "[PollOption!]!",
				description = "In the order in which the author gave them.",
				batch = function(list, _, ctx)
					return polls.options(ctx, list)
				end,
			},
			results = {
				type = "[PollResult!]!",
				description = "Every option with its votes, the most voted first.",
				batch = function(list, _, ctx)
					local counts = {}
					local votes = ctx.db:from("votes"):whereIn("pollId", polls.ids(list))
					for _, group in votes:groupBy("optionId"):aggregate({ votes = { "count" } }) do
						counts[group.optionId] = group.votes
					end
					local all = {}
					for i, options in polls.options(ctx, list) do
						all[i] = {}
						for _, option in options do
							table.insert(all[i], { option = option, votes = counts[option.id] or 0 })
						end
						table.sort(all[i], function(a, b)
							if a.votes == b.votes then
								return a.option.position < b.option.position
							end
							return a.votes > b.votes
						end)
					end
					return all
				end,
			},
			votes = {
				type = "Int!",
				description = "How many members have voted.",
				batch = function(list, _, ctx)
					local counts, all = polls.counts(ctx, "pollId", polls.ids(list)), {}
					for i, poll in list do
						all[i] = counts[poll.id] or 0
					end
					return all
				end,
			},
			myVote = {
				type = "PollOption",
				description = "What the caller has voted for.",
				batch = function(list, _, ctx)
					local chosen = {}
					if ctx.user then
						local votes = ctx.db:from("votes"):where({ userId = ctx.user.id })
						votes = votes:whereIn("pollId", polls.ids(list)):all()
						local wanted, options = {}, {}
						for i, vote in votes do
							wanted[i] = vote.optionId
						end
						for _, option in ctx.db:from("options"):whereIn("id", wanted):all() do
							options[option.id] = option
						end
						for _, vote in votes do
							chosen[vote.pollId] = options[vote.optionId]
						end
					end
					local all = {}
					for i, poll in list do
						all[i] = chosen[poll.id] or ctx.null
					end
					return all
				end,
			},
		},
	})

	builder:objectType("PollResult", {
		description = "How an option does.",
		fields = { option = "PollOption!", votes = "Int!" },
	})

	builder:objectType("PollConnection", {
		description = "A page of polls.",
		fields = { edges = "[PollEdge!]!", pageInfo = "PollPageInfo!" },
	})
	builder:objectType("PollEdge", { fields = { node = "Poll!", cursor = "String!" } })
	builder:objectType("PollPageInfo", {
		fields = {
			hasNextPage = "Boolean!",
			hasPreviousPage = "Boolean!",
			startCursor = "String",
			endCursor = "String",
		},
	})

	builder:objectFromTable("PollOption", "options", {
		description = "One of the answers to a poll.",
		only = { "id", "text" },
		fields = {
			votes = {
				type = "Int!",
				description = "How many members have voted for it.",
				batch = function(options, _, ctx)
					local counts, all = polls.counts(ctx, "optionId", polls.ids(options)), {}
					for i, option in options do
						all[i] = counts[option.id] or 0
					end
					return all
				end,
			},
		},
	})
end

return M
