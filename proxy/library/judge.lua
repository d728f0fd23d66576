-- ARGV, for each value: its incarnation, its stamp and its packed tags. Returns for each whether it is true.
local ledger, verdicts = open(), {}
require_writable()
for i = 2, #ARGV, 3 do
  verdicts[#verdicts + 1] = is_true(ledger, tonumber(ARGV[i]), tonumber(ARGV[i + 1]), ARGV[i + 2]) and 1 or 0
end
return verdicts
