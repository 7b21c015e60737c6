local M = {}

function M.onActivate(ctx)
	ctx.logger:info("the bulletin is on", { version = ctx.plugin.version })
end

return M
