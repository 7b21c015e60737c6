local t = require("@std/table")

return {
	pollState = t.enumType("poll_state", { "OPEN", "CLOSED" }),

	polls = t.table("polls", {
		id = t.uuid():primaryKey():defaultRandom(),
		title = t.text():notNull(),
		description = t.text(),
		state = t.enum("poll_state"):notNull():default("OPEN"),
		authorId = t.text():notNull(),
		authorName = t.text():notNull(),
		createdAt = t.timestamp():notNull():defaultNow(),
		closedAt = t.timestamp(),
	}, { indexes = { { "createdAt" }, { "authorId" } } }),

	options = t.table("options", {
		id = t.uuid():primaryKey():defaultRandom(),
		pollId = t.uuid():notNull(),
		position = t.integer():notNull(),
		text = t.text():notNull(),
	}, { indexes = { { "pollId", "position", unique = true } } }),

	-- One vote of a member in a poll: the index is what keeps it so, also when two requests race.
	votes = t.table("votes", {
		id = t.uuid():primaryKey():defaultRandom(),
		pollId = t.uuid():notNull(),
		optionId = t.uuid():notNull(),
		userId = t.text():notNull(),
		createdAt = t.timestamp():notNull():defaultNow(),
	}, { indexes = { { "pollId", "userId", unique = true }, { "optionId" } } }),

	-- What belongs to a poll goes with it.
	pollOptions = t.relation({ from = "options.pollId", to = "polls.id", onDelete = "cascade" }),
	pollVotes = t.relation({ from = "votes.pollId", to = "polls.id", onDelete = "cascade" }),
	optionVotes = t.relation({ from = "votes.optionId", to = "options.id", onDelete = "cascade" }),
}
