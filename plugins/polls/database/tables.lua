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
		pollId = t.uuid():notNull():references("polls.id"),
		position = t.integer():notNull(),
		text = t.text():notNull(),
	}, { indexes = { { "pollId", "position", unique = true } } }),

	-- One vote of a member in a poll: the index is what keeps it so, also when two requests race.
	votes = t.table("votes", {
		id = t.uuid():primaryKey():defaultRandom(),
		pollId = t.uuid():notNull():references("polls.id"),
		optionId = t.uuid():notNull():references("options.id"),
		userId = t.text():notNull(),
		createdAt = t.timestamp():notNull():defaultNow(),
	}, { indexes = { { "pollId", "userId", unique = true }, { "optionId" } } }),
}
