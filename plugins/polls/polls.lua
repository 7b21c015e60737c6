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

return polls
