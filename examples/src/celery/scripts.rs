//! What is done in Redis at one stroke: taking, finishing, renewing and restoring tasks. Each is one
//! script, so that no death between two commands can lose a task or answer it twice.
//!
//! The keys are those of kombu's transport, so that workers in Python restore what ours die with, and
//! ours what theirs do: `unacked` holds a message for each delivery tag, with the queue to give it
//! back to, and `unacked_index` when it was taken.

use std::time::Duration;

use super::redis::{Answer, Link};
use super::resp::Reply;

/// What separates a queue's name from a priority in the name of a list.
const SEPARATOR: &str = "\x06\x16";
/// The lists of a queue, most urgent first: the name of the first is the queue's.
const PRIORITIES: [&str; 4] = ["", "\x06\x163", "\x06\x166", "\x06\x169"];
/// A longer message is not read, in bytes: it ends as a failure.
const MAX_MESSAGE: usize = 48 << 20;
/// No more is taken at once when what was taken is this large, in bytes.
const MAX_TAKEN: usize = 16 << 20;
/// The most messages that a list for those that are none is let grow to.
const MAX_DEAD: usize = 10_000;

/// KEYS: unacked, its index, the note of this worker's last take, and lists.
/// ARGV: the number of this take, how many, how much, the longest message, how long the note is
/// kept, this worker, the longest dead list, and for each list its queue and where the dead go.
///
/// With the number of the last take, it gives what that one took: then its answer was lost.
const TAKE: &str = "
local held, index, note, taken = KEYS[1], KEYS[2], KEYS[3], {0}
local last = redis.call('GET', note)
if last then
  last = cjson.decode(last)
  if last[1] == ARGV[1] then
    for i = 2, #last do
      local kept = redis.call('HGET', held, last[i])
      if kept then taken[#taken + 1] = last[i]; taken[#taken + 1] = kept end
    end
    return taken
  end
end
local clock = redis.call('TIME')
local now, size, noted = clock[1] + clock[2] / 1000000, 0, {ARGV[1]}
for i = 4, #KEYS do
  local queue, dead = ARGV[2 * i], ARGV[2 * i + 1]
  while #noted <= tonumber(ARGV[2]) and size < tonumber(ARGV[3]) do
    local raw = redis.call('LINDEX', KEYS[i], -1)
    if not raw then break end
    local good, message = pcall(cjson.decode, raw)
    if good and type(message) == 'table' and string.find(raw, '^%s*{') then
      local function part(of, name)
        return type(of) == 'table' and type(of[name]) ~= 'userdata' and of[name] or nil
      end
      local tag = part(part(message, 'properties'), 'delivery_tag')
      if type(tag) ~= 'string' or redis.call('HEXISTS', held, tag) == 1 then
        tag = ARGV[6] .. '-' .. ARGV[1] .. '-' .. #noted
      end
      local ending = ', \"\", ' .. cjson.encode(queue) .. ']'
      redis.call('ZADD', index, now, tag)
      redis.call('HSET', held, tag, '[' .. raw .. ending)
      if #raw > tonumber(ARGV[4]) then
        local headers = part(message, 'headers')
        local id, task = part(headers, 'id'), part(headers, 'task')
        raw = cjson.encode({headers = {id = id, task = task}, too_long = #raw})
      end
      noted[#noted + 1] = tag
      taken[#taken + 1] = tag
      taken[#taken + 1] = '[' .. raw .. ending
      size = size + #raw
    else
      redis.call('LPUSH', dead, raw)
      redis.call('LTRIM', dead, 0, ARGV[7] - 1)
      taken[1] = taken[1] + 1
    end
    redis.call('RPOP', KEYS[i])
  end
end
if #noted > 1 then redis.call('SET', note, cjson.encode(noted), 'EX', ARGV[5]) end
return taken";

/// KEYS: unacked, its index, the result's key.
/// ARGV: tag, result or nothing, seconds until it expires or 0, whether it is a success, how many
/// more results, those as key and text, then what is to be sent as list and message.
///
/// A success is never overwritten. What follows is sent by the one run that still holds the task.
const FINISH: &str = "
local held = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
local function store(key, text)
  local now = redis.call('GETRANGE', key, 0, 40)
  if string.find(now, '\"status\": ?\"SUCCESS\"') then return end
  if ARGV[3] == '0' then redis.call('SET', key, text)
  else redis.call('SETEX', key, ARGV[3], text) end
  redis.call('PUBLISH', key, text)
end
if ARGV[2] ~= '' and (held or ARGV[4] == '1') then store(KEYS[3], ARGV[2]) end
if held then
  local more = 5 + 2 * ARGV[5]
  for i = 6, more, 2 do store(ARGV[i], ARGV[i + 1]) end
  for i = more + 1, #ARGV, 2 do redis.call('LPUSH', ARGV[i], ARGV[i + 1]) end
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return held and 1 or 0";

/// KEYS: the index. ARGV: tags. A task that is not held is not made to be.
const RENEW: &str = "
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
for _, tag in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'XX', now, tag) end";

/// KEYS: unacked, its index. ARGV: the visibility timeout in seconds, how much.
const OVERDUE: &str = "
local clock = redis.call('TIME')
local before, found, size = clock[1] + clock[2] / 1000000 - ARGV[1], {}, 0
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', before, 'LIMIT', 0, 100)) do
  local kept = redis.call('HGET', KEYS[1], tag)
  if not kept then redis.call('ZREM', KEYS[2], tag)
  elseif size < tonumber(ARGV[2]) then
    found[#found + 1] = tag
    found[#found + 1] = kept
    size = size + #kept
  end
end
return found";

/// KEYS: unacked, its index, a list. ARGV: tag, what is held, the message, which end of the list.
/// Only what is still held as it was is moved.
const MOVE: &str = "
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call(ARGV[4], KEYS[3], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1";

/// KEYS: the bindings of an exchange. ARGV: routing key, what the queues' names begin with,
/// separator, message. Gives how many queues took it.
const REPLY: &str = "
local sent = 0
for _, binding in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local key, _, queue = string.match(binding, '^(.-)' .. ARGV[3] .. '(.-)' .. ARGV[3] .. '(.*)$')
  if key == ARGV[1] then
    redis.call('LPUSH', ARGV[2] .. queue, ARGV[4])
    redis.call('EXPIRE', ARGV[2] .. queue, 60)
    sent = sent + 1
  end
end
return sent";

/// The names of things in Redis, and what is done to them.
#[derive(Clone)]
pub struct Store {
    /// The way there.
    pub link: Link,
    /// What all names begin with.
    pub prefix: String,
}

/// What a task that is over leaves: see [`Store::finish`].
#[derive(Clone, Debug, Default)]
pub struct Leaving {
    /// Its result, if any is to be stored.
    pub result: Option<String>,
    /// Whether that is a success.
    pub success: bool,
    /// Results of tasks that will never run, by their ids.
    pub others: Vec<(String, String)>,
    /// Messages to send, with the queue and priority of each.
    pub sends: Vec<(String, u8, String)>,
}

/// A script and its words.
struct Script(Vec<Vec<u8>>);

impl Script {
    fn new(text: &str, keys: &[&str]) -> Script {
        let count = keys.len().to_string();
        let mut script = Script(Vec::new());
        for word in ["EVAL", text, &count].into_iter().chain(keys.iter().copied()) {
            script.add(word);
        }
        script
    }

    fn add(&mut self, word: impl AsRef<[u8]>) {
        self.0.push(word.as_ref().to_vec());
    }

    fn call(self, link: &Link) -> Answer {
        link.call(&self.0.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

impl Store {
    /// The name of a key.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Where a result is kept and published. A prefix for results is one for keys with a separator
    /// (celery, `backends/base.py`).
    #[must_use]
    pub fn result_key(&self, id: &str) -> String {
        let joint = if self.prefix.is_empty() || self.prefix.ends_with([':', '_', '-', '.']) {
            ""
        } else {
            "_"
        };
        format!("{}{joint}celery-task-meta-{id}", self.prefix)
    }

    /// The list of a queue for messages of a priority: 0, the most urgent, to 9.
    #[must_use]
    pub fn list(&self, queue: &str, priority: u8) -> String {
        self.key(queue) + PRIORITIES[usize::from(priority.min(9) / 3)]
    }

    /// Takes up to `count` messages from `queues`, urgent ones first, and whatever the take of this
    /// number took before. Gives how many were none, which are in `{queue}.dead`, and for each of
    /// the others its tag and what is held: `[message, "", queue]`.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn take(
        &self,
        worker: &str,
        number: u64,
        count: usize,
        queues: &[String],
        kept: Duration,
    ) -> Result<(i64, Vec<(String, String)>), String> {
        let note = self.key(&format!("mainspring-take-{worker}"));
        let held = [self.key("unacked"), self.key("unacked_index"), note];
        let lists: Vec<(String, &String)> = PRIORITIES
            .iter()
            .flat_map(|end| queues.iter().map(move |queue| (self.key(queue) + end, queue)))
            .collect();
        let keys = held.iter().chain(lists.iter().map(|(list, _)| list));
        let mut script = Script::new(TAKE, &keys.map(String::as_str).collect::<Vec<_>>());
        let kept = kept.as_secs().max(60);
        let [number, count] = [number.to_string(), count.to_string()];
        let limits = [MAX_TAKEN.to_string(), MAX_MESSAGE.to_string(), kept.to_string()];
        [number, count].iter().chain(&limits).for_each(|word| script.add(word));
        script.add(worker);
        script.add(MAX_DEAD.to_string());
        for (_, queue) in &lists {
            script.add(queue);
            script.add(self.dead(queue));
        }
        let mut parts = script.call(&self.link).reply().await?.parts().into_iter();
        let Some(Reply::Number(dead)) = parts.next() else {
            return Err("Redis answers a take with something else".to_owned());
        };
        Ok((dead, pairs(parts)))
    }

    /// Where messages of a queue go that have no id to answer to.
    fn dead(&self, queue: &str) -> String {
        self.key(&format!("{queue}.dead"))
    }

    /// Stores what came of a task and lets go of it. May be done twice.
    pub fn finish(&self, tag: &str, id: &str, expires: Duration, leaving: &Leaving) -> Answer {
        let keys = [self.key("unacked"), self.key("unacked_index"), self.result_key(id)];
        let mut script = Script::new(FINISH, &keys.each_ref().map(String::as_str));
        script.add(tag);
        script.add(leaving.result.as_deref().unwrap_or_default());
        script.add(expires.as_secs().to_string());
        script.add(if leaving.success { "1" } else { "0" });
        script.add(leaving.others.len().to_string());
        for (id, text) in &leaving.others {
            script.add(self.result_key(id));
            script.add(text);
        }
        for (queue, priority, message) in &leaving.sends {
            script.add(self.list(queue, *priority));
            script.add(message);
        }
        script.call(&self.link)
    }

    /// Says of tasks that they are still being worked on.
    pub fn renew(&self, tags: &[String]) {
        for tags in tags.chunks(1_000) {
            let mut script = Script::new(RENEW, &[&self.key("unacked_index")]);
            tags.iter().for_each(|tag| script.add(tag));
            drop(script.call(&self.link));
        }
    }

    /// Tasks that were taken more than `visibility` ago, and not renewed since: tag, and what is
    /// held.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn overdue(&self, visibility: Duration) -> Result<Vec<(String, String)>, String> {
        let keys = [self.key("unacked"), self.key("unacked_index")];
        let mut script = Script::new(OVERDUE, &keys.each_ref().map(String::as_str));
        script.add(visibility.as_secs_f64().to_string());
        script.add(MAX_TAKEN.to_string());
        Ok(pairs(script.call(&self.link).reply().await?.parts().into_iter()))
    }

    /// Moves what is held to the end of a list at which it is served next.
    pub fn give_back(&self, tag: &str, held: &str, list: &str, message: &str) -> Answer {
        self.move_to(list, tag, held, message, "RPUSH")
    }

    /// Moves a message without an id to where such go.
    pub fn bury(&self, tag: &str, held: &str, queue: &str, message: &str) -> Answer {
        self.move_to(&self.dead(queue), tag, held, message, "LPUSH")
    }

    fn move_to(&self, list: &str, tag: &str, held: &str, message: &str, end: &str) -> Answer {
        let keys = [&self.key("unacked"), &self.key("unacked_index"), list];
        let mut script = Script::new(MOVE, &keys.map(|key| key as &str));
        [tag, held, message, end].iter().for_each(|word| script.add(word));
        script.call(&self.link)
    }

    /// The queue that an exchange leads to by a routing key, if one is bound so.
    ///
    /// # Errors
    /// What Redis refuses.
    pub async fn bound(&self, exchange: &str, routing_key: &str) -> Result<Option<String>, String> {
        let key = self.key(&format!("_kombu.binding.{exchange}"));
        let bindings = self.link.call(&[b"SMEMBERS", key.as_bytes()]).reply().await?.parts();
        let texts = bindings.into_iter().filter_map(Reply::text);
        Ok(texts.into_iter().find_map(|binding| {
            let mut parts = binding.split(SEPARATOR);
            (parts.next() == Some(routing_key)).then(|| parts.nth(1).map(str::to_owned))?
        }))
    }

    /// Sends a reply to whoever has bound a queue for it.
    pub fn reply(&self, exchange: &str, routing_key: &str, message: &str) {
        let key = self.key(&format!("_kombu.binding.{exchange}"));
        let mut script = Script::new(REPLY, &[&key]);
        [routing_key, &self.prefix, SEPARATOR, message].iter().for_each(|word| script.add(word));
        drop(script.call(&self.link));
    }

    /// Publishes.
    pub fn publish(&self, channel: &str, message: &str) -> Answer {
        self.link.call(&[b"PUBLISH", channel.as_bytes(), message.as_bytes()])
    }

    /// Sends a message to a queue.
    pub fn send(&self, queue: &str, priority: u8, message: &str) -> Answer {
        let list = self.list(queue, priority);
        self.link.call(&[b"LPUSH", list.as_bytes(), message.as_bytes()])
    }
}

fn pairs(mut parts: impl Iterator<Item = Reply>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    while let (Some(first), Some(second)) = (parts.next(), parts.next()) {
        pairs.extend(first.text().zip(second.text()));
    }
    pairs
}
