-- Claims the key, or renews a claim. The id is the caller's, so that asking twice is asking once.
-- ARGV: milliseconds, id, '1' to renew, milliseconds for newest
-- Returns 1 and the generation, 2 and the milliseconds left, or 3, the milliseconds left and why.
local holder = redis.call('HGET', KEYS[3], 'id')
if holder == ARGV[2] then
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
  return { 1, redis.call('HGET', KEYS[3], 'g'), '' }
end
if holder then
  return { 2, math.max(redis.call('PTTL', KEYS[3]), 0), '' }
end
if ARGV[3] == '1' then
  return { 2, 0, '' }
end
local why = redis.call('GET', KEYS[4])
if why then
  return { 3, math.max(redis.call('PTTL', KEYS[4]), 0), why }
end
local time = redis.call('TIME')
local newest = math.max(
  tonumber(redis.call('GET', KEYS[5]) or 0),
  tonumber(redis.call('HGET', KEYS[1], 'g') or 0),
  tonumber(redis.call('GET', KEYS[2]) or 0)
)
local generation = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), newest + 1)
local written = string.format('%.0f', generation)
redis.call('SET', KEYS[5], written, 'PX', ARGV[4])
redis.call('HSET', KEYS[3], 'id', ARGV[2], 'g', written)
redis.call('PEXPIRE', KEYS[3], ARGV[1])
return { 1, written, '' }
