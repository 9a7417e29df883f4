-- Sends a reply to the queues that are bound for it; without one, the asker is gone.
-- ARGV: exchange, routing key, message.
local exchange, key, message = unpack(ARGV)
for _, queue in ipairs(bound(exchange, key)) do
  redis.call('LPUSH', prefix .. queue, message)
  redis.call('EXPIRE', prefix .. queue, 60)
end
