-- Invalidations that are to be repeated later, because Jira's index lags.
--
--    echoes    sorted set: "due nonce fence\ntags" -> due, in milliseconds; the fence is that of a survey, if there was one
--
-- The ledger counts them: where the count is wrong some were evicted, and answers may have been kept that are older than
-- we think, so the tenant begins anew.
local function with_echoes(ledger)
  return count_echoes() == ledger.echoes and ledger or begin(run_id())
end
