-- KEYS: ledger. ARGV: an incarnation, should the ledger begin anew; packed tags; how many tags the ledger remembers.
local ledger = open(tonumber(ARGV[1]))
local stamp = ledger.stamp + 1
redis.call('ZADD', key, -1 - stamp, STAMP)

each_chunk(ARGV[2], function(tags)
  local scored = {}
  for i, tag in ipairs(tags) do
    scored[2 * i - 1], scored[2 * i] = stamp, tag
  end
  redis.call('ZADD', key, unpack(scored))
  return true
end)

-- What is forgotten must not come back to life: the floor makes old whatever the forgotten stamps might have.
local excess = redis.call('ZCARD', key) - SPECIAL - tonumber(ARGV[3])
if excess > 0 then
  local last = redis.call('ZRANGE', key, SPECIAL + excess - 1, SPECIAL + excess - 1, 'WITHSCORES')
  redis.call('ZREMRANGEBYRANK', key, SPECIAL, SPECIAL + excess - 1)
  redis.call('ZADD', key, -1 - tonumber(last[2]), FLOOR)
end
