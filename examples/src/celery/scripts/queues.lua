-- What the scripts that deal with queues begin with.

-- What the names of a queue's lists end with, most urgent first.
local PRIORITIES = {'', '\6\0223', '\6\0226', '\6\0229'}
-- No more is dealt with at once, in bytes, and a longer message is not read.
local MOST, LONGEST = 16 * 2 ^ 20, 48 * 2 ^ 20
local MOST_DEAD = 10000

local function now()
  local clock = redis.call('TIME')
  return clock[1] + clock[2] / 1000000
end

-- Takes what is held apart, without writing the message anew: cjson makes {} of [].
local function parts(text)
  local message, names = string.match(text, '^%[(.*),%s*(".-",%s*".-")%s*%]$')
  local good, read = pcall(cjson.decode, '[' .. (names or '') .. ']')
  if message and good then return message, read[1], read[2] end
end

-- The queues that an exchange leads to by a routing key; without an exchange, the one of that name.
local function bound(exchange, key)
  if exchange == '' then return {key} end
  local queues = {}
  for _, binding in ipairs(redis.call('SMEMBERS', prefix .. '_kombu.binding.' .. exchange)) do
    local bound_key, queue = string.match(binding, '^(.-)\6\22.-\6\22(.*)$')
    if bound_key == key then queues[#queues + 1] = queue end
  end
  return queues
end

-- A message that is given back, marked as such in the way of kombu; all else stays as it is.
local function marked(message)
  local count
  message, count = string.gsub(message, '"redelivered": ?%l+', '"redelivered": true')
  if count > 0 then return message end
  for _, name in ipairs({'headers', 'delivery_info'}) do
    local found = '"' .. name .. '": ?{%s*"'
    message = string.gsub(message, found, '%0redelivered": true, "', 1)
  end
  return message
end

-- Puts a message where it is the next of its queue.
local function put_back(message, queue)
  local good, priority = pcall(function() return cjson.decode(message).properties.priority end)
  local step = good and math.floor((tonumber(priority) or 0) / 3) or 0
  redis.call('RPUSH', prefix .. queue .. (PRIORITIES[math.min(math.max(step, 0), 3) + 1]), message)
end

local function bury(message, queue)
  local list = prefix .. queue .. '.dead'
  redis.call('LPUSH', list, message)
  redis.call('LTRIM', list, 0, MOST_DEAD - 1)
end

