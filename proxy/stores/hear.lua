-- ARGV: the fence of what was last heard, if anything was. Returns the fence; the stamp below which all is old for who keeps
-- copies; where the stream of changes ends; and, of the same incarnation, what was invalidated since: tag, stamp, tag, ...
local ledger, since = open(), {}
if tonumber(ARGV[2]) == ledger.incarnation then
  since = redis.call('ZRANGEBYSCORE', key, '(' .. ARGV[3], '+inf', 'WITHSCORES')
end
require_writable()
local last = redis.pcall('XREVRANGE', changes, '+', '-', 'COUNT', 1)
return {ledger.incarnation, ledger.stamp, math.max(ledger.floor, ledger.swept), last[1] and last[1][1] or '0-0', since}
