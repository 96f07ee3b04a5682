-- Takes the lock of an account, if it is free. The id is the caller's, so that asking twice is asking once.
-- KEYS: account, lock. ARGV: id, milliseconds
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
