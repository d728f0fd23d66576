-- The register of live queries: live.py's rule, for all processes that share this Redis.
--
--    live      sorted set: tag -> stamp of its registration
--    queries   hash: tag -> "registered life text", the times in milliseconds
--
-- Forgetting a query makes its answers old in the same step, so nothing that is true depends on the clock here. The
-- ledger counts the queries: where the count is wrong, something was evicted, events may have missed what was lost, and
-- the tenant begins anew.
local FORGOTTEN_AT_ONCE = 100
local QUERY_WEIGHT = 256 -- live.py's WEIGHT

local function is_whole(ledger)
  return redis.pcall('ZCARD', live) == ledger.live and redis.pcall('HLEN', queries) == ledger.live
end

local function with_register(ledger)
  return is_whole(ledger) and ledger or begin(run_id())
end

local function times_of(text)
  local registered, life = string.match(text or '', '^(%d+) (%d+) ')
  return tonumber(registered) or 0, tonumber(life) or 0
end

local function weight_of(text)
  return text and QUERY_WEIGHT + #text or 0
end

local function queries_of(tags)
  return #tags == 0 and {} or redis.call('HMGET', queries, unpack(tags))
end

-- The tags of the queries that became live after a stamp of an incarnation; all where it is not the ledger's.
local function live_since(ledger, incarnation, stamp)
  local all = tonumber(incarnation) ~= ledger.incarnation
  return redis.call('ZRANGEBYSCORE', live, all and '-inf' or '(' .. stamp, '+inf'), all
end

-- Forget, oldest first, what no answer can need any more and what is too much; return the tags and what is left.
local function forget(now, weight, limit, room)
  local oldest = redis.call('ZRANGE', live, 0, FORGOTTEN_AT_ONCE - 1)
  local texts, excess, gone = queries_of(oldest), redis.call('ZCARD', live) - limit, {}
  for i, tag in ipairs(oldest) do
    local registered, life = times_of(texts[i])
    if i > excess and weight <= room and now - registered <= 2 * life then
      break
    end
    weight = weight - weight_of(texts[i])
    gone[i] = tag
  end
  if #gone > 0 then
    redis.call('ZREM', live, unpack(gone))
    redis.call('HDEL', queries, unpack(gone))
  end
  return gone, weight
end

-- Register a query unless it is; writes nothing if its registration is young enough to outlive whatever is asked for now.
local function register(ledger, tag, life, text, ledger_limit, live_limit, live_room)
  local now, known = milliseconds(), redis.pcall('HGET', queries, tag)
  local registered, held = times_of(type(known) == 'string' and known)
  if now - registered <= held and tonumber(life) <= held then
    return ledger
  end
  ledger = with_register(ledger)
  local stored = string.format('%.0f %s ', now, life) .. text
  local weight = ledger.weight + weight_of(stored) - weight_of(redis.call('HGET', queries, tag))
  redis.call('ZADD', live, ledger.stamp + 1, tag)
  redis.call('HSET', queries, tag, stored)
  local gone, left = forget(now, weight, tonumber(live_limit), tonumber(live_room))
  hit(ledger, pack(gone), tonumber(ledger_limit))
  set_special(LIVE, redis.call('ZCARD', live))
  set_special(WEIGHT, left)
  return ledger
end
