-- Gives a lease back, if it is the caller's, and leaves why there is no token.
-- ARGV: id, milliseconds to cool down or '', why, channel
if redis.call('HGET', KEYS[3], 'id') ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[3])
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[4], ARGV[3], 'PX', ARGV[2])
else
  redis.call('DEL', KEYS[4])
end
redis.pcall('PUBLISH', ARGV[4], '0')
return 1
