local M = {}

local DAY = 24 * 60 * 60

local function timestamp(time)
	return os.date("!%Y-%m-%dT%H:%M:%SZ", time)
end

function M.register(builder)
	builder:objectFromTable("WelcomeNote", "notes", {
		description = "A note for somebody who has joined.",
		omit = { "userId" },
	})
	builder:queryField("note", {
		type = "WelcomeNote",
		description = "The caller's own note, or null if there is none.",
		resolve = function(_, _, ctx)
			return ctx.db:from("notes"):where({ userId = ctx.user.id }):first()
		end,
	})
	builder:queryField("count", {
		type = "Int!",
		auth = "administrator",
		description = "How many notes there are.",
		args = { unread = { type = "Boolean!", default = false } },
		resolve = function(_, args, ctx)
			local notes = ctx.db:from("notes")
			return (if args.unread then notes:whereNull("readAt") else notes):count()
		end,
	})
	builder:mutationField("read", {
		type = "WelcomeNote",
		description = "Marks the caller's note as read.",
		resolve = function(_, _, ctx)
			local mine = { userId = ctx.user.id }
			return ctx.db:update("notes", { readAt = timestamp(os.time()) }, mine, { returning = true })[1]
		end,
	})
end

-- Writing the note is a job, so that whatever it may need one day is tried again until it works. The
-- event may come more than once; the key keeps it at one job at a time.
function M.joined(user, ctx)
	ctx.jobs:enqueue("welcome", { id = user.id, name = user.name }, { key = user.id })
end

function M.welcome(user, ctx)
	local text = string.gsub(ctx.config.text, "{name}", { ["{name}"] = user.name })
	-- A note that is there is left as it is, read or not.
	if not ctx.db:from("notes"):where({ userId = user.id }):exists() then
		ctx.db:insert("notes", { userId = user.id, text = text })
	end
end

function M.tidy(ctx)
	local oldest = timestamp(os.time() - ctx.config.keepDays * DAY)
	local old = {}
	for _, note in ctx.db:from("notes"):where("createdAt", "<", oldest):select({ "id" }):limit(1000):all() do
		table.insert(old, note.id)
	end
	for _, id in old do
		ctx.db:delete("notes", { id = id })
	end
	ctx.logger:info("removed old notes", { count = #old })
end

return M
