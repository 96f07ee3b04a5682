-- Stores a token, unless it is old news, and gives the lease back.
-- ARGV: generation, bytes, milliseconds to keep it, lease id or '', channel, milliseconds for newest
if ARGV[4] ~= '' and redis.call('HGET', KEYS[3], 'id') == ARGV[4] then
  redis.call('DEL', KEYS[3])
end
local generation = tonumber(ARGV[1])
local held = tonumber(redis.call('HGET', KEYS[1], 'g') or 0)
local forgotten = tonumber(redis.call('GET', KEYS[2]) or 0)
local stored = 0
if generation > held and generation > forgotten then
  redis.call('HSET', KEYS[1], 'g', ARGV[1], 'b', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('DEL', KEYS[4])
  if generation > tonumber(redis.call('GET', KEYS[5]) or 0) then
    redis.call('SET', KEYS[5], ARGV[1], 'PX', ARGV[6])
  end
  stored = 1
end
redis.pcall('PUBLISH', ARGV[5], ARGV[1])
return stored
