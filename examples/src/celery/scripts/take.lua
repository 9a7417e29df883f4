-- Takes messages from queues, urgent ones first. With the number of this worker's last take, it gives what
-- that one took: then its answer was lost.
-- KEYS[3]: the note of the last take.
-- ARGV: this worker, the number of this take, how many, for how long the note is kept, what all names
-- begin with, and queues.
-- Gives of each its tag, the message and the queue; of one that is no task, the queue alone.
local note = KEYS[3]
local worker, number, count, kept, prefix = unpack(ARGV, 1, 5)
local taken, size, noted = {}, 0, {number}

local function give(tag, message, queue)
  size = size + #message
  for _, text in ipairs({tag, message, queue}) do taken[#taken + 1] = text end
end

local last = cjson.decode(redis.call('GET', note) or '[]')
if last[1] == number then
  for i = 2, #last do
    local text = redis.call('HGET', held, last[i])
    if text and #text < LONGEST then
      local message, _, queue = parts(text)
      give(last[i], message, queue)
    end
  end
  return taken
end

local function part(of, name)
  return type(of) == 'table' and type(of[name]) ~= 'userdata' and of[name] or nil
end

local moment = now()
for _, priority in ipairs(PRIORITIES) do
  for i = 6, #ARGV do
    local queue = ARGV[i]
    local list = prefix .. queue .. priority
    while #taken < 3 * count and size < MOST do
      local raw = redis.call('LINDEX', list, -1)
      if not raw then break end
      local good, message = pcall(cjson.decode, raw)
      if good and type(message) == 'table' and string.find(raw, '^%s*{') then
        local tag = part(part(message, 'properties'), 'delivery_tag')
        if type(tag) ~= 'string' or redis.call('HEXISTS', held, tag) == 1 then
          tag = worker .. '-' .. number .. '-' .. #noted
        end
        redis.call('ZADD', index, moment, tag)
        redis.call('HSET', held, tag, '[' .. raw .. ', "", ' .. cjson.encode(queue) .. ']')
        if #raw > LONGEST then
          local headers = part(message, 'headers')
          local id, task = part(headers, 'id'), part(headers, 'task')
          raw = cjson.encode({headers = {id = id, task = task}, too_long = #raw})
        end
        noted[#noted + 1] = tag
        give(tag, raw, queue)
      else
        bury(raw, prefix .. queue .. '.dead')
        give('', '', queue)
      end
      redis.call('RPOP', list)
    end
  end
end
if #noted > 1 then redis.call('SET', note, cjson.encode(noted), 'EX', kept) end
return taken
