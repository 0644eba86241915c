-- Records of operations, of which record.rs reads the same layout, their terms and their bodies.
-- First a byte: the state, and which of what follows there is. `rest` is the progress of what has not ended, and the
-- reply of what has.

local HAS_OWNER, HAS_KEY, HAS_FAILED, RAN_AGAIN = 8, 16, 32, 64
local BEGINNING, ATTEMPTS, RUN, END = '>BI6c8', '>I4I4', '>I8I8I4B', '>I6I6I4'
local band = bit.band

-- Most names are short.
local LONG = 255

local function pack_name(name)
  return #name < LONG and pack('>Bc0', #name, name) or pack('>BI4c0', LONG, #name, name)
end

local function unpack_name(record, at)
  if record:byte(at) < LONG then return unpack_fields('>Bc0', record, at) end
  return unpack_fields('>I4c0', record, at + 1)
end

-- What is not said of an operation.
local ORDINARY = { __index = {
  attempt = 1, failures = 0, ended = 0, due = 0, size = 0, lease = 0, seq = 0, claim = 0, in_pieces = 0,
  owner = '', key = '', failed = '', rest = '',
} }

local function decode(id, record)
  local head = record:byte()
  local _, created, digest, at = unpack_fields(BEGINNING, record)
  local o = setmetatable({
    id = id, state = head % 8, created = created, terms = digest, ended = 0, due = 0, size = 0, lease = 0, rest = '',
  }, ORDINARY)
  if band(head, RAN_AGAIN) > 0 then o.attempt, o.failures, at = unpack_fields(ATTEMPTS, record, at) end
  if o.state > RUNNING then
    o.ended, o.due, o.size, at = unpack_fields(END, record, at)
  else
    o.lease, o.seq, o.claim, o.in_pieces, at = unpack_fields(RUN, record, at)
  end
  if band(head, HAS_OWNER) > 0 then o.owner, at = unpack_name(record, at) end
  if band(head, HAS_KEY) > 0 then o.key, at = unpack_fields('>Bc0', record, at) end
  if band(head, HAS_FAILED) > 0 then o.failed, at = unpack_fields('>I4c0', record, at) end
  o.rest = record:sub(at)
  return o
end

local function encode(o)
  local head, again, names = o.state, '', ''
  if o.attempt ~= 1 or o.failures ~= 0 then
    head, again = head + RAN_AGAIN, pack(ATTEMPTS, o.attempt, o.failures)
  end
  if o.owner ~= '' then head, names = head + HAS_OWNER, pack_name(o.owner) end
  if o.key ~= '' then head, names = head + HAS_KEY, names .. pack('>Bc0', #o.key, o.key) end
  if o.failed ~= '' then head, names = head + HAS_FAILED, names .. pack('>I4c0', #o.failed, o.failed) end
  local life = o.state > RUNNING and pack(END, o.ended, o.due, o.size)
    or pack(RUN, o.lease, o.seq, o.claim, o.in_pieces)
  return pack(BEGINNING, head, o.created, o.terms) .. again .. life .. names .. o.rest
end

-- Those that were looked up, or false.
local known = {}

local function look_up(ids)
  if #ids == 0 then return end
  for at, record in ipairs(call('HMGET', operations, unpack(ids))) do
    known[ids[at]] = record and decode(ids[at], record)
  end
end

local function record_of(id)
  if known[id] == nil then look_up({ id }) end
  return known[id]
end

local function save(o)
  known[o.id] = o
  put(operations, o.id, encode(o))
end

local function expired(o)
  return o.state > RUNNING and o.due <= now
end

-- An operation that is there for whoever asks.
local function find(id)
  local o = record_of(id)
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

-- Drafts that nobody needs. They go when all is written: whatever is taken away first lets a script write though memory is
-- short.
local discarded = {}

local function discard(body)
  discarded[#discarded + 1] = draft_of(body)
end

after_writing[#after_writing + 1] = function()
  for _, draft in ipairs(discarded) do
    call('ZREM', drafts, draft)
    drop_draft(draft)
  end
end

-- How many pieces were dropped: the larger part of the work, where there are any.
local function drop_body(body)
  local draft = body and draft_of(body)
  return draft and drop_draft(draft) or 0
end

local function drop_request(o)
  if o.in_pieces > 0 then drop_body(call('HGET', requests, o.id)) end
  drop(requests, o.id)
end

