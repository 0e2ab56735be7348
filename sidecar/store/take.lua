#!lua
-- Take over: write the token and return the state that it protects, in one step.
-- KEYS 1 checkpoint  2 lease
-- ARGV 1 owner  2 token  3 lease in ms  4 an owner known to be dead ('')  5 '1': may create the checkpoint
local owner = redis.pcall('GET', KEYS[2])
if type(owner) == 'string' and owner ~= ARGV[1] and owner ~= ARGV[4] then return {'OWNED', owner} end
local number = redis.pcall('HGET', KEYS[1], 'n')
-- A key of another type, or a number that no commit wrote: a Lua number holds 53 bits.
if type(number) == 'table' or (number and (#number > 15 or not string.match(number, '^%d+$'))) then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
  return {'DAMAGED', ''}
end
if not number and ARGV[5] ~= '1' then return {'EMPTY', ''} end
redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSETNX', KEYS[1], 'gen', '')
redis.call('HSET', KEYS[1], 'own', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return {'OK', redis.call('HGETALL', KEYS[1])}
