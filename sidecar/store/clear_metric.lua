#!lua
-- Clear one custom metric: delete its series and its public key; the generation names it and the id of this clear.
-- The same id sent again (its answer was lost) clears nothing. Returns 1, or 0 if nothing is stored of the metric.
-- KEYS 1 checkpoint
-- ARGV 1 new random id  2 prefix of the public keys  3 metric
local generation = redis.call('HGET', KEYS[1], 'gen') or ''
local name, others = ARGV[3] .. '=', {}
for clear in string.gmatch(generation .. ' ', '(.-) ') do
  if clear == name .. ARGV[1] then return 1 end
  if string.sub(clear, 1, #name) ~= name then others[#others + 1] = clear end
end

local begin, fields = 'c:custom:' .. ARGV[3] .. '\n', {}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, #begin) == begin then fields[#fields + 1] = field end
end
if #fields == 0 then return 0 end
for i = 1, #fields, 2000 do redis.call('HDEL', KEYS[1], unpack(fields, i, math.min(i + 1999, #fields))) end
redis.call('UNLINK', ARGV[2] .. 'custom:' .. ARGV[3])
others[#others + 1] = name .. ARGV[1]
redis.call('HSET', KEYS[1], 'gen', table.concat(others, ' '))
return 1
