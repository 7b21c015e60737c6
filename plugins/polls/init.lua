local M = {}

function M.onInstall(ctx)
	ctx.logger:info("polls has its tables")
end

function M.onActivate(ctx)
	ctx.logger:info("polls is on", { version = ctx.plugin.version })
end

return M
