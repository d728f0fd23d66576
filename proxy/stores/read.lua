-- KEYS[6...]: two for each answer, its own and that of a claim on the trip that would bring it. ARGV: how many tags the
-- ledger remembers, how many queries are live, and the bytes of those; the token of the process; then for each answer
-- the tag, life in milliseconds and text of the query that it answers, three times nothing if it answers none, and for
-- how many milliseconds to claim the trip where there is no true answer, 0 not to. Returns the fence; of each answer
-- whether it is true, and its tags, head and body; and for each whether the trip was claimed. One that is large does not
-- make the others wait: it is only told of, and has to be asked for alone.
local LARGE = 65536
local ledger, told, granted = open(), {}, {}
for i = 6, #ARGV, 4 do
  if ARGV[i] ~= '' then
    ledger = register(ledger, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[2], ARGV[3], ARGV[4])
  end
end
require_writable()
local function is_large(name)
  local size = redis.pcall('HSTRLEN', name, 'body')
  return type(size) == 'number' and size > LARGE
end
local function claim(name, life)
  return life ~= '0' and redis.call('SET', name, ARGV[5], 'NX', 'PX', life)
end
local alone = #KEYS == 7
for i = 6, #KEYS, 2 do
  local life = ARGV[9 + (i - 6) * 2]
  if not alone and is_large(KEYS[i]) then
    told[#told + 1], granted[#granted + 1] = false, 0
  else
    local fields = kept(KEYS[i], 'head', 'body')
    local alive = is_kept_true(ledger, fields)
    told[#told + 1] = {alive and 1 or 0, fields[3] or false, fields[4] or false, fields[5] or false}
    granted[#granted + 1] = not alive and claim(KEYS[i + 1], life) and 1 or 0
  end
end
return {ledger.incarnation, ledger.stamp, told, granted}
