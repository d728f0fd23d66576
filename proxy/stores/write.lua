-- KEYS[6]: answer. ARGV: the answer's incarnation, stamp, packed tags, head and body; for how many milliseconds to keep
-- it. Returns whether the answer is true.
local ledger = open()
local stamp = tonumber(ARGV[3])
if stamp < ledger.swept then
  return 0
end
local alive = is_true(ledger, tonumber(ARGV[2]), stamp, ARGV[4])
local held = kept(KEYS[6])
if not is_kept_true(ledger, held) or (alive and stamp >= tonumber(held[2])) then
  redis.call('DEL', KEYS[6])
  redis.call('HSET', KEYS[6], 'incarnation', ARGV[2], 'stamp', ARGV[3], 'tags', ARGV[4], 'head', ARGV[5], 'body', ARGV[6])
  redis.call('PEXPIRE', KEYS[6], ARGV[7])
end
return alive and 1 or 0
