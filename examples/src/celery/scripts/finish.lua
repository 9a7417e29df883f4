-- Stores what came of a task and lets go of it. A success is never overwritten. What follows is sent by the
-- one run that still holds the task.
-- KEYS[3]: the result's key.
-- ARGV: tag, result or nothing, seconds until it expires or 0, how many more results, those as key and
-- text, then what is to be sent as list and message.
local tag, result, expires, more = unpack(ARGV, 1, 4)
local is_held = redis.call('HEXISTS', held, tag) == 1

local function is_success(text)
  local good, read = pcall(cjson.decode, text)
  return good and type(read) == 'table' and read.status == 'SUCCESS'
end

local function store(key, text)
  if is_success(redis.call('GET', key) or '') then return end
  if expires == '0' then
    redis.call('SET', key, text)
  else
    redis.call('SETEX', key, expires, text)
  end
  redis.call('PUBLISH', key, text)
end

if result ~= '' and (is_held or is_success(result)) then store(KEYS[3], result) end
if is_held then
  local last = 4 + 2 * more
  for i = 5, last, 2 do store(ARGV[i], ARGV[i + 1]) end
  for i = last + 1, #ARGV, 2 do redis.call('LPUSH', ARGV[i], ARGV[i + 1]) end
  let_go(tag)
end
