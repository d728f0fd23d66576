-- Give a claim up and wake whoever waits, on a channel of theirs; with `marked` it can be seen for so many milliseconds
-- that an answer was brought.
-- A claim that lapsed may be another's by now, for whose trip they go on waiting.
local function land(claim, token, channel, marked)
  local holder = redis.call('GET', claim)
  if holder and holder ~= token then
    return
  end
  if holder and marked then
    redis.call('SET', claim, 'landed', 'PX', marked)
  else
    redis.call('DEL', claim)
  end
  redis.call('PUBLISH', channel, claim)
end
