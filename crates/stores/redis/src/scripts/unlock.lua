-- Gives the lock of an account back, if it is the caller's.
-- KEYS: account, lock. ARGV: id
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[2])
return 1
