-- Says of the worker's own tasks that they are still being worked on, and gives those back that others were
-- lost with: taken too long ago, and not renewed since.
-- ARGV: the visibility timeout in seconds, what all names begin with, and tags. A task that is not held is
-- not made to be.
-- Gives the queue of each task that was given back.
local visibility, prefix = ARGV[1], ARGV[2]
local moment, queues, size = now(), {}, 0
for i = 3, #ARGV do redis.call('ZADD', index, 'XX', moment, ARGV[i]) end

-- The queue that an exchange leads to by a routing key: without an exchange, the one of that name.
local function bound(exchange, key)
  if exchange == '' then return key end
  for _, binding in ipairs(redis.call('SMEMBERS', prefix .. '_kombu.binding.' .. exchange)) do
    local bound_key, queue = string.match(binding, '^(.-)\6\22.-\6\22(.*)$')
    if bound_key == key then return queue end
  end
end

local function list_of(queue, message)
  local good, priority = pcall(function() return cjson.decode(message).properties.priority end)
  local step = good and math.floor((tonumber(priority) or 0) / 3)
  return prefix .. queue .. (PRIORITIES[(step or 0) + 1] or '')
end

local overdue = {'-inf', moment - visibility, 'LIMIT', 0, 100}
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', index, unpack(overdue))) do
  local text = redis.call('HGET', held, tag)
  local message, exchange, key = parts(text or '')
  local queue = message and bound(exchange, key)
  if not text then
    let_go(tag)
  elseif not queue then
    -- For others to find; those that come after it are not to wait for that.
    redis.call('ZADD', index, moment, tag)
  elseif size < MOST then
    size = size + #message
    redis.call('RPUSH', list_of(queue, message), marked(message))
    let_go(tag)
    queues[#queues + 1] = queue
  end
end
return queues
