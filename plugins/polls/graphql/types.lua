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
					return ctx.db:from("options"):where({ pollId = poll.id }):orderBy("position"):all()
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
