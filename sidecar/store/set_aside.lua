#!lua
-- Set aside: move a damaged checkpoint out of the way, where people can look at it. An earlier one is never replaced.
-- KEYS 1 checkpoint  2 lease  3 where it is kept
-- ARGV 1 owner  2 lease in ms  3 seconds to keep it
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'LOST' end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then return 'GONE' end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('UNLINK', KEYS[1])
  return 'DROPPED'
end
redis.call('RENAME', KEYS[1], KEYS[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return 'KEPT'
