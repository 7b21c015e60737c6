-- The provider's API: orders to be paid, and refunds. Amounts are in the smallest unit of the currency.
local P = {}

local function call(ctx, method, path, body, key)
	local ok, response = pcall(function()
		return ctx.http:request({
			method = method,
			url = ctx.config.apiUrl .. path,
			headers = {
				authorization = "Bearer " .. ctx.config.apiKey,
				-- The provider does the same thing once, so it may be asked again.
				["idempotency-key"] = key,
			},
			json = body,
			timeoutMs = 5000,
			retries = 2,
		})
	end)
	if not ok then
		ctx.logger:error("the payment provider cannot be reached", { path = path, problem = tostring(response) })
		ctx:fail("payment_provider_unavailable", "The payment provider cannot be reached; try again later")
	elseif response.status >= 500 or response.status == 401 or response.status == 403 then
		ctx.logger:error("the payment provider refuses", { path = path, status = response.status })
		ctx:fail("payment_provider_unavailable", "The payment provider cannot be used; try again later")
	end
	local decoded, answer = pcall(function()
		return response:json()
	end)
	if not decoded or type(answer) ~= "table" then
		ctx:fail("payment_provider_unavailable", "The payment provider gave no answer that can be read")
	elseif response.status >= 400 then
		ctx:fail("payment_refused", tostring(answer.message or "The payment provider has refused"))
	end
	return answer
end

-- Gives `{ id, checkoutUrl }`.
function P.createOrder(ctx, order)
	local body = { amount = order.amount, currency = order.currency, reference = order.id, description = order.description }
	return call(ctx, "POST", "/v1/orders", body, "order-" .. order.id)
end

-- Gives `{ id, status }`.
function P.refund(ctx, paymentId, amount, key)
	return call(ctx, "POST", "/v1/payments/" .. paymentId .. "/refunds", { amount = amount }, "refund-" .. key)
end

return P
