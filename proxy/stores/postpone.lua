-- ARGV: packed tags; a nonce and, where the tags were chosen by a survey, its fence; after how many milliseconds to
-- invalidate them again, once or several times.
local ledger, now = with_echoes(open()), milliseconds()
require_writable()
for i = 4, #ARGV do
  local due = string.format('%.0f', now + tonumber(ARGV[i]))
  redis.call('ZADD', echoes, due, due .. ' ' .. ARGV[3] .. '\n' .. ARGV[2])
end
set_special(ECHOES, count_echoes())
