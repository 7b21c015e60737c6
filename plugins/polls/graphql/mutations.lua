local polls = require("../polls")

local M = {}

local MAX_OPTIONS = 20
local MAX_TEXT = 500

local function trimmed(text)
	return (string.gsub(text, "^%s*(.-)%s*$", "%1"))
end

-- Everything that is wrong with the input of a new poll, as ctx:invalid takes it.
local function issuesOf(input)
	local issues = {}
	local function check(path, text)
		local length = utf8.len(text) or 0
		if length == 0 then
			table.insert(issues, { path = path, message = "It must not be empty" })
		elseif length > MAX_TEXT then
			table.insert(issues, { path = path, message = `It must have at most {MAX_TEXT} characters` })
		end
	end
	check({ "input", "title" }, trimmed(input.title))
	if #input.options < 2 or #input.options > MAX_OPTIONS then
		local message = `There must be from 2 to {MAX_OPTIONS} options`
		table.insert(issues, { path = { "input", "options" }, message = message })
	end
	local seen = {}
	for i, option in input.options do
		local text = trimmed(option)
		check({ "input", "options", i - 1 }, text)
		if seen[text] then
			table.insert(issues, { path = { "input", "options", i - 1 }, message = "It is there twice" })
		end
		seen[text] = true
	end
	return issues
end

function M.registerMutations(builder)
	builder:inputType("PollInput", {
		description = "A new poll.",
		fields = {
			title = "String!",
			description = "String",
			options = { type = "[String!]!", description = "From 2 to 20, all different." },
		},
	})

	builder:mutationField("create", {
		type = "Poll!",
		description = "Opens a poll.",
		args = { input = "PollInput!" },
		resolve = function(_, args, ctx)
			local issues = issuesOf(args.input)
			if #issues > 0 then
				ctx:invalid(issues)
			end
			-- A poll without its options is never seen, and the event only goes out if it stays.
			return ctx.db:transaction(function(tx)
				local poll = tx:insert("polls", {
					title = trimmed(args.input.title),
					description = args.input.description,
					authorId = ctx.user.id,
					authorName = ctx.user.name,
				})
				local options = {}
				for i, option in args.input.options do
					table.insert(options, { pollId = poll.id, position = i, text = trimmed(option) })
				end
				poll.pollOptions = tx:insertMany("options", options)
				ctx:emit("polls:created", { id = poll.id, title = poll.title })
				return poll
			end)
		end,
	})

	builder:mutationField("vote", {
		type = "Poll!",
		description = "Votes for an option, once in each poll.",
		args = { pollId = "UUID!", optionId = "UUID!" },
		resolve = function(_, args, ctx)
			local poll = ctx.db:transaction(function(tx)
				-- Locked, so that it is not closed between the look at it and the vote.
				local poll = polls.lock(tx, ctx, args.pollId)
				if poll.state ~= "OPEN" then
					ctx:fail("poll_closed", "This poll is closed")
				end
				if not tx:from("options"):where({ id = args.optionId, pollId = poll.id }):exists() then
					ctx:fail("option_not_found", "This poll has no such option")
				end
				local ok, problem = pcall(function()
					tx:insert("votes", { pollId = poll.id, optionId = args.optionId, userId = ctx.user.id })
				end)
				if not ok then
					if problem.kind == "uniqueViolation" then
						ctx:fail("already_voted", "You have voted in this poll")
					end
					error(problem)
				end
				ctx:emit("polls:voted", { id = poll.id, optionId = args.optionId })
				return poll
			end)
			polls.changed(ctx, poll)
			return poll
		end,
	})

	builder:mutationField("close", {
		type = "Poll!",
		description = "Ends a poll. Only its author and administrators may.",
		args = { id = "UUID!" },
		resolve = function(_, args, ctx)
			local poll = polls.require(ctx, args.id)
			if poll.authorId ~= ctx.user.id and ctx.user.role ~= "administrator" then
				ctx:fail("forbidden", "Only the author may close a poll")
			end
			if poll.state == "CLOSED" then
				return poll
			end
			local closedAt = os.date("!%Y-%m-%dT%H:%M:%SZ")
			local changes = { state = "CLOSED", closedAt = closedAt }
			local rows = ctx.db:update("polls", changes, { id = poll.id }, { returning = true })
			polls.changed(ctx, rows[1])
			return rows[1]
		end,
	})

	builder:mutationField("delete", {
		type = "Boolean!",
		description = "Deletes a poll with its options and votes. Only its author and administrators may.",
		args = { id = "UUID!" },
		resolve = function(_, args, ctx)
			local poll = polls.require(ctx, args.id)
			if poll.authorId ~= ctx.user.id and ctx.user.role ~= "administrator" then
				ctx:fail("forbidden", "Only the author may delete a poll")
			end
			return ctx.db:delete("polls", { id = poll.id }) == 1
		end,
	})
end

return M
