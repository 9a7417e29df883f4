-- Stores what came of a task and lets go of it. A success is never overwritten. What follows is sent by the
-- one run that still holds the task.
-- KEYS[3]: the result's key.
-- ARGV: tag, result or nothing, seconds until it expires or 0, whether it is a success, how many more
-- results, those as key and text, then what is to be sent as list and message.
local tag, result, expires, success, more = unpack(ARGV, 1, 5)
local is_held = redis.call('HEXISTS', held, tag) == 1

local function store(key, text)
  local known = redis.call('GETRANGE', key, 0, 40)
  if string.find(known, '"status": ?"SUCCESS"') then return end
  if expires == '0' then
    redis.call('SET', key, text)
  else
    redis.call('SETEX', key, expires, text)
  end
  redis.call('PUBLISH', key, text)
end

if result ~= '' and (is_held or success == 'true') then store(KEYS[3], result) end
if is_held then
  local last = 5 + 2 * more
  for i = 6, last, 2 do store(ARGV[i], ARGV[i + 1]) end
  for i = last + 1, #ARGV, 2 do redis.call('LPUSH', ARGV[i], ARGV[i + 1]) end
  let_go(tag)
end
