-- KEYS[6]: answer. ARGV, where the question is a query: its tag, life in milliseconds and text; how many tags the ledger
-- remembers and how many queries are live. Returns the fence, whether the answer is true, and its tags, head and body.
local ledger = open()
if ARGV[2] then
  ledger = register(ledger, unpack(ARGV, 2))
end
local fields = kept(KEYS[6], 'head', 'body')
require_writable()
local alive = is_kept_true(ledger, fields) and 1 or 0
return {ledger.incarnation, ledger.stamp, alive, fields[3] or false, fields[4] or false, fields[5] or false}
