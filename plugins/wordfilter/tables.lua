local t = require("@std/table")

return {
	wordAction = t.enumType("word_action", { "MASK", "REFUSE" }),
	words = t.table("words", {
		id = t.serial():primaryKey(),
		-- In lower case.
		word = t.text():notNull():unique(),
		action = t.enum("word_action"):notNull():default("MASK"),
	}),
}
