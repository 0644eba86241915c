-- What every script begins with: the store's keys, its clock, and what is to be written, which is gathered.
-- KEYS are those of keys.rs, in its order; ARGV[1] is where changes are announced, ARGV[2] who makes them.

local operations, requests, pieces, drafts, terms, uses, keys, queue, lanes, delayed, leases, lengths, held, overdue,
  owned, due, chunks, counts = unpack(KEYS)
local call, pack, unpack_fields = redis.call, struct.pack, struct.unpack

local clock = call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)

local QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELED = 0, 1, 2, 3, 4
local STATES = { [0] = 'queued', 'running', 'succeeded', 'failed', 'canceled' }

-- Everything is written at the script's end, to each key by one command or two: commands are what takes time. What is to
-- be gone goes first; so what was put before by the same script has to be settled before it is dropped.

local IS_SORTED = { [queue] = true, [lanes] = true, [delayed] = true, [leases] = true, [held] = true, [overdue] = true,
  [owned] = true, [due] = true }

local dropped_from, put_into = {}, {}

local function drop(key, name)
  local names = dropped_from[key]
  if names then names[#names + 1] = name else dropped_from[key] = { name } end
end

-- A field with its value, or a member with its score.
local function put(key, name, value)
  local pairs_of = put_into[key]
  if not pairs_of then
    pairs_of = {}
    put_into[key] = pairs_of
  end
  local last = #pairs_of
  if IS_SORTED[key] then name, value = value, name end
  pairs_of[last + 1], pairs_of[last + 2] = name, value
end

local function settle()
  -- Where memory is short, a script may write if its first command only takes away.
  call('HDEL', operations, '')
  for key, names in pairs(dropped_from) do call(IS_SORTED[key] and 'ZREM' or 'HDEL', key, unpack(names)) end
  for key, pairs_of in pairs(put_into) do call(IS_SORTED[key] and 'ZADD' or 'HSET', key, unpack(pairs_of)) end
  dropped_from, put_into = {}, {}
end

-- The next of the numbers that are given under this name.
local numbers = {}

local function next_number(name)
  numbers[name] = (numbers[name] or call('HGET', counts, name) or 0) + 1
  return numbers[name]
end

local counted, used, changed, queued_some = {}, {}, {}, false

local function count(name, by)
  counted[name] = (counted[name] or 0) + by
end

local function use(digest, by)
  used[digest] = (used[digest] or 0) + by
end

-- What is to be done before all of it is written, and after.
local before_writing, after_writing = {}, {}

local function finish_script()
  for _, step in ipairs(before_writing) do step() end
  for name, number in pairs(numbers) do put(counts, name, number) end
  settle()
  for _, step in ipairs(after_writing) do step() end
  for name, by in pairs(counted) do
    if by ~= 0 then call('HINCRBY', counts, name, by) end
  end
  for digest, by in pairs(used) do
    if call('HINCRBY', uses, digest, by) <= 0 then
      call('HDEL', uses, digest)
      call('HDEL', terms, digest)
    end
  end
  if queued_some or #changed > 0 then
    call('PUBLISH', ARGV[1], ARGV[2] .. (queued_some and 'q' or '') .. table.concat(changed))
  end
end

