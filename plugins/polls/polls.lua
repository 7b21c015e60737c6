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

-- Tells those who watch a poll that it has changed, which must be committed by then: they read it again.
function polls.changed(ctx, poll)
	ctx.pubsub:publish("poll:" .. poll.id, { id = poll.id })
end

-- The ids of some rows.
function polls.ids(rows)
	local ids = {}
	for i, row in rows do
		ids[i] = row.id
	end
	return ids
end

-- The options of each of some polls, in their order. Lists of polls bring them along; for the others they
-- are read in one statement.
function polls.options(ctx, list)
	local missing = {}
	for _, poll in list do
		if not poll.pollOptions then
			table.insert(missing, poll.id)
		end
	end
	local found = {}
	if #missing > 0 then
		for _, option in ctx.db:from("options"):whereIn("pollId", missing):all() do
			found[option.pollId] = found[option.pollId] or {}
			table.insert(found[option.pollId], option)
		end
	end
	local all = {}
	for i, poll in list do
		all[i] = poll.pollOptions or found[poll.id] or {}
		table.sort(all[i], function(a, b)
			return a.position < b.position
		end)
	end
	return all
end

-- How many votes there are with each value of a column, among these values.
function polls.counts(ctx, column, values)
	local counts = {}
	local votes = ctx.db:from("votes"):whereIn(column, values)
	for _, group in votes:groupBy(column):aggregate({ votes = { "count" } }) do
		counts[group[column]] = group.votes
	end
	return counts
end

return polls
