-- Whether there is something to see: a token later than ARGV[1], or nobody who fetches one.
if redis.call('EXISTS', KEYS[3]) == 0 then
  return 1
end
if tonumber(redis.call('HGET', KEYS[1], 'g') or 0) > tonumber(ARGV[1]) then
  return 1
end
return 0
