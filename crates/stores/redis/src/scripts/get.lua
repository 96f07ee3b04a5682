-- The token: its generation, its bytes, and how many milliseconds it is kept.
local held = redis.call('HMGET', KEYS[1], 'g', 'b')
if not held[1] or not held[2] then
  return false
end
return { held[1], held[2], math.max(redis.call('PTTL', KEYS[1]), 0) }
