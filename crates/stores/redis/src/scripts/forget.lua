-- Forgets tokens up to a generation, and refuses them for a while.
-- ARGV: generation, milliseconds, channel, milliseconds for newest
local through = tonumber(ARGV[1])
local before = tonumber(redis.call('GET', KEYS[2]) or 0)
local keep = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[2]), 1)
redis.call('SET', KEYS[2], string.format('%.0f', math.max(through, before)), 'PX', string.format('%.0f', keep))
if through > tonumber(redis.call('GET', KEYS[5]) or 0) then
  redis.call('SET', KEYS[5], ARGV[1], 'PX', ARGV[4])
end
if tonumber(redis.call('HGET', KEYS[1], 'g') or 0) <= through then
  redis.call('DEL', KEYS[1])
end
redis.pcall('PUBLISH', ARGV[3], ARGV[1])
return 0
