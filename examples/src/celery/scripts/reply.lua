-- Sends a reply to the queues that are bound for it; without one, the asker is gone.
-- KEYS[3]: the bindings of an exchange.
-- ARGV: routing key, what the queues' names begin with, message.
for _, binding in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  local key, queue = string.match(binding, '^(.-)\6\22.-\6\22(.*)$')
  if key == ARGV[1] then
    redis.call('LPUSH', ARGV[2] .. queue, ARGV[3])
    redis.call('EXPIRE', ARGV[2] .. queue, 60)
  end
end
