-- Does many intents in their order, each of them wholly or not at all.
-- ARGV: ..., then for each intent its name, the number of its arguments, and these.

local intents, entries, introduced, holders = {}, {}, {}, {}
local NEW = { 'new', now }
local DRAFT_GONE = { 'error', 'the body was too slow to write' }

function intents.create(id, owner, key, same_request, lease, request, digest, entry)
  -- Only the first of those that have the same terms brings them.
  entries[digest] = entries[digest] or entry
  local holder = key ~= '' and (holders[key] or call('HGET', keys, key))
  local existing = holder and find(holder:sub(1, 16))
  if existing then
    if holder:sub(17) ~= same_request then return { 'key-taken' } end
    return { 'existing', existing.id, encode(existing), now }
  end
  if lease ~= '' and not is_open(lease) then return { 'lease-over' } end

  local o = setmetatable({
    id = id, state = RUNNING, created = now, terms = digest, owner = owner, key = key, lease = 0, seq = 0,
  }, ORDINARY)
  -- The first write, which is the one that is refused where there is no room.
  if not introduced[digest] then call('HSET', terms, digest, entries[digest]) end
  introduced[digest] = true
  if request ~= '' and not commit(request) then
    -- So that the terms go unless others use them.
    use(digest, 0)
    return DRAFT_GONE
  end
  use(digest, 1)
  if request ~= '' then
    o.seq, o.in_pieces = next_number('seq'), draft_of(request) and 1 or 0
    put(requests, id, request)
  end
  if o.seq > 0 and lease == '' then
    o.state, o.attempt = QUEUED, 0
    enqueue(o)
  else
    if lease ~= '' then hold(o, tonumber(lease)) end
    set_out(o)
  end
  list(o, true)
  if key ~= '' then
    holders[key] = id .. same_request
    put(keys, key, holders[key])
  end
  count(STATES[o.state], 1)
  save(o)
  return NEW
end

function intents.finish(id, attempt, state, size, body)
  local o, refused = running(id, tonumber(attempt))
  if not o then return refused end
  if not commit(body) then return DRAFT_GONE end
  return finish(o, tonumber(state), tonumber(size), body)
end

function intents.cancel(id, owner, body)
  local o = find_of(id, owner)
  if not o then return { 'unknown' } end
  if o.state > RUNNING then return { 'ended', STATES[o.state] } end
  return finish(o, CANCELED, 0, body)
end

function intents.forget(id, owner)
  local o = find_of(id, owner)
  if not o or o.state <= RUNNING then return { 'unknown' } end
  remove(o)
  changed[#changed + 1] = o.id
  return { 'done' }
end

-- The number with which a progress begins: of two, the later is the greater.
local function number_of(progress)
  return #progress >= 8 and unpack_fields('>I8', progress) or -1
end

function intents.report(id, attempt, progress)
  local o, refused = running(id, tonumber(attempt))
  if not o then return refused end
  if number_of(o.rest) < number_of(progress) then
    o.rest = progress
    save(o)
    changed[#changed + 1] = id
  end
  return { 'done' }
end

function intents.retry(id, attempt, failure, body)
  local o, refused = running(id, tonumber(attempt))
  if not o then return refused end
  return fail(o, failure, body) or { 'queued' }
end

function intents.hand_back(id, attempt, body)
  local o, refused = running(id, tonumber(attempt))
  if not o then return refused end
  return hand_back(o, body) or { 'queued' }
end

function intents.leave(id, attempt, rest)
  local o, refused = running(id, tonumber(attempt))
  if not o then return refused end
  queue_again(o, now + tonumber(rest))
  return { 'queued' }
end

local function last_argument(at)
  return at + 1 + ARGV[at + 1]
end

local existing, at = {}, 3
while ARGV[at] do
  if ARGV[at] ~= 'create' then existing[#existing + 1] = ARGV[at + 2] end
  at = last_argument(at) + 1
end
look_up(existing)

-- Which argument may name a draft, and the one answer with which it is kept.
local drafted = { create = { 6, 'new' }, finish = { 5, 'finished' } }

local answers = {}
at = 3
while ARGV[at] do
  local last = last_argument(at)
  local done, answer = pcall(intents[ARGV[at]], unpack(ARGV, at + 2, last))
  if not done then answer = { 'error', type(answer) == 'table' and answer.err or tostring(answer) } end
  answers[#answers + 1] = answer
  local body = drafted[ARGV[at]]
  if body and answer[1] ~= body[2] then discard(ARGV[at + 1 + body[1]]) end
  at = last + 1
end
finish_script()
return answers
