-- KEYS[6...]: answers. ARGV: how many tags the ledger remembers, how many queries are live, and the bytes of those; then
-- for each answer the tag, life in milliseconds and text of the query that it answers, three times nothing if it answers
-- none. Returns the fence, and of each answer whether it is true, and its tags, head and body. One that is large does not
-- make the others wait: it is only told of, and has to be asked for alone.
local LARGE = 65536
local ledger, told = open(), {}
for i = 5, #ARGV, 3 do
  if ARGV[i] ~= '' then
    ledger = register(ledger, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[2], ARGV[3], ARGV[4])
  end
end
require_writable()
local function is_large(name)
  local size = redis.pcall('HSTRLEN', name, 'body')
  return type(size) == 'number' and size > LARGE
end
for i = 6, #KEYS do
  if #KEYS > 6 and is_large(KEYS[i]) then
    told[#told + 1] = false
  else
    local fields = kept(KEYS[i], 'head', 'body')
    local alive = is_kept_true(ledger, fields) and 1 or 0
    told[#told + 1] = {alive, fields[3] or false, fields[4] or false, fields[5] or false}
  end
end
return {ledger.incarnation, ledger.stamp, told}
