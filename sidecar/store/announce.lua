#!lua
-- Announce that a sale starts or stops. The owner finds it with its next commit, or when it takes the state over.
-- KEYS 1 checkpoint
-- ARGV 1 the announcement, as JSON
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'said', ARGV[1])
return 1
