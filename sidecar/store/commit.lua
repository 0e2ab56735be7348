#!lua
-- One commit. All checks come before the first write; all values are absolute.
-- KEYS 1 checkpoint  2 lease  3.. streams, those that have a position
-- ARGV 1 number and 2 token as last written (number 0: no checkpoint is expected)  3 generation
--      4 master_replid under which uncommitted stream entries were read ('': there are none)
--      5 token to write  6 owner  7 lease in ms  8 '1': replace the whole checkpoint  9 prefix of the public keys
--      10 renew the expiry of a key when this much of it has passed, in s
--      11 fields written  12 fields removed  13 string keys  14 lists
--      then: id, name and stored position of each stream; field, value; field; key, value, expiry in s;
--      and each list: key, length kept, expiry in s, number of entries, entries
local found = redis.call('HMGET', KEYS[1], 'n', 'own', 'gen', 'said')
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''  -- some servers have none
local function answer(outcome, stream)
  return {outcome, found[1] or '0', found[2] or '', found[3] or '', replid, stream or '', found[4] or ''}
end

if not found[1] then
  if ARGV[1] ~= '0' then return answer('EMPTY') end
elseif found[1] ~= ARGV[1] or found[2] ~= ARGV[2] then
  return answer('CONFLICT')
end
if found[3] and found[3] ~= ARGV[3] then return answer('CLEARED') end
if ARGV[4] ~= '' and ARGV[4] ~= replid then return answer('REREAD') end

-- Ids are compared as text: a Lua number holds 53 bits.
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local at = 15
for i = 3, #KEYS do
  local id, name, last = ARGV[at], ARGV[at + 1], '0-0'
  at = at + 3
  if id ~= '0-0' then
    local info = redis.pcall('XINFO', 'STREAM', KEYS[i])
    for j = 1, #info, 2 do
      if info[j] == 'last-generated-id' then last = info[j + 1] end
    end
    local ms, n = string.match(last, '(%d+)-(%d+)')
    local our_ms, our_n = string.match(id, '(%d+)-(%d+)')
    if less(ms, our_ms) or (ms == our_ms and less(n, our_n)) then return answer('RESET', name) end
  end
end

-- A key keeps its expiry until a renewal is due: EX is a fifth of what the command takes in the append-only file.
local fields, removed, strings, lists = 2 * ARGV[11], tonumber(ARGV[12]), 3 * ARGV[13], tonumber(ARGV[14])
local first, due = at + fields + removed, {}
for i = first, first + strings - 1, 3 do
  local left = redis.call('TTL', ARGV[9] .. ARGV[i])
  due[i] = left <= 0 or left < ARGV[i + 2] - ARGV[10]
end

if ARGV[8] == '1' then
  redis.call('DEL', KEYS[1])
  if found[4] then redis.call('HSET', KEYS[1], 'said', found[4]) end
end
for i = 3, #KEYS do redis.call('HSET', KEYS[1], 'p:' .. ARGV[7 + 3 * i], ARGV[8 + 3 * i]) end

-- unpack() takes about 8,000 values at most.
local function in_parts(command, first, last)
  while first <= last do
    local to = math.min(first + 1999, last)
    redis.call(command, KEYS[1], unpack(ARGV, first, to))
    first = to + 1
  end
end
in_parts('HSET', at, at + fields - 1)
at = at + fields
in_parts('HDEL', at, at + removed - 1)
at = at + removed
for i = at, at + strings - 1, 3 do
  if due[i] then
    redis.call('SET', ARGV[9] .. ARGV[i], ARGV[i + 1], 'EX', ARGV[i + 2])
  else
    redis.call('SET', ARGV[9] .. ARGV[i], ARGV[i + 1], 'KEEPTTL')
  end
end
at = at + strings
for _ = 1, lists do
  local key, entries = ARGV[9] .. ARGV[at], tonumber(ARGV[at + 3])
  if type(redis.pcall('LPUSH', key, unpack(ARGV, at + 4, at + 3 + entries))) == 'table' then
    redis.call('DEL', key)  -- somebody made a key of another type
    redis.call('LPUSH', key, unpack(ARGV, at + 4, at + 3 + entries))
  end
  redis.call('LTRIM', key, 0, ARGV[at + 1] - 1)
  redis.call('EXPIRE', key, ARGV[at + 2])
  at = at + 4 + entries
end
local number = string.format('%.0f', ARGV[1] + 1)
redis.call('HSET', KEYS[1], 'n', number, 'own', ARGV[5], 'gen', ARGV[3])
redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[7])
return {'OK', number, ARGV[5], ARGV[3], replid, '', found[4] or ''}
