-- Stores what came of a task and lets go of it. A success is stored in any case, and never overwritten. What
-- else there is to store or to send is left to the one run that still holds the task.
-- ARGV: tag, seconds until results expire or 0, then three words for each thing: `result`, key and text, or
-- `send`, list and message.
local tag, expires = unpack(ARGV, 1, 2)
local is_held = redis.call('HEXISTS', held, tag) == 1

local function is_success(text)
  local good, read = pcall(cjson.decode, text)
  return good and type(read) == 'table' and read.status == 'SUCCESS'
end

for i = 3, #ARGV, 3 do
  local what, key, text = unpack(ARGV, i, i + 2)
  if what == 'send' then
    if is_held then redis.call('LPUSH', key, text) end
  elseif (is_held or is_success(text)) and not is_success(redis.call('GET', key) or '') then
    redis.call('SET', key, text)
    if expires ~= '0' then redis.call('EXPIRE', key, expires) end
    redis.call('PUBLISH', key, text)
  end
end
let_go(tag)
