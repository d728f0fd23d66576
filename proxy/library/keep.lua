-- Keep values with tags, unless they are old already. ARGV: their fence, or twice nothing for this moment; packed tags;
-- then for each of the last KEYS its JSON and for how many milliseconds to keep it, nothing for ever. Returns whether
-- they were kept. The form is that of values.py.
local ledger = open()
local incarnation, stamp = tonumber(ARGV[2]) or ledger.incarnation, tonumber(ARGV[3]) or ledger.stamp
if stamp < ledger.swept or not is_true(ledger, incarnation, stamp, ARGV[4]) then
  return 0
end
local seal = string.format('\1%.0f %.0f %d\n', incarnation, stamp, #ARGV[4]) .. ARGV[4]
local first = #KEYS - (#ARGV - 4) / 2
for i = 5, #ARGV, 2 do
  local name = KEYS[first + (i - 3) / 2]
  redis.call('SET', name, seal .. ARGV[i])
  if ARGV[i + 1] ~= '' then
    redis.call('PEXPIRE', name, ARGV[i + 1])
  end
end
return 1
