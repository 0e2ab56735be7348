#!lua
-- Clear: begin a new generation, delete counts (c:) and public keys; positions (p:), sequence windows (w:) and the
-- records of sales stay.
-- The same generation sent again (its answer was lost) clears nothing and returns the first answer.
-- KEYS 1 checkpoint
-- ARGV 1 new random generation  2 prefix of the public keys  3 now, in Unix seconds
local state = redis.call('HMGET', KEYS[1], 'gen', 'cleared', 'c:totals:')
if state[1] == ARGV[1] then return state[2] end
local totals = state[3] or ''

local fields, keys = {}, {}
local function key(name) keys[#keys + 1] = ARGV[2] .. name end
for _, status in ipairs({'success', 'failed', 'pending', 'cancelled'}) do key('order_status:' .. status) end
key('order_latency')
key('processing_time')
key('rejected')
key('sale:current')
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 2) == 'c:' and string.sub(field, 1, 8) ~= 'c:sales:' then
    fields[#fields + 1] = field
    if string.match(field, '^c:names:') then  -- products of a block, then a checksum; a damaged one must not prevent a clear
      local readable, products = pcall(cmsgpack.unpack, string.sub(redis.call('HGET', KEYS[1], field), 1, -5))
      if readable and type(products) == 'table' then
        for _, product in ipairs(products) do key('inventory:' .. product) end
      end
    end
    local metric = string.match(field, '^c:custom:([^\n]+)\n')
    if metric then key('custom:' .. metric) end
    local minute = string.match(field, '^c:minutes:(%d+)$')
    if minute then
      for second = tonumber(minute), minute + 59 do
        local text = string.format('%.0f', second)
        key('throughput:' .. text)
        key('queue_length:' .. text)
        key('active_connections:' .. text)
      end
    end
  end
end
for i = 1, #fields, 2000 do redis.call('HDEL', KEYS[1], unpack(fields, i, math.min(i + 1999, #fields))) end
for i = 1, #keys, 2000 do redis.call('UNLINK', unpack(keys, i, math.min(i + 1999, #keys))) end
redis.call('HSET', KEYS[1], 'gen', ARGV[1], 'cleared', totals, 'cleared_at', ARGV[3])
return totals
