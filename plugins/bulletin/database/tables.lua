local t = require("@std/table")

return {
	posts = t.table("posts", {
		id = t.uuid():primaryKey():defaultRandom(),
		title = t.text():notNull(),
		body = t.text():notNull(),
		authorId = t.text():notNull(),
		authorName = t.text():notNull(),
		createdAt = t.timestamp():notNull():defaultNow(),
		updatedAt = t.timestamp(),
	}, { indexes = { { "createdAt" }, { "authorId" } } }),

	events = t.table("events", {
		id = t.uuid():primaryKey():defaultRandom(),
		title = t.text():notNull(),
		body = t.text():notNull(),
		place = t.text(),
		startsAt = t.timestamp():notNull(),
		endsAt = t.timestamp():notNull(),
		authorId = t.text():notNull(),
		authorName = t.text():notNull(),
		createdAt = t.timestamp():notNull():defaultNow(),
		updatedAt = t.timestamp(),
	}, { indexes = { { "startsAt" }, { "authorId" } } }),
}
