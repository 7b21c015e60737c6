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
				resolve = function(poll, _, ctx)
					return polls.options(ctx, poll)
				end,
			},
			results = {
				type = "[PollResult!]!",
				description = "Every option with its votes, the most voted first.",
				resolve = function(poll, _, ctx)
					local counts = {}
					local votes = ctx.db:from("votes"):where({ pollId = poll.id })
					for _, group in votes:groupBy("optionId"):aggregate({ votes = { "count" } }) do
						counts[group.optionId] = group.votes
					end
					local results = {}
					for _, option in polls.options(ctx, poll) do
						table.insert(results, { option = option, votes = counts[option.id] or 0 })
					end
					table.sort(results, function(a, b)
						if a.votes == b.votes then
							return a.option.position < b.option.position
						end
						return a.votes > b.votes
					end)
					return results
				end,
			},
			votes = {
				type = "Int!",
				description = "How many members have voted.",
				resolve = function(poll, _, ctx)
					return ctx.db:from("votes"):where({ pollId = poll.id }):count()
				end,
			},
			myVote = {
				type = "PollOption",
				description = "What the caller has voted for.",
				resolve = function(poll, _, ctx)
					if not ctx.user then
						return nil
					end
					local vote = ctx.db:from("votes"):where({ pollId = poll.id, userId = ctx.user.id }):first()
					return vote and ctx.db:from("options"):where({ id = vote.optionId }):first()
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
				resolve = function(option, _, ctx)
					return ctx.db:from("votes"):where({ optionId = option.id }):count()
				end,
			},
		},
	})
end

return M
