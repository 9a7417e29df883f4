-- What all scripts begin with. The first word that each is given is what all names begin with.
local prefix = table.remove(ARGV, 1)
-- For each delivery tag [message, "exchange", "routing key"], and when that was taken.
local held, index = prefix .. 'unacked', prefix .. 'unacked_index'

local function let_go(tag)
  redis.call('ZREM', index, tag)
  redis.call('HDEL', held, tag)
end

