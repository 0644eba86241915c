-- Does what time has made due.
-- ARGV: ..., limit, the reply of what timed out, the reply of what was lost, how old a draft may be, by which moment leases
-- are judged.

local limit, timed_out, lost, draft_age, moment = tonumber(ARGV[3]), ARGV[4], ARGV[5], tonumber(ARGV[6]),
  math.min(tonumber(ARGV[7]), now)
local forgotten, ended, queued, more = {}, {}, {}, 0

local function end_as(o, failure, answer)
  ended[#ended + 1] = { o.id, failure, answer }
end

-- Large replies take longer to forget.
local PIECES_AT_ONCE = 64

local function ids_of(packed, limit)
  local ids = {}
  for at = 1, math.min(#packed, limit * 16), 16 do ids[#ids + 1] = packed:sub(at, at + 15) end
  return ids
end

local function forget_what_is_due()
  local left, dropped = limit, 0
  while left > 0 and dropped < PIECES_AT_ONCE do
    local name = call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 1)[1]
    if not name then return end
    local ids, at = call('HGET', chunks, name) or '', 1
    look_up(ids_of(ids, left))
    while at <= #ids and left > 0 and dropped < PIECES_AT_ONCE do
      local id = ids:sub(at, at + 15)
      local o = record_of(id)
      if o then
        dropped = dropped + remove(o)
        forgotten[#forgotten + 1] = id
      end
      at, left = at + 16, left - 1
    end
    if at <= #ids then
      call('HSET', chunks, name, ids:sub(at))
    else
      call('ZREM', due, name)
      call('HDEL', chunks, name)
    end
  end
  more = 1
end

local function end_what_ran_too_long()
  local ids = call('ZRANGEBYSCORE', overdue, '-inf', now, 'LIMIT', 0, limit)
  look_up(ids)
  for _, id in ipairs(ids) do
    drop(overdue, id)
    local o = find(id)
    if o and o.state == RUNNING then end_as(o, 'timed-out', finish(o, FAILED, 0, timed_out)) end
  end
  if #ids == limit then more = 1 end
end

local function fail_what_was_lost()
  local left = limit
  while left > 0 do
    local lease = call('ZRANGEBYSCORE', leases, '-inf', moment, 'LIMIT', 0, 1)[1]
    if not lease then return end
    local members = held_under(tonumber(lease), left)
    if #members > 0 then call('ZREM', held, unpack(members)) end
    for _, member in ipairs(members) do
      local o = find(member:sub(-16))
      if o and o.state == RUNNING and o.lease == tonumber(lease) then
        local answer = fail(o, 'lost', lost)
        if answer then end_as(o, 'lost', answer) else queued[#queued + 1] = o.id end
      end
    end
    if #members < left then
      call('ZREM', leases, lease)
      call('HDEL', lengths, lease)
    end
    left = left - math.max(1, #members)
  end
  more = 1
end

local DRAFTS_AT_ONCE = 4

local function drop_old_drafts()
  local old = call('ZRANGEBYSCORE', drafts, '-inf', now - draft_age, 'LIMIT', 0, DRAFTS_AT_ONCE)
  for _, draft in ipairs(old) do
    call('ZREM', drafts, draft)
    drop_draft(draft)
  end
  if #old == DRAFTS_AT_ONCE then more = 1 end
end

forget_what_is_due()
end_what_ran_too_long()
fail_what_was_lost()
drop_old_drafts()
finish_script()
return { forgotten, ended, queued, more }
