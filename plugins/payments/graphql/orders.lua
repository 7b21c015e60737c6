local provider = require("../provider")
local uuid = require("@std/uuid")

local M = {}

local function find(ctx, id)
	local order = ctx.db:from("orders"):where({ id = id }):first()
	if not order or (order.userId ~= ctx.user.id and ctx.user.role ~= "administrator") then
		ctx:fail("arguments_associated_resources_not_found", "There is no such order")
	end
	return order
end

-- Neither left out nor null.
local function given(ctx, value)
	return if value == ctx.null then nil else value
end

local function checkAmount(ctx, amount)
	local config = ctx.config
	if amount < config.minAmount or amount > config.maxAmount then
		local message = `It must be from {config.minAmount} to {config.maxAmount}`
		ctx:invalid({ { path = { "input", "amount" }, message = message } })
	end
end

-- What is already given back of each order, or about to be.
local function refunded(db, orderIds)
	local sums = {}
	local refunds = db:from("refunds"):whereIn("orderId", orderIds)
	for _, group in refunds:groupBy("orderId"):aggregate({ amount = { "sum", "amount" } }) do
		sums[group.orderId] = tonumber(group.amount)
	end
	return sums
end

function M.registerOrders(builder)
	builder:enumType("PaymentState", { values = { "OPEN", "PAID", "FAILED", "REFUNDED" } })
	builder:objectType("PaymentOrder", {
		description = "Something to be paid.",
		fields = {
			id = "UUID!",
			organizationId = "String!",
			userId = "String!",
			description = "String",
			amount = { type = "Int!", description = "In the smallest unit of the currency, such as cents." },
			currency = "String!",
			state = "PaymentState!",
			checkoutUrl = { type = "String", description = "Where it is paid." },
			failure = "String",
			createdAt = "DateTime!",
			paidAt = "DateTime",
			refunded = {
				type = "Int!",
				description = "What was given back.",
				batch = function(orders, _, ctx)
					local ids, all = {}, {}
					for i, order in orders do
						ids[i] = order.id
					end
					local sums = refunded(ctx.db, ids)
					for i, id in ids do
						all[i] = sums[id] or 0
					end
					return all
				end,
			},
		},
	})
	builder:inputType("PaymentOrderInput", {
		fields = {
			organizationId = { type = "String!", minLength = 1, maxLength = 100 },
			amount = { type = "Int!", min = 1, description = "In the smallest unit of the currency." },
			currency = { type = "String", pattern = "^[A-Z]{3}$" },
			description = { type = "String", maxLength = 200 },
		},
	})

	builder:mutationField("createOrder", {
		type = "PaymentOrder!",
		description = "Makes an order for the caller. It is paid at its checkoutUrl.",
		args = { input = "PaymentOrderInput!" },
		resolve = function(_, args, ctx)
			local input = args.input
			checkAmount(ctx, input.amount)
			local order = ctx.db:insert("orders", {
				organizationId = input.organizationId,
				userId = ctx.user.id,
				description = input.description,
				amount = input.amount,
				currency = given(ctx, input.currency) or ctx.config.currency,
			})
			-- Not in a transaction: nobody waits for the provider with the database in hand.
			local ok, made = pcall(provider.createOrder, ctx, order)
			if not ok then
				ctx.db:update("orders", { state = "FAILED", failure = tostring(made) }, { id = order.id })
				error(made)
			end
			local changes = { providerOrderId = made.id, checkoutUrl = made.checkoutUrl }
			return ctx.db:update("orders", changes, { id = order.id }, { returning = true })[1]
		end,
	})

	builder:mutationField("refund", {
		type = "PaymentOrder!",
		auth = "administrator",
		description = "Gives an order's money back, all that is left or a part of it.",
		args = { id = "UUID!", amount = { type = "Int", min = 1 } },
		resolve = function(_, args, ctx)
			local order = find(ctx, args.id)
			if order.state ~= "PAID" then
				ctx:fail("forbidden_action_on_arguments_associated_resources", `The order is {order.state}, not PAID`)
			end
			-- The row is the lock: two refunds at once never give back more than was paid.
			local refund = ctx.db:transaction(function(tx)
				local locked = tx:from("orders"):where({ id = order.id }):forUpdate():first()
				local left = locked.amount - (refunded(tx, { order.id })[order.id] or 0)
				local amount = args.amount or left
				if amount > left or left == 0 then
					ctx:invalid({ { path = { "amount" }, message = `There is {left} left to give back` } })
				end
				local name = "pending-" .. uuid.v4()
				return tx:insert("refunds", { orderId = order.id, providerRefundId = name, amount = amount })
			end)
			local ok, made = pcall(provider.refund, ctx, order.providerPaymentId, refund.amount, refund.id)
			if not ok then
				ctx.db:delete("refunds", { id = refund.id })
				error(made)
			end
			ctx.db:update("refunds", { providerRefundId = made.id }, { id = refund.id })
			return ctx.db:from("orders"):where({ id = order.id }):first()
		end,
	})

	builder:queryField("order", {
		type = "PaymentOrder",
		description = "An order of the caller's; administrators see all.",
		args = { id = "UUID!" },
		resolve = function(_, args, ctx)
			return find(ctx, args.id)
		end,
	})

	builder:queryField("myOrders", {
		type = "[PaymentOrder!]!",
		description = "The caller's orders, newest first.",
		args = { limit = { type = "Int!", default = 50, min = 1, max = 500 }, offset = { type = "Int!", default = 0, min = 0 } },
		resolve = function(_, args, ctx)
			local mine = ctx.db:from("orders"):where({ userId = ctx.user.id })
			return mine:orderBy("createdAt", "desc"):orderBy("id"):limit(args.limit):offset(args.offset):all()
		end,
	})

	builder:queryField("orders", {
		type = "[PaymentOrder!]!",
		auth = "administrator",
		description = "Orders, newest first.",
		args = {
			organizationId = "String",
			state = "PaymentState",
			limit = { type = "Int!", default = 50, min = 1, max = 500 },
			offset = { type = "Int!", default = 0, min = 0 },
		},
		resolve = function(_, args, ctx)
			local query = ctx.db:from("orders")
			if args.organizationId then
				query = query:where({ organizationId = args.organizationId })
			end
			if args.state then
				query = query:where({ state = args.state })
			end
			return query:orderBy("createdAt", "desc"):orderBy("id"):limit(args.limit):offset(args.offset):all()
		end,
	})
end

return M
