-- KEYS: claim. ARGV: the token that it was made with; the channel on which waiters listen.
-- A claim that lapsed may be another's by now. The waiters are woken all the same: they look for themselves.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
redis.call('PUBLISH', ARGV[2], KEYS[1])
