-- What every script begins with: the store's keys, its clock, its records, and the steps of an operation's life.
-- KEYS are those of keys.rs, in its order; ARGV[1] is where changes are announced, ARGV[2] who makes them.

local operations, requests, pieces, drafts, terms, uses, keys, queue, lanes, delayed, leases, lengths, held, overdue, owned,
  due, chunks, counts = unpack(KEYS)
local call, pack, unpack_fields = redis.call, struct.pack, struct.unpack

local clock = call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)

local QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELED = 0, 1, 2, 3, 4
local STATES = { [0] = 'queued', 'running', 'succeeded', 'failed', 'canceled' }

-- Gathered, and written once at the script's end.

local counted, used, changed, queued_some = {}, {}, {}, false

local function count(name, by)
  counted[name] = (counted[name] or 0) + by
end

local function use(digest, by)
  used[digest] = (used[digest] or 0) + by
end

local function finish_script()
  for name, by in pairs(counted) do
    if by ~= 0 then call('HINCRBY', counts, name, by) end
  end
  for digest, by in pairs(used) do
    if by ~= 0 and call('HINCRBY', uses, digest, by) <= 0 then
      call('HDEL', uses, digest)
      call('HDEL', terms, digest)
    end
  end
  if queued_some or #changed > 0 then
    call('PUBLISH', ARGV[1], ARGV[2] .. (queued_some and 'q' or '') .. table.concat(changed))
  end
end

-- Records. record.rs reads the same layout. `rest` is the progress of what has not ended, and the reply of what has.

local LAYOUT = '>BI4I4I6I6I6c8I4I4c0Bc0I4c0Bc0'
local RUN = '>I8I8I8'

local function decode(id, record)
  local o, at = { id = id }, nil
  o.state, o.attempt, o.failures, o.created, o.ended, o.due, o.terms, o.size, o.owner, o.key, o.failed, o.run, at =
    unpack_fields(LAYOUT, record)
  o.rest = record:sub(at)
  o.lease, o.seq, o.claim = 0, 0, 0
  if o.run ~= '' then
    o.lease, o.seq, o.claim = unpack_fields(RUN, o.run)
  end
  return o
end

local function encode(o)
  local run = o.state <= RUNNING and pack(RUN, o.lease, o.seq, o.claim) or ''
  return pack(LAYOUT, o.state, o.attempt, o.failures, o.created, o.ended, o.due, o.terms, o.size, #o.owner, o.owner,
    #o.key, o.key, #o.failed, o.failed, #run, run) .. o.rest
end

local function save(o)
  call('HSET', operations, o.id, encode(o))
end

local function expired(o)
  return o.state > RUNNING and o.due <= now
end

-- An operation that is there for whoever asks.
local function find(id)
  local record = call('HGET', operations, id)
  local o = record and decode(id, record)
  return o and not expired(o) and o or nil
end

local function find_of(id, owner)
  local o = find(id)
  return o and o.owner == owner and o or nil
end

-- The operation that this attempt runs; or nothing, and why not.
local function running(id, attempt)
  local o = find(id)
  if not o then return nil, { 'unknown' } end
  if o.state > RUNNING then return nil, { 'ended', STATES[o.state] } end
  if o.state ~= RUNNING or o.attempt ~= attempt then return nil, { 'superseded', o.attempt } end
  return o
end

-- What is asked of an operation's terms: numbers, the route's name; what follows is the record.

local TERMS = '>I6I6I4I6I2c0'
local known_terms = {}

local function terms_of(digest)
  local found = known_terms[digest]
  if not found then
    found = {}
    found.retention, found.max_run_time, found.max_attempts, found.backoff, found.route =
      unpack_fields(TERMS, call('HGET', terms, digest))
    known_terms[digest] = found
  end
  return found
end

-- Bodies: what begins with 0 is the body, what begins with 1 names a draft, whose pieces are kept apart.

local function draft_of(body)
  if body:byte() == 1 then return body:sub(2, 21) end
end

-- Keeps what was written before; false where it is not there any more.
local function commit(body)
  local draft = draft_of(body)
  return not draft or call('ZREM', drafts, draft) == 1
end

local function drop_draft(draft)
  local pieces_of_it = unpack_fields('>I4', draft:sub(17))
  for piece = 0, pieces_of_it - 1 do
    call('HDEL', pieces, draft:sub(1, 16) .. pack('>I4', piece))
  end
  return pieces_of_it
end

-- How many pieces were dropped: the larger part of the work, where there are any.
local function drop_body(body)
  local draft = body and draft_of(body)
  return draft and drop_draft(draft) or 0
end

-- The queue: of each lane, which is an owner's use of a route, the oldest first. The lanes take turns.

local function lane_of(o)
  local route = terms_of(o.terms).route
  return pack('>I4c0I2c0', #o.owner, o.owner, #route, route)
end

local function oldest(lane, limit)
  return call('ZRANGEBYLEX', queue, '[' .. lane, '(' .. lane .. '\255', 'LIMIT', 0, limit)
end

local function place(o)
  return lane_of(o) .. pack('>I8', o.seq) .. o.id
end

local function last_in_turn(lane)
  call('ZADD', lanes, call('HINCRBY', counts, 'turn', 1), lane)
end

local function enqueue(o)
  local lane = lane_of(o)
  if #oldest(lane, 1) == 0 then last_in_turn(lane) end
  call('ZADD', queue, 0, place(o))
  queued_some = true
end

local function dequeue(o)
  if call('ZREM', queue, place(o)) == 0 then
    call('ZREM', delayed, o.id)
    return
  end
  local lane = lane_of(o)
  if #oldest(lane, 1) == 0 then call('ZREM', lanes, lane) end
end

-- Leases.

local function is_open(lease)
  local till = call('ZSCORE', leases, lease)
  return till and tonumber(till) > now
end

local function holding(o)
  return pack('>I8', o.lease) .. o.id
end

local function held_under(lease, limit)
  local from, to = '[' .. pack('>I8', lease), '(' .. pack('>I8', lease + 1)
  return call('ZRANGEBYLEX', held, from, to, 'LIMIT', 0, limit)
end

local function hold(o, lease)
  o.lease = lease
  call('ZADD', held, 0, holding(o))
end

local function let_go(o)
  if o.lease > 0 then call('ZREM', held, holding(o)) end
  o.lease, o.claim = 0, 0
end

-- Steps of its life, for what is known to be in the right state.

local function move(o, state)
  if o.state ~= state then
    count(STATES[o.state], -1)
    count(STATES[state], 1)
  end
  o.state = state
  changed[#changed + 1] = o.id
end

local function set_out(o)
  local longest = terms_of(o.terms).max_run_time
  if longest > 0 then call('ZADD', overdue, now + longest, o.id) end
end

-- Many operations that are to be forgotten at about the same time are named together, to take little room.
local function remember_until_due(o, retention)
  local grain = math.max(1, math.floor(retention / 1000))
  local time = string.format('%.0f', math.ceil(o.due / grain) * grain)
  local ids = call('HGET', chunks, time)
  if ids and #ids >= 512 then
    local full = time .. o.id
    call('HSET', chunks, full, ids)
    call('ZADD', due, time, full)
    ids = ''
  elseif not ids then
    call('ZADD', due, time, time)
    ids = ''
  end
  call('HSET', chunks, time, ids .. o.id)
end

local function stop(o)
  if o.state == QUEUED then
    dequeue(o)
  else
    let_go(o)
    call('ZREM', overdue, o.id)
  end
end

local function finish(o, state, size, body)
  local retention = terms_of(o.terms).retention
  local ran = o.state == RUNNING and 1 or 0
  stop(o)
  if o.seq > 0 then
    drop_body(call('HGET', requests, o.id))
    call('HDEL', requests, o.id)
  end
  o.ended, o.due, o.size, o.rest = now, now + retention, size, body
  move(o, state)
  save(o)
  remember_until_due(o, retention)
  count('bytes', size)
  return { 'finished', STATES[o.state], o.terms, o.ended - o.created, ran }
end

-- Queues what runs again, once this time has come.
local function queue_again(o, time)
  stop(o)
  move(o, QUEUED)
  o.rest = ''
  save(o)
  if time <= now then
    enqueue(o)
  else
    call('ZADD', delayed, time, o.id)
  end
end

local HOUR = 60 * 60 * 1000

local function fail(o, failure, body)
  local rules = terms_of(o.terms)
  o.failures = o.failures + 1
  o.failed = o.failed .. pack('>I4I6Bc0', o.attempt, now, #failure, failure)
  if o.seq == 0 or o.failures >= rules.max_attempts then
    return finish(o, FAILED, 0, body)
  end
  queue_again(o, now + math.min(HOUR, rules.backoff * 2 ^ (o.failures - 1)))
end

local function hand_back(o, body)
  if o.seq == 0 then return finish(o, FAILED, 0, body) end
  queue_again(o, now)
end

-- Returns how many pieces of a reply went with it.
local function remove(o)
  call('HDEL', operations, o.id)
  if o.owner ~= '' then
    call('ZREM', owned, pack('>I4c0I6', #o.owner, o.owner, o.created) .. o.id)
  end
  if o.key ~= '' then
    local holder = call('HGET', keys, o.key)
    if holder and holder:sub(1, 16) == o.id then call('HDEL', keys, o.key) end
  end
  use(o.terms, -1)
  count(STATES[o.state], -1)
  count('bytes', -o.size)
  return drop_body(o.rest)
end

