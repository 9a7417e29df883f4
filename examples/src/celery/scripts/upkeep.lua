-- Says of the worker's own tasks that they are still being worked on, and gives those back that others were
-- lost with: taken too long ago, and not renewed since.
-- ARGV: the visibility timeout in seconds, and tags. A task that is not held is not made to be.
-- Gives the queue of each task that was given back.
local moment, queues, size = now(), {}, 0
for i = 2, #ARGV do redis.call('ZADD', index, 'XX', moment, ARGV[i]) end
local overdue = {'-inf', moment - ARGV[1], 'LIMIT', 0, 1000}
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', index, unpack(overdue))) do
  local text = redis.call('HGET', held, tag)
  local message, exchange, key = parts(text or '')
  local queue = message and bound(exchange, key)[1]
  if not text then
    let_go(tag)
  elseif not queue then
    -- For others to find; those that come after it are not to wait for that.
    redis.call('ZADD', index, moment, tag)
  elseif size < MOST then
    size = size + #message
    put_back(marked(message), queue)
    let_go(tag)
    queues[#queues + 1] = queue
  end
end
return queues
