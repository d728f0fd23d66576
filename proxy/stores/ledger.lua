-- One tenant's ledger of invalidations: ledger.py's rule, for all processes that share this Redis. It opens every script.
--
-- The ledger is a single sorted set, so that eviction, FLUSHALL or a failover loses all of it at once or nothing.
-- A tag's score is the stamp of its last invalidation. Four members are no tags: their names are not UTF-8, so no tag
-- can be called so, and their scores are negative (-1 - value), so they are always the first four ranks and trimming
-- skips them. Scores are doubles: exact up to 2^53.
local INCARNATION, STAMP, FLOOR, RUN = '\255incarnation', '\255stamp', '\255floor', '\255run'
local SPECIAL = 4
local CHUNK = 1000 -- unpack() may fill Lua's stack of 8000, and ZADD takes two values for each tag

local key = KEYS[1]

-- A Redis that restarted or took over may have lost the last invalidations. It is another process then, with another
-- run id. Asking the server itself leaves no gap between a reconnection and what the client has heard of it.
local function run_id()
  local told = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  return tonumber(string.sub(told, 1, 12), 16)
end

local function begin(run, incarnation)
  redis.call('DEL', key)
  redis.call('ZADD', key, -1 - incarnation, INCARNATION, -1, STAMP, -1, FLOOR, -1 - run, RUN)
  return {incarnation = incarnation, stamp = 0, floor = 0}
end

-- Open this server's ledger, or begin a new history under the incarnation given.
local function open(incarnation)
  local run = run_id()
  local found = redis.pcall('ZMSCORE', key, INCARNATION, STAMP, FLOOR, RUN)
  for i = 1, SPECIAL do
    if not found[i] then
      return begin(run, incarnation)
    end
    found[i] = -1 - tonumber(found[i])
  end
  if found[4] ~= run then
    return begin(run, incarnation)
  end
  return {incarnation = found[1], stamp = found[2], floor = found[3]}
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
