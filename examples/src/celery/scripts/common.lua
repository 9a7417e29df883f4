-- What all scripts begin with. The first two keys of each are `unacked`, which holds for each delivery tag
-- [message, "exchange", "routing key"], and its index, which says when that was taken.
local held, index = KEYS[1], KEYS[2]
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

local function bury(message, list)
  redis.call('LPUSH', list, message)
  redis.call('LTRIM', list, 0, MOST_DEAD - 1)
end

local function let_go(tag)
  redis.call('ZREM', index, tag)
  redis.call('HDEL', held, tag)
end

