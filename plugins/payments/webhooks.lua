-- What the provider tells. The host has checked the signature, and that the message is a new one; the same thing may
-- still be told in two messages, so every step looks at the state first.
local s = require("@std/schema")
local time = require("@std/time")

local M = {}

local event = s.object({
	type = s.string(),
	data = s.object({
		orderId = s.string():optional(),
		paymentId = s.string():optional(),
		refundId = s.string():optional(),
		amount = s.integer():optional(),
		reason = s.string():optional(),
	}):open(),
}):open()

local handlers = {}

local function orderOf(tx, data)
	return data.orderId and tx:from("orders"):where({ providerOrderId = data.orderId }):forUpdate():first()
end

handlers["payment.captured"] = function(ctx, tx, data)
	local order = orderOf(tx, data)
	if not order or order.state == "PAID" or order.state == "REFUNDED" then
		return
	elseif data.amount ~= order.amount then
		ctx.logger:error("a payment is not of the order's amount", { order = order.id, amount = data.amount })
		return
	end
	local changes = { state = "PAID", providerPaymentId = data.paymentId, paidAt = time.now(), failure = ctx.null }
	tx:update("orders", changes, { id = order.id })
	local told = { orderId = order.id, organizationId = order.organizationId, userId = order.userId }
	told.amount, told.currency = order.amount, order.currency
	ctx:emit("payments:paid", told, { key = order.id })
end

handlers["payment.failed"] = function(ctx, tx, data)
	local order = orderOf(tx, data)
	if order and order.state == "OPEN" then
		tx:update("orders", { state = "FAILED", failure = data.reason }, { id = order.id })
		ctx:emit("payments:failed", { orderId = order.id, userId = order.userId }, { key = order.id })
	end
end

handlers["refund.processed"] = function(ctx, tx, data)
	local refund = data.refundId and tx:from("refunds"):where({ providerRefundId = data.refundId }):first()
	if not refund then
		-- It was told before it was written down: the provider tells it again.
		ctx:fail("conflict", "This refund is not known yet")
	elseif refund.isDone then
		return
	end
	tx:update("refunds", { isDone = true }, { id = refund.id })
	local order = tx:from("orders"):where({ id = refund.orderId }):forUpdate():first()
	local done = tonumber(tx:from("refunds"):where({ orderId = order.id, isDone = true }):sum("amount") or 0)
	if done >= order.amount then
		tx:update("orders", { state = "REFUNDED" }, { id = order.id })
	end
	local told = { orderId = order.id, userId = order.userId, amount = refund.amount }
	ctx:emit("payments:refunded", told, { key = order.id })
end

function M.onProviderEvent(request, ctx)
	local given, issues = event:check(request.body)
	if issues then
		ctx:fail("malformed_event", `{table.concat(issues[1].path :: any, ".")} {issues[1].message}`)
	end
	local handler = handlers[given.type]
	if handler then
		ctx.db:transaction(function(tx)
			handler(ctx, tx, given.data)
		end)
	end
	return { received = true, handled = handler ~= nil }
end

return M
