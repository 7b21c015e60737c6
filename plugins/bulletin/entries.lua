-- What posts and events share: each is written in one transaction with the hooks of other plugins, so
-- that a veto, or a hook that fails, leaves nothing of it.
local entries = {}

local function now()
	return os.date("!%Y-%m-%dT%H:%M:%SZ")
end

-- The entry, locked, if the caller may change it; else an error that the client sees.
local function own(tx, ctx, name, entryTable, id)
	local entry = tx:from(entryTable):where({ id = id }):forUpdate():first()
	if not entry then
		ctx:fail(name .. "_not_found", `There is no such {name}`)
	end
	if entry.authorId ~= ctx.user.id and ctx.user.role ~= "administrator" then
		ctx:fail("forbidden", `Only the author may change this {name}`)
	end
	return entry
end

-- Makes an entry. Hooks of "{name}:create" may change what is in `input`.
function entries.create(ctx, name, entryTable, input, check)
	return ctx.db:transaction(function(tx)
		local data = table.clone(input)
		data.authorId = ctx.user.id
		data.authorName = ctx.user.name
		return ctx.hooks:run(name .. ":create", data, function(data)
			if check then
				check(data)
			end
			-- Whoever changes the text does not become its author.
			data.authorId = ctx.user.id
			data.authorName = ctx.user.name
			return tx:insert(entryTable, data)
		end)
	end)
end

-- Changes an entry. Hooks of "{name}:update" get its id and what changes.
function entries.update(ctx, name, entryTable, id, changes, check)
	return ctx.db:transaction(function(tx)
		local entry = own(tx, ctx, name, entryTable, id)
		local data = table.clone(changes)
		data.id = entry.id
		return ctx.hooks:run(name .. ":update", data, function(data)
			data.id = nil
			data.updatedAt = now()
			if check then
				local whole = table.clone(entry)
				for key, value in data do
					whole[key] = value
				end
				check(whole)
			end
			return tx:update(entryTable, data, { id = entry.id }, { returning = true })[1]
		end)
	end)
end

-- Removes an entry. Hooks of "{name}:delete" get it as it was.
function entries.delete(ctx, name, entryTable, id)
	return ctx.db:transaction(function(tx)
		local entry = own(tx, ctx, name, entryTable, id)
		return ctx.hooks:run(name .. ":delete", entry, function()
			return tx:delete(entryTable, { id = entry.id }) == 1
		end)
	end)
end

return entries
