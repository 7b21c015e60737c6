-- What queries and mutations share.
local polls = {}

-- The poll, or nil.
function polls.find(ctx, id)
	return ctx.db:from("polls"):where({ id = id }):first()
end

-- The poll, or an error that the client sees.
function polls.require(ctx, id)
	return polls.find(ctx, id) or ctx:fail("poll_not_found", "There is no such poll")
end

-- As polls.require, locked: until the transaction ends nobody else changes it.
function polls.lock(tx, ctx, id)
	return tx:from("polls"):where({ id = id }):forUpdate():first()
		or ctx:fail("poll_not_found", "There is no such poll")
end

-- The options of a poll, in their order. Lists of polls bring them along.
function polls.options(ctx, poll)
	local options = poll.pollOptions or ctx.db:from("options"):where({ pollId = poll.id }):all()
	table.sort(options, function(a, b)
		return a.position < b.position
	end)
	return options
end

return polls
