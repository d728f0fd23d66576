-- KEYS[6]: answer. ARGV: the answer's incarnation, stamp, packed tags, head and body; for how many milliseconds to keep
-- it. Returns whether the answer is true.
-- KEYS[7], where a trip was claimed: its claim, given up with a true answer. ARGV then goes on with what land() needs.
local ledger = open()
local stamp = tonumber(ARGV[3])
if stamp < ledger.swept then
  return 0
end
local alive = is_true(ledger, tonumber(ARGV[2]), stamp, ARGV[4])
local held = kept(KEYS[6])
if not is_kept_true(ledger, held) or (alive and stamp >= tonumber(held[2])) then
  -- Nothing is written before this: a server without room refuses only what its script does first.
  local command =
    {'HSET', KEYS[6], 'incarnation', ARGV[2], 'stamp', ARGV[3], 'tags', ARGV[4], 'head', ARGV[5], 'body', ARGV[6]}
  local told = redis.pcall(unpack(command))
  if type(told) == 'table' and string.find(told.err, 'WRONGTYPE', 1, true) then -- something else lies under the name
    redis.call('DEL', KEYS[6])
    redis.call(unpack(command))
  elseif type(told) == 'table' then
    return told
  end
  redis.call('PEXPIRE', KEYS[6], ARGV[7])
end
if alive and KEYS[7] then
  land(KEYS[7], unpack(ARGV, 8))
end
return alive and 1 or 0
