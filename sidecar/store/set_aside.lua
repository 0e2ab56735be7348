#!lua
-- Set aside: a damaged checkpoint makes room for a new one and is kept for people to look at, the first one longest.
-- KEYS 1 checkpoint  2 lease  3 where it is kept
-- ARGV 1 holder  2 lease in ms  3 seconds it is kept
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 'HELD' end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
if redis.call('EXISTS', KEYS[1]) == 0 then return 'GONE' end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('UNLINK', KEYS[1])
  return 'DROPPED'
end
redis.call('RENAME', KEYS[1], KEYS[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return 'KEPT'
