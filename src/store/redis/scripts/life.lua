-- Steps of an operation's life, for what is known to be in the right state.

local function move(o, state)
  if o.state ~= state then
    count(STATES[o.state], -1)
    count(STATES[state], 1)
  end
  o.state = state
  changed[#changed + 1] = o.id
end

-- As text, since making it of a number takes long.
local deadlines = {}

local function set_out(o)
  local longest = terms_of(o.terms).max_run_time
  if longest == 0 then return end
  deadlines[longest] = deadlines[longest] or string.format('%.0f', now + longest)
  put(overdue, o.id, deadlines[longest])
end

-- Many operations that are to be forgotten at about the same time are named together, to take little room.

local CHUNK = 128 * 16
local remembered = {}

local function remember_until_due(o, retention)
  local grain = math.max(1, math.floor(retention / 1000))
  local time = math.ceil(o.due / grain) * grain
  local ids = remembered[time] or {}
  remembered[time] = ids
  ids[#ids + 1] = o.id
end

before_writing[#before_writing + 1] = function()
  for time, ids in pairs(remembered) do
    local name = string.format('%.0f', time)
    local before = call('HGET', chunks, name) or ''
    if #before >= CHUNK then
      local full = name .. ids[1]
      put(chunks, full, before)
      put(due, full, time)
      before = ''
    end
    put(due, name, time)
    put(chunks, name, before .. table.concat(ids))
  end
end

local function stop(o)
  if o.state == QUEUED then
    dequeue(o)
  else
    let_go(o)
    drop(overdue, o.id)
  end
end

local function finish(o, state, size, body)
  local retention = terms_of(o.terms).retention
  local ran = o.state == RUNNING and 1 or 0
  stop(o)
  if o.seq > 0 then drop_request(o) end
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
    put(delayed, o.id, time)
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
  if put_into[operations] then settle() end
  known[o.id] = false
  drop(operations, o.id)
  list(o, false)
  if o.key ~= '' then
    local holder = call('HGET', keys, o.key)
    if holder and holder:sub(1, 16) == o.id then drop(keys, o.key) end
  end
  use(o.terms, -1)
  count(STATES[o.state], -1)
  count('bytes', -o.size)
  return drop_body(o.rest)
end

