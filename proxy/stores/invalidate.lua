-- ARGV: packed tags; how many tags the ledger remembers; where the tags were chosen by a survey, its fence.
local ledger, packed = open(), ARGV[2]
if ARGV[4] then
  ledger = with_register(ledger)
  packed = packed .. pack(live_since(ledger, ARGV[4], ARGV[5]))
end
hit(ledger, packed, tonumber(ARGV[3]))
