local polls = require("../polls")

local M = {}

function M.registerSubscriptions(builder)
	builder:subscriptionField("changed", {
		type = "Poll!",
		description = "A poll, whenever somebody votes in it or it is closed.",
		args = { id = "UUID!" },
		subscribe = function(args, ctx)
			polls.require(ctx, args.id)
			return ctx.pubsub:subscribe("poll:" .. args.id)
		end,
		-- The message only says which poll it is; what it is like is read when it is looked at.
		map = function(message, _, ctx)
			return polls.require(ctx, message.id)
		end,
	})
end

return M
