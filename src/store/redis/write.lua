-- Does many intents in their order, each of them wholly or not at all.
-- ARGV: ..., then for each intent its name, the number of its arguments, and these.

local intents, introduced = {}, {}
local DRAFT_GONE = { 'error', 'the body was too slow to write' }

function intents.create(id, owner, key, same_request, digest, entry, lease, request)
  local holder = key ~= '' and call('HGET', keys, key)
  local existing = holder and call('HGET', operations, holder:sub(1, 16))
  if existing and not expired(decode('', existing)) then
    if holder:sub(17) ~= same_request then return { 'key-taken' } end
    return { 'existing', holder:sub(1, 16), existing, now }
  end
  if lease ~= '' and not is_open(lease) then return { 'lease-over' } end

  local o = {
    id = id, state = RUNNING, attempt = 1, failures = 0, created = now, ended = 0, due = 0, terms = digest, size = 0,
    owner = owner, key = key, failed = '', lease = 0, seq = 0, claim = 0, rest = '',
  }
  -- The first write, which is the one that is refused where there is no room.
  if not introduced[digest] then call('HSET', terms, digest, entry) end
  introduced[digest] = true
  if request ~= '' and not commit(request) then return DRAFT_GONE end
  use(digest, 1)
  if request ~= '' then
    o.seq = call('HINCRBY', counts, 'seq', 1)
    call('HSET', requests, id, request)
  end
  if o.seq > 0 and lease == '' then
    o.state, o.attempt = QUEUED, 0
    enqueue(o)
  else
    if lease ~= '' then hold(o, tonumber(lease)) end
    set_out(o)
  end
  if owner ~= '' then call('ZADD', owned, 0, pack('>I4c0I6', #owner, owner, now) .. id) end
  if key ~= '' then call('HSET', keys, key, id .. same_request) end
  count(STATES[o.state], 1)
  save(o)
  return { 'new', now }
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

-- A progress begins with its number, so that of two the later is the greater.
function intents.report(id, attempt, progress)
  local o, refused = running(id, tonumber(attempt))
  if not o then return refused end
  if o.rest:sub(1, 8) < progress:sub(1, 8) then
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

local answers, at = {}, 3
while ARGV[at] do
  local last = at + 1 + ARGV[at + 1]
  local done, answer = pcall(intents[ARGV[at]], unpack(ARGV, at + 2, last))
  if not done then answer = { 'error', type(answer) == 'table' and answer.err or tostring(answer) } end
  answers[#answers + 1] = answer
  at = last + 1
end
finish_script()
return answers
