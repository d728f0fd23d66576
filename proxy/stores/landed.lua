-- KEYS: claim. ARGV: the token of the process; the channel on which waiters listen; how many milliseconds the
-- claim is marked as landed, 0 for not at all.
-- A claim that lapsed may be another's by now. The waiters are woken all the same: they look for themselves.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  if ARGV[3] == '0' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('SET', KEYS[1], 'landed', 'PX', ARGV[3])
  end
end
redis.call('PUBLISH', ARGV[2], KEYS[1])
