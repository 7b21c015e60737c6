local t = require("@std/table")

return {
	-- One note for each member, however often the event of their joining is delivered.
	notes = t.table("notes", {
		id = t.bigserial():primaryKey(),
		userId = t.text():notNull():unique(),
		text = t.text():notNull(),
		createdAt = t.timestamp():notNull():defaultNow(),
		readAt = t.timestamp(),
	}, { indexes = { { "createdAt" } } }),
}
