#!lua
-- Try every command of the other scripts, for `sidecar check`, on keys that are gone when it ends.
-- KEYS 1 a key   ARGV 1 another, undeclared, like the public keys that a commit writes
-- Returns a text for every command that failed. If DEL fails, the keys expire a second later.
local key, other, failed = KEYS[1], ARGV[1], {}
local function try(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'no such key') then
    failed[#failed + 1] = command .. ': ' .. reply.err
  end
end

try('INFO', 'replication')
try('XINFO', 'STREAM', key)
try('HSET', key, 'n', 1)
try('EXPIRE', key, 1)
try('TTL', key)
try('EXISTS', key)
try('HSETNX', key, 'n', 1)
try('HINCRBY', key, 'n', 1)
try('HGET', key, 'n')
try('HMGET', key, 'n')
try('HGETALL', key)
try('HKEYS', key)
try('HEXISTS', key, 'n')
try('HDEL', key, 'own')
try('RENAME', key, other)
try('SET', key, 1, 'EX', 1)
try('SET', key, 1, 'PX', 1000)
try('SET', key, 1, 'KEEPTTL')
try('GET', key)
try('UNLINK', key, other)
try('LPUSH', key, 1)
try('EXPIRE', key, 1)
try('LTRIM', key, 0, 0)
try('LRANGE', key, 0, 0)
try('DEL', key, other)
return failed
