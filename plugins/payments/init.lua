local M = {}

function M.onActivate(ctx)
	ctx.logger:info("payments go to the provider", { apiUrl = ctx.config.apiUrl, currency = ctx.config.currency })
end

return M
