-- One tenant's ledger of invalidations: ledger.py's rule, for all processes that share this Redis. It opens every script.
-- KEYS: ledger, live, queries, changes, echoes, and in some scripts an answer. ARGV[1]: an incarnation, should one begin.
--
-- The ledger is a single sorted set, so that eviction, FLUSHALL or a failover loses all of it at once or nothing.
-- A tag's score is the stamp of its last invalidation. Some members are no tags: their names are not UTF-8, so no tag
-- can be called so, and their scores are negative (-1 - value), so they are always the first ranks and trimming skips
-- them. Scores are doubles: exact up to 2^53.
local SPECIAL = {
  '\255incarnation',
  '\255stamp',
  '\255floor', -- the highest stamp ever forgotten
  '\255run', -- the run of the master that knows of all invalidations
  '\255swept', -- what was asked for before this stamp is not kept
  '\255live', -- how many queries are registered, so that the loss of the register is noticed
  '\255echoes', -- how many echoes are due, for the same reason
  '\255weight', -- bytes of the registered queries
}
local INCARNATION, STAMP, FLOOR, RUN, SWEPT, LIVE, ECHOES, WEIGHT = unpack(SPECIAL)
local CHUNK = 1000 -- unpack() may fill Lua's stack of 8000, and ZADD takes two values for each tag
local CHANGES_KEPT = 1000

local key, live, queries, changes, echoes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- A Redis that restarted or took over may have lost the last invalidations. It is another process then, with another
-- run id. One that was master, gave way and is master again is the same process, but of another replication history.
-- Asking the server itself leaves no gap between a reconnection and what the client has heard of it.
local function run_id()
  local process = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return (tonumber(string.sub(process, 1, 12), 16) + tonumber(string.sub(history, 1, 12), 16)) % 2 ^ 48
end

-- Write nothing, which costs no replica and no file anything, for two things that come of it.
-- A server that takes no writes (it became a replica, has too few of its own, or its disk fails it) refuses this too, and
-- does not learn what is made old meanwhile: who tells that something is true must have come this far.
-- A server without room refuses what may need more of it, unless its script has written before: what is made old must
-- not live on for want of memory, and the ledger is bounded.
local function require_writable()
  redis.call('ZREM', key, '')
end

local function milliseconds()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function set_special(name, value)
  redis.call('ZADD', key, -1 - value, name)
end

-- Tell whoever tails the changes. The ledger is what counts; this wakes them and tells people.
local function announce(ledger, packed)
  local command = {
    'XADD', changes, 'MAXLEN', '~', CHANGES_KEPT, '*',
    'incarnation', string.format('%.0f', ledger.incarnation), 'stamp', string.format('%.0f', ledger.stamp), 'tags', packed,
  }
  if redis.pcall(unpack(command)).err then -- something else lies under the name
    redis.call('DEL', changes)
    redis.call(unpack(command))
  end
end

local function count_echoes()
  local count = redis.pcall('ZCARD', echoes)
  if type(count) ~= 'number' then -- something else lies under the name
    redis.call('DEL', echoes)
    return 0
  end
  return count
end

local function begin(run)
  local ledger = {incarnation = tonumber(ARGV[1]), stamp = 0, floor = 0, swept = 0, live = 0, echoes = count_echoes(), weight = 0}
  redis.call('DEL', key, live, queries)
  for _, name in ipairs({STAMP, FLOOR, SWEPT, LIVE, WEIGHT}) do
    set_special(name, 0)
  end
  -- What is due stays due: answers that are fetched now may come from an index that lags.
  set_special(ECHOES, count_echoes())
  set_special(INCARNATION, ledger.incarnation)
  set_special(RUN, run)
  announce(ledger, '*\n')
  return ledger
end

-- Open this server's ledger, or begin a new history under the incarnation given.
local function open()
  local run = run_id()
  local found = redis.pcall('ZMSCORE', key, unpack(SPECIAL))
  for i = 1, #SPECIAL do
    if not found[i] then
      return begin(run)
    end
    found[i] = -1 - tonumber(found[i])
  end
  if found[4] ~= run then
    return begin(run)
  end
  return {
    incarnation = found[1], stamp = found[2], floor = found[3], swept = found[5], live = found[6], echoes = found[7],
    weight = found[8],
  }
end

-- Call visit() with the tags of a packed list, each ended by a newline, a thousand at a time, while it returns true.
local function each_chunk(packed, visit)
  local chunk = {}
  for tag in string.gmatch(packed, '([^\n]*)\n') do
    chunk[#chunk + 1] = tag
    if #chunk == CHUNK then
      if not visit(chunk) then
        return false
      end
      chunk = {}
    end
  end
  return #chunk == 0 or visit(chunk)
end

local function pack(tags)
  return #tags == 0 and '' or table.concat(tags, '\n') .. '\n'
end

-- An entry is true iff its incarnation is the ledger's, its stamp is not below the floor, and no tag was invalidated since.
local function is_true(ledger, incarnation, stamp, packed)
  if incarnation ~= ledger.incarnation or not (stamp and stamp >= ledger.floor) then -- not (>=): a damaged stamp may be NaN
    return false
  end
  return each_chunk(packed, function(tags)
    for _, invalidated in ipairs(redis.call('ZMSCORE', key, unpack(tags))) do
      if invalidated and tonumber(invalidated) > stamp then
        return false
      end
    end
    return true
  end)
end

-- What is forgotten must not come back to life: the floor makes old whatever the forgotten stamps might have.
local function trim(limit)
  local excess = redis.call('ZCARD', key) - #SPECIAL - limit
  if excess > 0 then
    local last = redis.call('ZRANGE', key, #SPECIAL + excess - 1, #SPECIAL + excess - 1, 'WITHSCORES')
    redis.call('ZREMRANGEBYRANK', key, #SPECIAL, #SPECIAL + excess - 1)
    set_special(FLOOR, tonumber(last[2]))
  end
end

-- Give packed tags the next stamp; the ledger remembers `limit` of them.
local function hit(ledger, packed, limit)
  ledger.stamp = ledger.stamp + 1
  require_writable()
  set_special(STAMP, ledger.stamp)
  each_chunk(packed, function(tags)
    local scored = {}
    for i, tag in ipairs(tags) do
      scored[2 * i - 1], scored[2 * i] = ledger.stamp, tag
    end
    redis.call('ZADD', key, unpack(scored))
    return true
  end)
  trim(limit)
  if packed ~= '' then
    announce(ledger, packed)
  end
end

-- The fields of a kept answer that the rule needs; all of them missing if something else lies under the name.
local function kept(name, ...)
  local fields = redis.pcall('HMGET', name, 'incarnation', 'stamp', 'tags', ...)
  if fields.err then
    return {}
  end
  return fields
end

local function is_kept_true(ledger, fields)
  return fields[3] and is_true(ledger, tonumber(fields[1]), tonumber(fields[2]), fields[3])
end
