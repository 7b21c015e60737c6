local entries = require("../entries")

local M = {}

local TITLE = { type = "String!", minLength = 1, maxLength = 200 }
local BODY = { type = "String!", minLength = 1, maxLength = 20000 }

function M.registerPosts(builder)
	builder:objectFromTable("Post", "posts", { description = "Something that a member has written." })
	builder:objectType("PostConnection", {
		description = "A page of posts.",
		fields = { edges = "[PostEdge!]!", pageInfo = "BulletinPageInfo!" },
	})
	builder:objectType("PostEdge", { fields = { node = "Post!", cursor = "String!" } })
	builder:objectType("BulletinPageInfo", {
		fields = {
			hasNextPage = "Boolean!",
			hasPreviousPage = "Boolean!",
			startCursor = "String",
			endCursor = "String",
		},
	})
	builder:inputType("PostInput", { description = "A new post.", fields = { title = TITLE, body = BODY } })
	builder:inputType("PostChanges", {
		description = "What changes; what is left out stays.",
		fields = {
			title = { type = "String", minLength = 1, maxLength = 200 },
			body = { type = "String", minLength = 1, maxLength = 20000 },
		},
	})

	builder:queryField("posts", {
		type = "PostConnection!",
		description = "Posts, the newest first, going on after a cursor.",
		args = { first = { type = "Int!", default = 20, min = 1, max = 100 }, after = "String" },
		resolve = function(_, args, ctx)
			local query = ctx.db:from("posts"):orderBy("createdAt", "desc")
			return query:page({ first = args.first, after = args.after })
		end,
	})
	builder:queryField("post", {
		type = "Post",
		description = "One post, or null if there is none with this id.",
		args = { id = "UUID!" },
		resolve = function(_, args, ctx)
			return ctx.db:from("posts"):where({ id = args.id }):first()
		end,
	})
	builder:mutationField("createPost", {
		type = "Post!",
		description = "Publishes a post.",
		args = { input = "PostInput!" },
		resolve = function(_, args, ctx)
			return entries.create(ctx, "post", "posts", args.input)
		end,
	})
	builder:mutationField("updatePost", {
		type = "Post!",
		description = "Changes a post. Only its author and administrators may.",
		args = { id = "UUID!", changes = "PostChanges!" },
		resolve = function(_, args, ctx)
			return entries.update(ctx, "post", "posts", args.id, args.changes)
		end,
	})
	builder:mutationField("deletePost", {
		type = "Boolean!",
		description = "Deletes a post. Only its author and administrators may.",
		args = { id = "UUID!" },
		resolve = function(_, args, ctx)
			return entries.delete(ctx, "post", "posts", args.id)
		end,
	})
end

return M
