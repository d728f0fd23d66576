-- Give a claim up and wake whoever waits, on a channel of theirs; with `marked` it can be seen for so many milliseconds
-- that an answer was brought.
-- A claim that lapsed may be another's by now. The waiters are woken all the same: they look for themselves.
local function land(claim, token, channel, marked)
  if redis.call('GET', claim) == token then
    if marked then
      redis.call('SET', claim, 'landed', 'PX', marked)
    else
      redis.call('DEL', claim)
    end
  end
  redis.call('PUBLISH', channel, claim)
end
