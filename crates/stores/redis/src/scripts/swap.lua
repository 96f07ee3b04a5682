-- Writes an entry, if the present revision is the expected one. The id is the caller's, so that writing
-- twice is writing once.
-- KEYS: account, lock. ARGV: expected revision, next revision, bytes, id
if (redis.call('HGET', KEYS[1], 'r') or '0') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'r', ARGV[2], 'b', ARGV[3], 'id', ARGV[4])
  return 1
end
if redis.call('HGET', KEYS[1], 'id') == ARGV[4] then
  return 1
end
return 0
