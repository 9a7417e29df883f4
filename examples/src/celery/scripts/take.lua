-- Takes messages from queues, urgent ones first. With the number of this worker's last take, it gives what
-- that one took: then its answer was lost.
-- ARGV: this worker, the number of this take, how many, for how many seconds the note of it is kept (a minute
-- at least), and queues.
-- Gives of each its tag, the message and the queue; of one that is no task, the queue alone.
local worker, number, count, kept = unpack(ARGV, 1, 4)
local note = prefix .. 'mainspring-take-' .. worker
local taken, size, noted, refused = {}, 0, {number}

local last = cjson.decode(redis.call('GET', note) or '[]')
if last[1] == number then
  for i = 2, #last do
    local text = redis.call('HGET', held, last[i])
    if text and #text < LONGEST then
      local message, _, queue = parts(text)
      taken[#taken + 1] = {last[i], message, queue}
    end
  end
  return taken
end

local moment = now()
for _, priority in ipairs(PRIORITIES) do
  for i = 5, #ARGV do
    local queue = ARGV[i]
    local list = prefix .. queue .. priority
    while #taken < tonumber(count) and size < MOST do
      -- A key of another kind costs its own list only.
      local raw = redis.pcall('LINDEX', list, -1)
      if type(raw) == 'table' then refused = raw end
      if type(raw) ~= 'string' then break end
      local good, message = pcall(cjson.decode, raw)
      -- What cjson does not read has an id to answer to all the same.
      if good and string.find(raw, '^%s*{') or string.find(raw, '"id": ?"[^"]') then
        local has, tag = pcall(function() return message.properties.delivery_tag end)
        if not has or type(tag) ~= 'string' or redis.call('HEXISTS', held, tag) == 1 then
          tag = worker .. '-' .. number .. '-' .. #noted
        end
        redis.call('ZADD', index, moment, tag)
        redis.call('HSET', held, tag, '[' .. raw .. ', "", ' .. cjson.encode(queue) .. ']')
        if #raw > LONGEST then
          local ok, id, task = pcall(function() return message.headers.id, message.headers.task end)
          raw = cjson.encode({headers = ok and {id = id, task = task}, too_long = #raw})
        end
        noted[#noted + 1] = tag
        taken[#taken + 1] = {tag, raw, queue}
        size = size + #raw
      else
        bury(raw, queue)
        taken[#taken + 1] = {'', '', queue}
      end
      redis.call('RPOP', list)
    end
  end
end
if #taken == 0 and refused then return refused end
if #noted > 1 then redis.call('SET', note, cjson.encode(noted), 'EX', math.max(60, kept)) end
return taken
