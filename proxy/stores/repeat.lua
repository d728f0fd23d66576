-- ARGV: how many tags the ledger remembers. Invalidates what is due; returns in how many milliseconds the next is, or false.
local AT_ONCE = 100
local ledger, now = with_echoes(open()), milliseconds()
for _, due in ipairs(redis.call('ZRANGEBYSCORE', echoes, '-inf', now, 'LIMIT', 0, AT_ONCE)) do
  local packed = string.match(due, '^[^\n]*\n(.*)$') or ''
  local incarnation, stamp = string.match(due, '^%d+ %x+ (%d+) (%d+)\n')
  if incarnation then
    ledger = with_register(ledger)
    packed = packed .. pack(live_since(ledger, incarnation, stamp))
  end
  hit(ledger, packed, tonumber(ARGV[2]))
  redis.call('ZREM', echoes, due)
end
set_special(ECHOES, count_echoes())
local coming = redis.call('ZRANGE', echoes, 0, 0, 'WITHSCORES')[2]
return coming and math.max(0, tonumber(coming) - now) or false
