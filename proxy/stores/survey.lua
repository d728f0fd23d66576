-- ARGV: the fence of an earlier survey, if there was one. Returns the fence, whether these are all, tags and queries.
local ledger = with_register(open())
local tags, all = live_since(ledger, ARGV[2], ARGV[3])
local texts = {}
each_chunk(pack(tags), function(chunk)
  for _, text in ipairs(queries_of(chunk)) do
    texts[#texts + 1] = text
  end
  return true
end)
return {ledger.incarnation, ledger.stamp, all and 1 or 0, tags, texts}
