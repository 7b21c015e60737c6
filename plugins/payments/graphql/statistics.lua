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

	-- A field about the orders that `of(args, ctx)` says.
	local function field(name, auth, args, of)
		args.currency = "String"
		builder:queryField(name, {
			type = "PaymentStatistics!",
			auth = auth,
			args = args,
			resolve = function(_, given, ctx)
				local orders = ctx.db:from("orders"):where({ currency = given.currency or ctx.config.currency })
				return summed(orders:where(of(given, ctx)))
			end,
		})
	end

	field("myStatistics", "user", {}, function(_, ctx)
		return { userId = ctx.user.id }
	end)
	field("userStatistics", "administrator", { userId = "String!" }, function(args)
		return { userId = args.userId }
	end)
	field("organizationStatistics", "administrator", { organizationId = "String!" }, function(args)
		return { organizationId = args.organizationId }
	end)
end

return M
