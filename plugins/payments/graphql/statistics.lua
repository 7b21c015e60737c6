local M = {}

-- Counts and sums by state, as one row.
local function summed(query)
	local result = { orders = 0, paid = 0, paidAmount = 0, refundedOrders = 0 }
	for _, row in query:groupBy("state"):aggregate({ n = { "count" }, total = { "sum", "amount" } }) do
		result.orders += row.n
		if row.state == "PAID" or row.state == "REFUNDED" then
			result.paid += row.n
			result.paidAmount += tonumber(row.total)
		end
		if row.state == "REFUNDED" then
			result.refundedOrders += row.n
		end
	end
	return result
end

function M.registerStatistics(builder)
	local fields = {
		orders = { type = "Int!", description = "All of them." },
		paid = { type = "Int!", description = "That were paid, given back since or not." },
		paidAmount = { type = "Float!", description = "In the smallest unit of the currency." },
		refundedOrders = { type = "Int!", description = "That were given back as a whole." },
	}
	builder:objectType("PaymentStatistics", { description = "What was ordered and paid.", fields = fields })

	builder:queryField("organizationStatistics", {
		type = "PaymentStatistics!",
		auth = "administrator",
		args = { organizationId = "String!", currency = "String" },
		resolve = function(_, args, ctx)
			local currency = args.currency or ctx.config.currency
			return summed(ctx.db:from("orders"):where({ organizationId = args.organizationId, currency = currency }))
		end,
	})

	builder:queryField("myStatistics", {
		type = "PaymentStatistics!",
		args = { currency = "String" },
		resolve = function(_, args, ctx)
			local currency = args.currency or ctx.config.currency
			return summed(ctx.db:from("orders"):where({ userId = ctx.user.id, currency = currency }))
		end,
	})

	builder:queryField("userStatistics", {
		type = "PaymentStatistics!",
		auth = "administrator",
		args = { userId = "String!", currency = "String" },
		resolve = function(_, args, ctx)
			local currency = args.currency or ctx.config.currency
			return summed(ctx.db:from("orders"):where({ userId = args.userId, currency = currency }))
		end,
	})
end

return M
