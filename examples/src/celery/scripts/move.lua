-- Moves a task that is held to its queue: `back` to where it is the next, with a mark, or without one if it
-- is `due`; or to where the `dead` go.
-- ARGV: tag, which of these.
local tag, how = unpack(ARGV)
local message, _, queue = parts(redis.call('HGET', held, tag) or '')
if not message then return end
if how == 'dead' then
  bury(message, queue)
else
  put_back(how == 'back' and marked(message) or message, queue)
end
let_go(tag)
