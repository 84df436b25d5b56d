#include "state/redis_scripts.h"

#include "base/digest.h"

namespace sluice::state {
namespace {

// --- what several have in front

// A number goes through `text`: Lua's own way to write large ones loses digits.
constexpr const char* kHead = R"(
local p = KEYS[1]
local counts = p .. 'counts'
local call = redis.call
local function text(number) return string.format('%.0f', number) end
)";

constexpr const char* kFenced = R"(
if call('HGET', counts, 'token') ~= ARGV[1] then return {'fenced'} end
)";

// Somebody tells that a counter has been further than it is: some of the data was lost (a failover
// to a copy that was behind). It goes on from there, so that no number means two things, and the
// data has a new life.
constexpr const char* kKnow = R"(
local function new_life(seed)
  local clock = call('TIME')
  call('HSET', counts, 'life', redis.sha1hex(clock[1] .. '.' .. clock[2] .. '.' .. seed))
end
local function know(counter, told, seed)
  if tonumber(told) > tonumber(call('HGET', counts, counter) or '0') then
    call('HSET', counts, counter, told)
    new_life(seed)
  end
end
)";

// Documents: where there is not the revision that is expected, it ends here.
constexpr const char* kChange = R"(
local documents, revisions = p .. 'documents:' .. ARGV[2], p .. 'revisions:' .. ARGV[2]
local there = '0'
if call('HEXISTS', documents, ARGV[3]) == 1 then there = call('HGET', revisions, ARGV[3]) end
if there ~= ARGV[4] then return {'conflict', there} end
local function append(name, entry)
  if not name then return end
  local journal = p .. 'journal:' .. name
  call('HSET', journal, text(call('HINCRBY', journal, 'n', 1)), entry)
end
)";

// --- the state

constexpr const char* kPut = R"(
local revision = text(call('HINCRBY', revisions, ARGV[3], 1))
call('HSET', documents, ARGV[3], revision .. ' ' .. ARGV[5])
append(ARGV[6], ARGV[7])
return {'ok', revision}
)";

constexpr const char* kRemove = R"(
append(ARGV[5], ARGV[6])
call('HDEL', documents, ARGV[3])
return {'ok'}
)";

constexpr const char* kSave = R"(
call('HSET', p .. 'saved:' .. ARGV[2], ARGV[3], ARGV[4])
for i = 5, #ARGV, 3 do
  call('HSET', p .. 'blobs:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2])
  call('ZADD', p .. 'numbers:' .. ARGV[i], 0, ARGV[i + 1])
end
return {'ok'}
)";

constexpr const char* kForget = R"(
call('HDEL', p .. 'saved:' .. ARGV[2], ARGV[3])
return {'ok'}
)";

constexpr const char* kPutBlob = R"(
call('HSET', p .. 'blobs:' .. ARGV[2], ARGV[3], ARGV[4])
call('ZADD', p .. 'numbers:' .. ARGV[2], 0, ARGV[3])
return {'ok'}
)";

constexpr const char* kDropBlobs = R"(
local blobs, numbers = p .. 'blobs:' .. ARGV[2], p .. 'numbers:' .. ARGV[2]
while true do
  local some = call('ZRANGEBYLEX', numbers, '-', '(' .. ARGV[3], 'LIMIT', 0, 1000)
  if #some == 0 then return {'ok'} end
  call('HDEL', blobs, unpack(some))
  call('ZREM', numbers, unpack(some))
end
)";

// --- what replicas say to each other

// A lease's token is the time, in microseconds, where that is more than one above the last: it
// rises also when Redis has lost the last one, and has a new leader in the same millisecond.
constexpr const char* kBeat = R"(
local replica, heard = ARGV[1], ARGV[3]
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local fine = clock[1] * 1000000 + clock[2]
if call('HEXISTS', counts, 'life') == 0 then new_life(replica) end
know('number', heard, replica)

local lease = p .. 'lease'
local leader = call('GET', lease)
if ARGV[2] == '1' and (not leader or leader == replica) then
  if not leader then
    local last = tonumber(call('HGET', counts, 'token') or '0')
    call('HSET', counts, 'token', text(math.max(last + 1, fine)))
  end
  call('SET', lease, replica, 'PX', ARGV[6])
  leader = replica
elseif leader == replica then
  call('DEL', lease)
  leader = false
end

call('ZADD', p .. 'beats', text(now), replica)
if call('HGET', p .. 'heard', replica) ~= heard then call('HSET', p .. 'heard', replica, heard) end

local kept = '1'
local event = ARGV[5]
if event ~= '' and tonumber(ARGV[4]) > tonumber(call('HGET', p .. 'said', replica) or '0') then
  local bytes = call('HMGET', counts, 'total', 'forgotten')
  if (bytes[1] or 0) - (bytes[2] or 0) + #event > tonumber(ARGV[10]) then
    kept = '0'
  else
    local place = text(call('HINCRBY', counts, 'place', 1))
    local total = text(call('HINCRBY', counts, 'total', #event))
    call('XADD', p .. 'events', place .. '-0', 'r', replica, 'b', event, 't', total)
    call('HSET', p .. 'said', replica, ARGV[4])
  end
end

local function post(list, from, id, letter)
  call('RPUSH', list, text(now), from, id, letter)
  call('LTRIM', list, -4 * ARGV[9], -1)
  call('PEXPIRE', list, ARGV[8])
end
local at = 11
for _ = 1, tonumber(ARGV[at]) do
  post(p .. 'questions', ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  at = at + 3
end
at = at + 1
for _ = 1, tonumber(ARGV[at]) do
  post(p .. 'answers:' .. ARGV[at + 1], replica, ARGV[at + 2], ARGV[at + 3])
  at = at + 3
end

local known = call('HMGET', counts, 'life', 'token')
local out = {text(now), known[1], leader or '', known[2] or '0', kept}
local function add(...)
  for _, one in ipairs({...}) do out[#out + 1] = one end
end
local news = call('ZRANGEBYSCORE', p .. 'published', '(' .. heard, '+inf')
add(text(#news))
for _, model in ipairs(news) do
  add(model, text(call('ZSCORE', p .. 'published', model)), call('HGET', p .. 'texts', model))
end

-- Some megabytes at once; the rest at the next beat.
local function fetch(list)
  add('0')
  local head, letters, bytes = #out, 0, 0
  while bytes < 4194304 do
    local letter = call('LPOP', list, 4)
    if not letter then break end
    if now - letter[1] <= tonumber(ARGV[8]) then
      add(letter[2], letter[3], letter[4])
      letters = letters + 1
      bytes = bytes + #letter[4]
    end
  end
  out[head] = text(letters)
end
fetch(p .. 'answers:' .. replica)
if leader ~= replica then
  add('0', '0')
  return out
end
fetch(p .. 'questions')

-- What a replica said last is remembered for an hour after it has gone: a beat of its may have been
-- on the way for long.
for _, name in ipairs(call('ZRANGEBYSCORE', p .. 'beats', '-inf', text(now - 3600000), 'LIMIT', 0,
                           100)) do
  call('ZREM', p .. 'beats', name)
  call('HDEL', p .. 'heard', name)
  call('HDEL', p .. 'said', name)
end
local beats = call('ZRANGEBYSCORE', p .. 'beats', text(now - ARGV[7]), '+inf', 'WITHSCORES')
local names = {}
for i = 1, #beats, 2 do names[#names + 1] = beats[i] end
add(text(#names))
for first = 1, #names, 1000 do
  local last = math.min(first + 999, #names)
  local follow = call('HMGET', p .. 'heard', unpack(names, first, last))
  local at = #out
  for i = first, last do
    out[at + 1], out[at + 2] = names[i], follow[i - first + 1] or '0'
    out[at + 3] = text(math.max(0, now - beats[2 * i]))
    at = at + 3
  end
end
return out
)";

// It counts as gone, and what it said last stays remembered.
constexpr const char* kLeave = R"(
if call('GET', p .. 'lease') == ARGV[1] then call('DEL', p .. 'lease') end
local clock = call('TIME')
local gone = clock[1] * 1000 + math.floor(clock[2] / 1000) - ARGV[2] - 1
call('ZADD', p .. 'beats', 'XX', text(gone), ARGV[1])
return {'ok'}
)";

constexpr const char* kAgree = R"(
call('HSETNX', p .. 'agreed', ARGV[1], ARGV[2])
return {call('HGET', p .. 'agreed', ARGV[1])}
)";

constexpr const char* kPublish = R"(
local number = text(call('HINCRBY', counts, 'number', 1))
call('ZADD', p .. 'published', number, ARGV[2])
call('HSET', p .. 'texts', ARGV[2], ARGV[3])
return {'ok', number}
)";

// In steps, whose length follows from how large events have been: a step's are all in memory.
constexpr const char* kEvents = R"(
know('place', ARGV[2], ARGV[1])
local out, bytes, events, count = {'ok'}, 0, 0, 1
local from, most = text(ARGV[2] + 1) .. '-0', tonumber(ARGV[3])
while bytes < most do
  local some = call('XRANGE', p .. 'events', from, '+', 'COUNT', count)
  for _, one in ipairs(some) do
    local place, fields = string.sub(one[1], 1, -3), one[2]
    out[#out + 1] = place
    out[#out + 1] = fields[2]
    out[#out + 1] = fields[4]
    bytes = bytes + #fields[4] + 64
    from = text(place + 1) .. '-0'
  end
  events = events + #some
  if #some < count then break end
  count = math.max(1, math.min(256, math.floor((most - bytes) * events / bytes)))
end
return out
)";

constexpr const char* kForgetEvents = R"(
local last = call('XREVRANGE', p .. 'events', ARGV[2] .. '-0', '-', 'COUNT', 1)[1]
if last then
  -- This first: without memory only what frees some may begin.
  call('XTRIM', p .. 'events', 'MINID', text(ARGV[2] + 1) .. '-0')
  call('HSET', counts, 'forgotten', last[2][6])
end
return {'ok'}
)";

constexpr const char* kLook = R"(
return {redis.call('INFO', 'memory'), redis.call('INFO', 'replication')}
)";

}  // namespace

RedisScript::RedisScript(std::initializer_list<const char*> parts) {
  for (const auto* part : parts) program += part;
  digest = sha1_hex(program);
}

const RedisScripts& redis_scripts() {
  static const RedisScripts scripts = {
      .put = {kHead, kFenced, kChange, kPut},
      .remove = {kHead, kFenced, kChange, kRemove},
      .save = {kHead, kFenced, kSave},
      .forget = {kHead, kFenced, kForget},
      .put_blob = {kHead, kFenced, kPutBlob},
      .drop_blobs = {kHead, kFenced, kDropBlobs},
      .beat = {kHead, kKnow, kBeat},
      .leave = {kHead, kLeave},
      .agree = {kHead, kAgree},
      .publish = {kHead, kFenced, kPublish},
      .events = {kHead, kFenced, kKnow, kEvents},
      .forget_events = {kHead, kFenced, kForgetEvents},
      .look = {kLook},
  };
  return scripts;
}

}  // namespace sluice::state
