-- KEYS: ledger, answer. ARGV: an incarnation, should the ledger begin anew.
-- Returns the fence, whether the answer is true, and its tags, head and body.
local ledger = open(tonumber(ARGV[1]))
local fields = kept(KEYS[2], 'head', 'body')
local alive = is_kept_true(ledger, fields) and 1 or 0
return {ledger.incarnation, ledger.stamp, alive, fields[3] or false, fields[4] or false, fields[5] or false}
