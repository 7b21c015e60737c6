local t = require("@std/table")

return {
	orderState = t.enumType("order_state", { "OPEN", "PAID", "FAILED", "REFUNDED" }),

	orders = t.table("orders", {
		id = t.uuid():primaryKey():defaultRandom(),
		-- Whoever sells; what that is, is up to whoever makes orders.
		organizationId = t.text():notNull(),
		userId = t.text():notNull(),
		description = t.text(),
		-- In the smallest unit of the currency, such as cents.
		amount = t.integer():notNull(),
		currency = t.text():notNull(),
		state = t.enum("order_state"):notNull():default("OPEN"),
		-- The provider's names for the order and the payment.
		providerOrderId = t.text():unique(),
		providerPaymentId = t.text():unique(),
		checkoutUrl = t.text(),
		failure = t.text(),
		createdAt = t.timestamp():notNull():defaultNow(),
		paidAt = t.timestamp(),
	}, { indexes = { { "organizationId", "state" }, { "userId", "createdAt" } } }),

	refunds = t.table("refunds", {
		id = t.uuid():primaryKey():defaultRandom(),
		orderId = t.uuid():notNull(),
		providerRefundId = t.text():notNull():unique(),
		amount = t.integer():notNull(),
		-- Until the provider says that it is done.
		isDone = t.boolean():notNull():default(false),
		createdAt = t.timestamp():notNull():defaultNow(),
	}),

	orderRefunds = t.relation({ from = "refunds.orderId", to = "orders.id", onDelete = "cascade" }),
}
