-- Moves a task that is held to a list: `back` to where it is the next, with a mark, or without one if it is
-- `due`; or to where the `dead` go.
-- KEYS[3]: the list. ARGV: tag, which of these.
local tag, how = unpack(ARGV)
local message = parts(redis.call('HGET', held, tag) or '')
if not message then return end
if how == 'dead' then
  bury(message, KEYS[3])
else
  redis.call('RPUSH', KEYS[3], how == 'back' and marked(message) or message)
end
let_go(tag)
