local entries = require("../entries")

local M = {}

function M.registerEvents(builder)
	builder:objectFromTable("CalendarEvent", "events", { description = "Something that takes place." })
	builder:inputType("CalendarEventInput", {
		description = "A new event.",
		fields = {
			title = { type = "String!", minLength = 1, maxLength = 200 },
			body = { type = "String!", default = "", maxLength = 20000 },
			place = { type = "String", maxLength = 200 },
			startsAt = "DateTime!",
			endsAt = "DateTime!",
		},
	})
	builder:inputType("CalendarEventChanges", {
		description = "What changes; what is left out stays.",
		fields = {
			title = { type = "String", minLength = 1, maxLength = 200 },
			body = { type = "String", maxLength = 20000 },
			place = { type = "String", maxLength = 200 },
			startsAt = "DateTime",
			endsAt = "DateTime",
		},
	})

	builder:queryField("events", {
		type = "[CalendarEvent!]!",
		description = "Events that end after a time, in the order in which they begin.",
		args = {
			from = { type = "DateTime", description = "Now, unless it is set." },
			limit = { type = "Int!", default = 20, min = 1, max = 100 },
		},
		resolve = function(_, args, ctx)
			local from = args.from
			if from == nil or from == ctx.null then
				from = os.date("!%Y-%m-%dT%H:%M:%SZ")
			end
			return ctx.db:from("events"):where("endsAt", ">=", from):orderBy("startsAt"):limit(args.limit):all()
		end,
	})
	-- Times are kept in one form, so their order as texts is their order in time.
	local function checked(ctx, argument)
		return function(data)
			if data.startsAt and data.endsAt and data.endsAt < data.startsAt then
				local path = { argument, "endsAt" }
				ctx:invalid({ { path = path, message = "It must not be before startsAt" } })
			end
		end
	end
	builder:mutationField("createEvent", {
		type = "CalendarEvent!",
		description = "Puts an event into the calendar.",
		args = { input = "CalendarEventInput!" },
		resolve = function(_, args, ctx)
			return entries.create(ctx, "event", "events", args.input, checked(ctx, "input"))
		end,
	})
	builder:mutationField("updateEvent", {
		type = "CalendarEvent!",
		description = "Changes an event. Only its author and administrators may.",
		args = { id = "UUID!", changes = "CalendarEventChanges!" },
		resolve = function(_, args, ctx)
			return entries.update(ctx, "event", "events", args.id, args.changes, checked(ctx, "changes"))
		end,
	})
	builder:mutationField("deleteEvent", {
		type = "Boolean!",
		description = "Deletes an event. Only its author and administrators may.",
		args = { id = "UUID!" },
		resolve = function(_, args, ctx)
			return entries.delete(ctx, "event", "events", args.id)
		end,
	})
end

return M
